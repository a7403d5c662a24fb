// What the page of a share shows, from the state of its follower. `SharePage` writes texts into the elements of
// share.html and knows nothing of requests. A text is written only if it changes, because a screen reader speaks a text
// that is set again.

import { byId, setText } from '../base/dom';
import { FactList } from '../base/facts';
import { millis } from '../base/format';
import { Drawing } from './drawing';
import type { Follower } from './follow';
import { ago, duration, facts, type SharedClient, whenMs } from './texts';

const TITLE = 'A shared position';

/** The part of a follower that the page shows. */
export type Shown = Pick<
  Follower,
  'share' | 'client' | 'end' | 'isLive' | 'isReachable' | 'clockOffsetMs' | 'nowMs'
>;

/** Writes a time as this browser's person writes times. */
function local(ms: number): string {
  return new Date(ms).toLocaleString();
}

export class SharePage {
  private readonly drawing = new Drawing({
    title: byId('drawing-title'),
    grid: byId('grid'),
    mark: byId('mark'),
    scale: byId('scale'),
    scaleText: byId('scale-text'),
  });
  private readonly facts = new FactList(byId('facts'));

  /** Shows the state. */
  show(shown: Shown): void {
    const { share, client, end } = shown;
    byId('footer').hidden = end !== null || share === null;
    byId('position').hidden = end !== null || client === null;
    byId('since').hidden = end !== null || client === null;
    setText(byId('who'), share?.id ?? TITLE);
    byId('kind').hidden = share === null;
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
    setText(byId('end'), left > 0 ? `This share ends in ${duration(left)}, at ${at}.` : 'This share is ending.');
    if (!client) return;
    setText(byId('age'), ago(now - whenMs(client)));
    byId<HTMLTimeElement>('age').dateTime = client.time;
  }

  private showState({ share, client, end, isReachable }: Shown): void {
    document.body.classList.toggle('over', end !== null);
    byId('state').hidden = end === null && client !== null;
    byId('why').hidden = end === null;
    if (end) {
      setText(byId('state'), end.what);
      setText(byId('why'), end.why);
    } else if (share) {
      const text = 'Not known at present: no position has been reported yet, or it was forgotten.';
      setText(byId('state'), client ? '' : text);
    } else if (!isReachable) {
      setText(byId('state'), 'The server does not answer. Trying again.');
    }
  }

  private showConnection({ isReachable, isLive }: Shown): void {
    const connected = isLive ? 'Connected: changes show at once.' : 'Connected: changes show within seconds.';
    setText(byId('connection'), isReachable ? connected : 'No connection. Trying again.');
    byId('connection').classList.toggle('live', isReachable);
  }

  private showFacts(client: SharedClient): void {
    this.facts.show(facts(client, local));
    const { lat, lon } = client;
    byId<HTMLAnchorElement>('map').href =
      `https://www.openstreetmap.org/?mlat=${lat}&mlon=${lon}#map=16/${lat}/${lon}`;
    byId<HTMLAnchorElement>('app').href = `geo:${lat},${lon}`;
  }
}
