import { expect, test } from 'vitest';

import { CIRCLE_MAX, type Ends, layout } from './layout';

const CLASSIC = ['Riley', 'Jaquez', 'Juzang', 'Campbell', 'Bernard'];
const CLASSIC_LINKS: Ends[] = [
  ['Riley', 'Jaquez'],
  ['Riley', 'Juzang'],
  ['Jaquez', 'Bernard'],
  ['Juzang', 'Campbell'],
  ['Juzang', 'Bernard'],
  ['Campbell', 'Bernard'],
];

/** Servers on a ring, and links across it. */
function ring(count: number): [string[], Ends[]] {
  const names = Array.from({ length: count }, (_, at) => `s${at}`);
  return [names, names.map((name, at) => [name, `s${(at + 1) % count}`])];
}

function crossings(names: readonly string[], links: readonly Ends[]): number {
  const places = layout(names, links);
  const at = (name: string) => places.get(name) ?? { x: Number.NaN, y: Number.NaN };
  const side = (a: string, b: string, c: string) =>
    Math.sign((at(b).x - at(a).x) * (at(c).y - at(a).y) - (at(b).y - at(a).y) * (at(c).x - at(a).x));
  let count = 0;
  links.forEach(([a, b], index) => {
    for (const [c, d] of links.slice(index + 1)) {
      if (new Set([a, b, c, d]).size < 4) continue;
      if (side(a, b, c) !== side(a, b, d) && side(c, d, a) !== side(c, d, b)) count += 1;
    }
  });
  return count;
}

test('the classic herd has no crossing', () => {
  expect(crossings(CLASSIC, CLASSIC_LINKS)).toBe(0);
});

test('a ring in any order has no crossing', () => {
  const [, links] = ring(8);
  expect(crossings(['s0', 's4', 's2', 's6', 's1', 's5', 's3', 's7'], links)).toBe(0);
});

test('the same herd has the same places', () => {
  for (const [names, links] of [[CLASSIC, CLASSIC_LINKS] as const, ring(40)]) {
    expect(layout(names, links)).toEqual(layout(names, links));
  }
});

test('links decide about places only, not their order or direction', () => {
  const turned = [...CLASSIC_LINKS].reverse().map(([a, b]): Ends => [b, a]);
  const [one, other] = [layout(CLASSIC, CLASSIC_LINKS), layout(CLASSIC, turned)];
  for (const name of CLASSIC) expect(other.get(name)).toEqual(one.get(name));
});

test('all places are in the square, and no two servers are at one place', () => {
  for (const count of [1, 2, 3, CIRCLE_MAX, CIRCLE_MAX + 1, 60, 256]) {
    const places = [...layout(...ring(count)).values()];
    expect(places).toHaveLength(count);
    for (const [index, a] of places.entries()) {
      expect(Math.max(Math.abs(a.x), Math.abs(a.y))).toBeLessThanOrEqual(1 + 1e-9);
      for (const b of places.slice(index + 1)) expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThan(1e-3);
    }
  }
});

test('links to unknown servers and to the server itself change nothing', () => {
  const strange: Ends[] = [...CLASSIC_LINKS, ['Riley', 'Nobody'], ['Riley', 'Riley']];
  expect(layout(CLASSIC, strange)).toEqual(layout(CLASSIC, CLASSIC_LINKS));
});

test('a herd without links has places', () => {
  const names = ring(30)[0];
  for (const { x, y } of layout(names, []).values()) expect(Number.isFinite(x + y)).toBe(true);
});
