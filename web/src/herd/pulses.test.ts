import { expect, test } from 'vitest';

import { DOTS_MAX, GAP_MS, HOP_MS, PULSES_MAX, Pulses } from './pulses';
import type { Hop } from './route';

const LINE: Hop[] = [
  { from: 'a', to: 'b', depth: 0 },
  { from: 'b', to: 'c', depth: 1 },
  { from: 'b', to: 'd', depth: 1 },
];

function offer(pulses: Pulses, hops: readonly Hop[], atMs: number): boolean {
  if (!pulses.hasRoom(atMs)) return false;
  pulses.begin(hops, atMs);
  return true;
}

test('a pulse runs along its hops, one after the other, and ends', () => {
  const pulses = new Pulses();
  offer(pulses, LINE, 1000);
  expect(pulses.at(1000)).toEqual([{ origin: 'a', from: 'a', to: 'b', part: 0 }]);
  expect(pulses.at(1000 + HOP_MS / 2)).toEqual([{ origin: 'a', from: 'a', to: 'b', part: 0.5 }]);
  expect(pulses.at(1000 + 1.5 * HOP_MS)).toEqual([
    { origin: 'a', from: 'b', to: 'c', part: 0.5 },
    { origin: 'a', from: 'b', to: 'd', part: 0.5 },
  ]);
  expect(pulses.isIdle).toBe(false);
  expect(pulses.at(1000 + 2 * HOP_MS)).toEqual([]);
  expect(pulses.isIdle).toBe(true);
});

test('a herd under load has a bounded number of pulses, and the rest is counted', () => {
  const pulses = new Pulses();
  let shown = 0;
  for (let at = 0; at < 1000; at += 1) if (offer(pulses, LINE, at)) shown += 1;
  expect(shown).toBe(Math.min(PULSES_MAX, Math.ceil(1000 / GAP_MS)));
  expect(pulses.leftOut).toBe(1000 - shown);
});

test('many hops at one moment are bounded, but one update is always shown', () => {
  const star = Array.from({ length: 255 }, (_, at): Hop => ({ from: 'hub', to: `s${at}`, depth: 0 }));
  const pulses = new Pulses();
  offer(pulses, star, 0);
  expect(pulses.at(1)).toHaveLength(DOTS_MAX);
  offer(pulses, star, GAP_MS);
  expect(pulses.leftOut).toBe(1);
  expect(pulses.at(HOP_MS)).toEqual([]);
  expect(offer(pulses, star, HOP_MS + 1)).toBe(true);
  expect(pulses.at(HOP_MS + 2)).toHaveLength(DOTS_MAX);
});

test('an update that goes nowhere takes no room', () => {
  const pulses = new Pulses();
  expect(offer(pulses, [], 0)).toBe(true);
  expect(pulses.isIdle).toBe(true);
  expect(offer(pulses, LINE, 1)).toBe(true);
});

test('after an end of all pulses there is room again', () => {
  const pulses = new Pulses();
  for (let at = 0; at < PULSES_MAX; at += 1) offer(pulses, LINE, at * GAP_MS);
  expect(pulses.hasRoom(PULSES_MAX * GAP_MS)).toBe(false);
  pulses.clear();
  expect(pulses.hasRoom(PULSES_MAX * GAP_MS)).toBe(true);
});
