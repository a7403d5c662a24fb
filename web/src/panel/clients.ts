// The clients in view as a list. Whoever does not use the map, such as a reader of a screen reader, finds them here.

import type { Client } from '../api/wire';
import type { App } from '../app';
import { around, contains } from '../base/box';
import { byId, el } from '../base/dom';
import { whole } from '../base/format';
import { latOf, lonOf } from '../base/mercator';
import { clientRow } from './list';

/** Maximum number of clients in the list. */
const ROWS_MAX = 200;
/** Maximum number of clients whose IDs are ordered as people count. */
const NATURAL_MAX = 2000;
/** The time between two updates of the list, milliseconds. */
const UPDATE_MS = 2000;

export class ClientList {
  readonly element = el('div', { class: 'list' });
  private readonly lead = el('p', { class: 'lead' });
  private readonly rows = el('ul', { class: 'rows' });
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(private readonly app: App) {
    const all = el(
      'button',
      { type: 'button', onclick: () => void showAllClients(app) },
      'Show all clients on the map',
    );
    this.element.append(this.lead, el('div', { class: 'actions' }, all), this.rows);
    this.timer = setInterval(() => this.update(), UPDATE_MS);
    this.update();
  }

  close(): void {
    clearInterval(this.timer);
  }

  /** Shows the present state. A list in use keeps its rows, so that they do not move below a finger or the focus. */
  update(): void {
    if (this.rows.contains(document.activeElement) || this.rows.matches(':hover')) return;
    const clients = inView(this.app);
    const count = clients.length;
    this.lead.textContent =
      count > ROWS_MAX
        ? `${whole(count)} clients are in view. These are the first ${ROWS_MAX}, by ID.`
        : count === 0
          ? 'No client is in view.'
          : `${count} client${count === 1 ? ' is' : 's are'} in view, by ID.`;
    const nowMs = Date.now();
    const numbers = this.app.servers;
    const rows = clients.slice(0, ROWS_MAX).map((client) => {
      return clientRow(client, `server-${numbers.of(client.server) % 8}`, nowMs, (id) => this.app.select(id));
    });
    this.rows.replaceChildren(...rows);
  }
}

/** The clients in the view, by ID. */
function inView(app: App): Client[] {
  const { box } = app.view;
  const found = app.live.store.all().filter(({ lat, lon }) => contains(box, lat, lon));
  // The order that people expect, with 9 before 10, takes long for many.
  const compare = found.length > NATURAL_MAX ? plainly : naturally;
  return found.sort((a, b) => compare(a.id, b.id));
}

const naturally = new Intl.Collator('en', { numeric: true }).compare;
const plainly = (a: string, b: string) => (a < b ? -1 : 1);

/** Number of clients that are asked for to find out where clients are. */
const SAMPLE_MAX = 500;

/** Shows the part of the world in which clients are. Returns whether there are any. */
export async function showAllClients(app: App): Promise<boolean> {
  const { clients } = await app.session.json<{ clients: Client[] }>(`v1/clients?limit=${SAMPLE_MAX}`);
  const box = boxAround(clients);
  if (!box) return false;
  app.view.fit(box, paddingOf());
  return true;
}

/** What the bar and the panels leave of the map, with a margin. */
function paddingOf(): { top: number; right: number; bottom: number; left: number } {
  const bar = byId('bar').getBoundingClientRect();
  const isPhone = bar.width > innerWidth * 0.8;
  const right = document.body.classList.contains('has-herd') && !isPhone ? byId('herd').offsetWidth + 60 : 60;
  const bottom = isPhone && document.body.classList.contains('has-panel') ? byId('panel').offsetHeight + 30 : 50;
  return isPhone
    ? { top: bar.bottom + 30, right: 40, bottom, left: 40 }
    : { top: 50, right, bottom, left: bar.right + 40 };
}

/**
 * The smallest box with nearly all clients. West is greater than east in a box across the antimeridian. A few clients
 * that are far from all others do not make the map tiny.
 */
export function boxAround(clients: readonly Pick<Client, 'lat' | 'lon'>[]): [number, number, number, number] | null {
  if (clients.length === 0) return null;
  const inner = (values: number[]): [number, number] => {
    const sorted = values.sort((a, b) => a - b);
    const cut = Math.floor(sorted.length / 50);
    return [sorted[cut] ?? 0, sorted[sorted.length - 1 - cut] ?? 0];
  };
  const [south, north] = inner(clients.map(({ lat }) => lat));
  const lons = clients.map(({ lon }) => lon);
  const first = afterGap(lons);
  const [west, east] = inner(lons.map((lon) => (lon < first ? lon + 360 : lon)));
  return [south, around(west), north, around(east)];
}

/** The longitude at which the widest part of the world without clients ends, going eastward. */
function afterGap(lons: readonly number[]): number {
  const sorted = [...lons].sort((a, b) => a - b);
  let [widest, first] = [Number.NEGATIVE_INFINITY, 0];
  sorted.forEach((lon, at) => {
    const before = sorted[at - 1] ?? (sorted.at(-1) ?? lon) - 360;
    if (lon - before <= widest) return;
    widest = lon - before;
    first = lon;
  });
  return first;
}

/** Where a client is drawn now, in degrees. */
export function drawnAt(app: App, id: string): readonly [lat: number, lon: number] | null {
  const at = app.live.store.positionOf(id, performance.now());
  return at && [latOf(at[1]), lonOf(at[0])];
}
