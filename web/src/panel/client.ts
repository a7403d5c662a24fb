// The panel of a client: where it is, what it reports, its track since the page was opened, its AT line, a share of its
// position, and the places around it. The panel follows the client's reports while it is open.

import { Problem, textOf } from '../api/problem';
import type { Client, MadeShare } from '../api/wire';
import type { App } from '../app';
import { el, setText } from '../base/dom';
import { type Fact, FactList } from '../base/facts';
import { ago, attribute, coordinates, distance, duration, millis } from '../base/format';
import { latOf, lonOf } from '../base/mercator';
import { metersBetween } from './list';
import { nearbyPath, showPlaces } from './places';

/** A share ends after one of these times, seconds. */
const SHARE_TIMES: readonly (readonly [seconds: number, text: string])[] = [
  [900, '15 minutes'],
  [3600, '1 hour'],
  [28_800, '8 hours'],
  [86_400, '1 day'],
];
/** The time between two updates of the ages in the panel, milliseconds. */
const TICK_MS = 1000;
/** A report that came later than this has two times, milliseconds. */
const LATE_MS = 2000;

/** The client's ID in a path. */
export function pathId(client: Pick<Client, 'id' | 'id_url'>): string {
  return client.id_url ?? encodeURIComponent(client.id);
}

/** The distance up to which places are shown, meters. */
const PLACES_RADIUS_M = 1500;

/** The path of the places around a client. */
export function placesPath(client: Client): string {
  // A browser takes these IDs for steps in a path.
  if (client.id === '.' || client.id === '..') return nearbyPath(client.lat, client.lon, PLACES_RADIUS_M);
  return `v1/clients/${pathId(client)}/places?radius_m=${PLACES_RADIUS_M}&limit=12`;
}

export class ClientPanel {
  readonly element = el('div', { class: 'client' });
  private readonly state = el('p', { class: 'lead' });
  private readonly facts = el('dl', { class: 'facts' });
  private readonly factList = new FactList(this.facts);
  private readonly at = el('code', { class: 'at-line' });
  private readonly shareResult = el('div', { class: 'share-result' });
  private readonly placesList = el('div', { class: 'places' });
  private readonly actions = el('div', { class: 'actions' });
  private readonly ending = new AbortController();
  private readonly timer: ReturnType<typeof setInterval>;
  private client: Client | null = null;

  constructor(
    private readonly app: App,
    readonly id: string,
  ) {
    const copy = el(
      'button',
      { type: 'button', class: 'quiet', onclick: () => void this.copy(this.at.textContent ?? '') },
      'Copy',
    );
    this.fillActions();
    this.element.append(
      this.state,
      this.actions,
      this.facts,
      el('h3', {}, 'AT line'),
      el('div', { class: 'at-box' }, this.at, copy),
    );
    if (app.session.rights.places) this.element.append(this.placesPart());
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.update(app.live.get(id) ?? null);
  }

  /** Shows a newer report. `null`: the herd does not know the client. */
  update(client: Client | null): void {
    this.client = client;
    this.element.classList.toggle('is-unknown', client === null);
    this.tick();
    if (!client) return;
    setText(this.at, client.at);
    this.showFacts(client);
  }

  close(): void {
    clearInterval(this.timer);
    this.ending.abort();
  }

  private tick(): void {
    const { client } = this;
    if (!client) {
      this.state.replaceChildren('The herd does not know this client at present.');
      return;
    }
    const when = ago(Date.now() - millis(client.received));
    const mark = el('span', { class: `row-mark ${this.serverClass(client.server)}`, 'aria-hidden': 'true' });
    const text = `Reported to ${client.server}, ${when}`;
    if (this.state.textContent !== text) this.state.replaceChildren(mark, text);
  }

  private serverClass(server: string): string {
    return `server-${this.app.servers.of(server) % 8}`;
  }

  private showFacts(client: Client): void {
    const facts: Fact[] = [['Position', coordinates(client.lat, client.lon)]];
    for (const [name, value] of Object.entries(client.attributes)) {
      facts.push(attribute(name, value) ?? [name, String(value)]);
    }
    const timeMs = millis(client.time);
    const receivedMs = millis(client.received);
    facts.push(['Time', new Date(timeMs).toLocaleString()]);
    if (Math.abs(receivedMs - timeMs) > LATE_MS) {
      const late = receivedMs > timeMs ? 'later' : 'earlier';
      facts.push(['Received', `${duration(Math.abs(receivedMs - timeMs))} ${late}`]);
    }
    facts.push(['Track', this.trackText()]);
    this.factList.show(facts);
  }

  private trackText(): string {
    const trail = this.app.live.trails.of(this.id);
    let meters = 0;
    for (let at = 2; at + 1 < trail.length; at += 2) {
      const [fromX = 0, fromY = 0, x = 0, y = 0] = trail.slice(at - 2, at + 2);
      meters += metersBetween(latOf(fromY), lonOf(fromX), latOf(y), lonOf(x));
    }
    return meters < 1 ? 'has not moved since this page was opened' : `${distance(meters)} since this page was opened`;
  }

  private fillActions(): void {
    const fly = el(
      'button',
      { type: 'button', onclick: () => this.app.select(this.id, { fly: true }) },
      'Show on map',
    );
    this.actions.append(fly);
    if (!this.app.session.rights.read) return;
    const times = el('select', { 'aria-label': 'The share ends after' });
    for (const [seconds, text] of SHARE_TIMES) times.append(el('option', { value: String(seconds) }, text));
    times.value = '3600';
    const share = el(
      'button',
      { type: 'button', class: 'main', onclick: () => void this.share(Number(times.value), share) },
      'Share for',
    );
    this.actions.append(el('span', { class: 'joined' }, share, times), this.shareResult);
  }

  private async share(expiresS: number, button: HTMLButtonElement): Promise<void> {
    button.disabled = true;
    try {
      const made = await this.app.session.post<MadeShare>('v1/shares', { id: this.id, expires_s: expiresS });
      const input = el('input', { type: 'text', readonly: true, value: made.url, 'aria-label': 'Link of the share' });
      const copy = el('button', { type: 'button', onclick: () => void this.copy(made.url) }, 'Copy');
      const open = el('a', { href: made.url, target: '_blank', rel: 'noreferrer' }, 'Open the shared page');
      const end = new Date(made.expires).toLocaleString();
      const until = `Until ${end}, whoever has this link sees where this client is.`;
      this.shareResult.replaceChildren(
        el('p', { class: 'quiet-text' }, until),
        el('div', { class: 'joined' }, input, copy),
        open,
      );
      await this.copy(made.url);
    } catch (error) {
      const isForbidden = error instanceof Problem && error.isForbidden;
      const text = isForbidden ? 'The token does not allow to share this client.' : textOf(error);
      this.shareResult.replaceChildren(el('p', { class: 'problem', role: 'alert' }, text));
    }
    button.disabled = false;
  }

  private async copy(text: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      this.app.notify('Copied.');
    } catch {
      // Pages over plain HTTP from another machine have no clipboard. The text is there to be selected.
    }
  }

  private placesPart(): HTMLElement {
    const part = el('details', { class: 'part' }, el('summary', {}, 'Places around'), this.placesList);
    part.addEventListener('toggle', () => {
      const { client } = this;
      if (!part.open || !client) return;
      void showPlaces(this.app, this.placesList, placesPath(client), [client.lat, client.lon], this.ending.signal);
    });
    return part;
  }
}
