// The page of a share: shows the newest position of one client to whoever has the link. The token is the fragment of the
// page's URL, and stays there, so that a reload shows the share again. It goes to this server alone.
//
// This file connects the parts: `follow` asks and listens, `page` shows texts, `map` shows the map. The map is loaded
// when there is something to show, and the page works without it.

import type { Tiles } from '../api/wire';
import { byId } from '../base/dom';
import { Theme } from '../theme';
import { INCOMPLETE, isToken } from './ends';
import { Follower } from './follow';
import type { ShareMap } from './map';
import { SharePage } from './page';

const page = new SharePage();
const theme = new Theme();
const token = location.hash.slice(1);
let map: ShareMap | null = null;
let isMapWanted = false;

const follower = new Follower(
  token,
  {
    base: new URL('.', document.baseURI).href,
    fetch: (url, init) => fetch(url, init),
    open: typeof WebSocket === 'undefined' ? null : (url) => new WebSocket(url),
    random: Math.random,
  },
  show,
);

function show(): void {
  page.show(follower);
  const { client } = follower;
  byId('map-box').hidden = map === null || client === null;
  if (!client) return;
  if (!isMapWanted) {
    isMapWanted = true;
    void loadMap();
  }
  map?.show(client);
}

/** Whether this browser can draw the map. */
function hasWebGl(): boolean {
  return document.createElement('canvas').getContext('webgl2') !== null;
}

/** Loads the map. Without WebGL there is no map, and the drawing shows the position. */
async function loadMap(): Promise<void> {
  if (!hasWebGl()) return;
  try {
    const [{ ShareMap }, tiles] = await Promise.all([import('./map'), loadTiles()]);
    const box = byId('map-box');
    // The map measures its element.
    box.hidden = false;
    const center = byId<HTMLButtonElement>('center');
    const made = new ShareMap(byId('map-view'), theme, tiles, (isFollowing) => {
      center.hidden = isFollowing;
    });
    center.addEventListener('click', () => made.recenter());
    map = made;
    // At the scale of streets, tiles say more than the drawing.
    byId('surroundings').hidden = tiles !== null;
    document.body.classList.add('has-map');
  } catch (error) {
    byId('map-box').hidden = true;
    reportError(error);
  }
  show();
}

/** The tiles that the operator has set. */
async function loadTiles(): Promise<Tiles | null> {
  try {
    const response = await fetch(new URL('v1/map', document.baseURI), { cache: 'no-store', credentials: 'omit' });
    if (!response.ok) return null;
    const { tiles } = (await response.json()) as { tiles?: Tiles | null };
    return tiles ?? null;
  } catch {
    return null;
  }
}

addEventListener('hashchange', () => location.reload());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && follower.share) void follower.ask();
});
addEventListener('online', () => void follower.ask());
setInterval(() => page.tick(follower), 1000);
if (isToken(token)) void follower.ask();
else follower.finish(INCOMPLETE);
