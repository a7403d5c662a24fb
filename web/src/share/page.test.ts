// @vitest-environment happy-dom

import { beforeEach, expect, test } from 'vitest';

import HTML from '../../share.html?raw';
import { INCOMPLETE } from './ends';
import { Follower } from './follow';
import { SharePage } from './page';
import type { SharedClient } from './texts';

const TIME = new Date().toISOString();
const CLIENT: SharedClient = {
  id: 'kiwi <b>',
  lat: 34.06893,
  lon: -118.445127,
  time: TIME,
  received: TIME,
  at: 'AT',
  attributes: { accuracy_m: 12, heading_deg: 90 },
};

beforeEach(() => {
  document.body.innerHTML = /<body>([^]*)<\/body>/.exec(HTML)?.[1] ?? '';
});

/** A page, and the follower whose state it shows. */
function shown(): { page: SharePage; follower: Follower; show: () => void } {
  const outside = { base: 'http://riley/', fetch: () => Promise.reject(new Error()), open: null, random: () => 0 };
  const page = new SharePage();
  const follower = new Follower('', outside, () => page.show(follower));
  return { page, follower, show: () => page.show(follower) };
}

const text = (id: string) => document.getElementById(id)?.textContent?.replaceAll('\u00a0', ' ');
const isHidden = (id: string) => document.getElementById(id)?.hidden;

function share(client: SharedClient | null) {
  return { id: CLIENT.id, expires: new Date(Date.now() + 3_600_500).toISOString(), client };
}

test('a position is shown in words and as a drawing', () => {
  const { follower, show } = shown();
  follower.share = share(CLIENT);
  follower.client = CLIENT;
  follower.isLive = true;
  show();
  expect(text('who')).toBe('kiwi <b>');
  expect(text('age')).toBe('just now');
  expect(text('facts')).toContain('34.06893° N, 118.445127° W');
  expect(text('facts')).toContain('east (90°)');
  expect(text('drawing-title')).toContain('within 12 m');
  expect(text('connection')).toBe('Connected: changes show at once.');
  expect(text('end')).toMatch(/^This share ends in 1 hour, at /);
  expect(document.getElementById('map')?.getAttribute('href')).toContain('mlat=34.06893');
  expect(document.querySelectorAll('#grid path').length).toBeGreaterThan(2);
  expect([isHidden('position'), isHidden('footer'), isHidden('state')]).toEqual([false, false, true]);
});

test('a client that is not known has no position, and keeps the page', () => {
  const { follower, show } = shown();
  follower.share = share(null);
  show();
  expect(text('state')).toContain('Not known at present');
  expect([isHidden('position'), isHidden('footer'), isHidden('state')]).toEqual([true, false, false]);
});

test('a server that has never answered is told, and a lost one keeps the last position', () => {
  const { follower, show } = shown();
  follower.isReachable = false;
  show();
  expect(text('state')).toBe('The server does not answer. Trying again.');
  follower.share = share(CLIENT);
  follower.client = CLIENT;
  show();
  expect(text('connection')).toBe('No connection. Trying again.');
  expect(isHidden('position')).toBe(false);
});

test('an end hides the position and says why', () => {
  const { follower } = shown();
  follower.share = share(CLIENT);
  follower.client = CLIENT;
  follower.finish(INCOMPLETE);
  expect(text('state')).toBe('This link is not complete.');
  expect(text('why')).toContain('after the # sign');
  expect([isHidden('position'), isHidden('footer'), isHidden('why')]).toEqual([true, true, false]);
  expect(document.title).toBe('A shared position');
});

test('an element whose text stays is not written again', () => {
  const { follower, show } = shown();
  follower.share = share(CLIENT);
  follower.client = CLIENT;
  show();
  const before = [...document.querySelectorAll('#facts dd')].map((value) => value.firstChild);
  follower.client = { ...CLIENT, lat: 1 };
  show();
  const after = [...document.querySelectorAll('#facts dd')].map((value) => value.firstChild);
  expect(after.slice(1)).toEqual(before.slice(1));
  expect(text('facts')).toContain('1° N');
});
