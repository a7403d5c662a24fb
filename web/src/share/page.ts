// What the page of a share shows, from the state of its follower. `SharePage` writes texts into the elements of
// share.html and knows nothing of requests. A text is written only if it changes, because a screen reader speaks a text
// that is set again.

import { setText } from '../herd/svg';
import { Drawing } from './drawing';
import type { Follower } from './follow';
import { ago, duration, facts, millis, type SharedClient, whenMs } from './texts';

const TITLE = 'A shared position';

/** The part of a follower that the page shows. */
export type Shown = Pick<
  Follower,
  'share' | 'client' | 'end' | 'isLive' | 'isReachable' | 'clockOffsetMs' | 'nowMs'
>;

/** The element with this ID. The page's own file has it. */
export function element<E extends Element = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`share.html has no element ${id}`);
  return found as unknown as E;
}

/** Writes a time as this browser's person writes times. */
function local(ms: number): string {
  return new Date(ms).toLocaleString();
}

export class SharePage {
  private readonly drawing = new Drawing({
    title: element('drawing-title'),
    grid: element('grid'),
    mark: element('mark'),
    scale: element('scale'),
    scaleText: element('scale-text'),
  });
  private factNames = '';

  /** Shows the state. */
  show(shown: Shown): void {
    const { share, client, end } = shown;
    element('footer').hidden = end !== null || share === null;
    element('position').hidden = end !== null || client === null;
    element('since').hidden = end !== null || client === null;
    setText(element('who'), share?.id ?? TITLE);
    element('kind').hidden = share === null;
    const title = share && !end ? `${share.id}: shared position` : TITLE;
    if (document.title !== title) document.title = title;
    this.showState(shown);
    if (end) return;
    this.showConnection(shown);
    if (client) {
      this.showFacts(client);
      this.drawing.show(client);
    }
    this.tick(shown);
  }

  /** Shows what changes with time alone. Call this each second. */
  tick(shown: Shown): void {
    const { share, client, end } = shown;
    if (end || !share) return;
    const now = shown.nowMs();
    const left = millis(share.expires) - now;
    const at = local(millis(share.expires) - shown.clockOffsetMs);
    setText(element('end'), left > 0 ? `This share ends in ${duration(left)}, at ${at}.` : 'This share is ending.');
    if (!client) return;
    setText(element('age'), ago(now - whenMs(client)));
    element<HTMLTimeElement>('age').dateTime = client.time;
  }

  private showState({ share, client, end, isReachable }: Shown): void {
    document.body.classList.toggle('over', end !== null);
    element('state').hidden = end === null && client !== null;
    element('why').hidden = end === null;
    if (end) {
      setText(element('state'), end.what);
      setText(element('why'), end.why);
    } else if (share) {
      const text = 'Not known at present: no position has been reported yet, or it was forgotten.';
      setText(element('state'), client ? '' : text);
    } else if (!isReachable) {
      setText(element('state'), 'The server does not answer. Trying again.');
    }
  }

  private showConnection({ isReachable, isLive }: Shown): void {
    const connected = isLive ? 'Connected: changes show at once.' : 'Connected: changes show within seconds.';
    setText(element('connection'), isReachable ? connected : 'No connection. Trying again.');
    element('connection').classList.toggle('live', isReachable);
  }

  private showFacts(client: SharedClient): void {
    const shown = facts(client, local);
    const list = element('facts');
    // The elements stay the same while the names do, so that nobody loses a place or a selection.
    const names = shown.map(([name]) => name).join('\n');
    if (names !== this.factNames) {
      this.factNames = names;
      list.replaceChildren(
        ...shown.flatMap(([name]) => {
          const term = document.createElement('dt');
          term.textContent = name;
          return [term, document.createElement('dd')];
        }),
      );
    }
    const values = list.querySelectorAll('dd');
    shown.forEach(([, text], at) => {
      const value = values[at];
      if (value) setText(value, text);
    });
    const { lat, lon } = client;
    element<HTMLAnchorElement>('map').href =
      `https://www.openstreetmap.org/?mlat=${lat}&mlon=${lon}#map=16/${lat}/${lon}`;
    element<HTMLAnchorElement>('app').href = `geo:${lat},${lon}`;
  }
}
