import type { Position } from 'geojson';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { unwrapped, unwrappedRing } from './antimeridian';
import { outlinesOf } from './world';

test('a line across the antimeridian goes on beyond 180 degrees', () => {
  expect(
    unwrapped([
      [170, 0],
      [-170, 1],
      [175, 2],
    ]),
  ).toEqual([
    [170, 0],
    [190, 1],
    [175, 2],
  ]);
  expect(
    unwrapped([
      [-170, 0],
      [170, 1],
      [-175, 2],
    ]),
  ).toEqual([
    [-170, 0],
    [-190, 1],
    [-175, 2],
  ]);
  expect(
    unwrapped([
      [10, 0],
      [100, 1],
    ]),
  ).toEqual([
    [10, 0],
    [100, 1],
  ]);
});

test('a ring around a pole is closed along the edge of the map', () => {
  const ring = unwrappedRing([
    [0, -70],
    [120, -70],
    [-120, -70],
    [0, -70],
  ]);
  expect(ring).toEqual([
    [0, -70],
    [120, -70],
    [240, -70],
    [360, -70],
    [360, -90],
    [0, -90],
    [0, -70],
  ]);
});

test('no outline of the world jumps from one edge of the map to the other', () => {
  const path = new URL('../../node_modules/world-atlas/countries-50m.json', import.meta.url);
  const { land, borders } = outlinesOf(JSON.parse(readFileSync(path, 'utf8')));
  let points = 0;
  const check = (line: Position[]) =>
    line.forEach(([lon = 0], at) => {
      points += 1;
      const [before = lon] = line[at - 1] ?? [];
      // Only the ring of Antarctica runs along the edge of the map.
      if (Math.abs(lon - before) > 180) expect(line[at]?.[1]).toBe(-90);
    });
  for (const { geometry } of [...land.features, ...borders.features]) {
    if (geometry.type === 'MultiPolygon') geometry.coordinates.flat().forEach(check);
    else if (geometry.type === 'Polygon') geometry.coordinates.forEach(check);
    else if (geometry.type === 'MultiLineString') geometry.coordinates.forEach(check);
    else expect.fail(geometry.type);
  }
  expect(points).toBeGreaterThan(50_000);
});
