import { expect, test } from 'vitest';

import { gridAround, HALF_HEIGHT, HALF_WIDTH, niceAbove, niceBelow, unitsPerMeter } from './grid';

test('nice numbers are the nearest ones', () => {
  expect([1, 1.9, 2, 7, 99, 0.3].map(niceBelow)).toEqual([1, 1, 2, 5, 50, 0.2]);
  expect([1, 1.1, 2.1, 7, 99, 0.3].map(niceAbove)).toEqual([1, 2, 5, 10, 100, 0.5]);
});

test('the circle of the accuracy fills about half of the height, and never leaves the drawing', () => {
  for (const accuracy of [0, 1, 138, 139, 1000, 100_000]) {
    expect(accuracy * unitsPerMeter(accuracy)).toBeLessThan(0.6 * HALF_HEIGHT);
  }
});

test('a grid has few lines and names everywhere, and no name leaves the drawing', () => {
  for (const lat of [-90, -60, 0, 34.06893, 89.99]) {
    for (const lon of [-180, -118.445127, 0, 179.999]) {
      for (const accuracy of [0, 500, 1e6]) {
        const { lines, names } = gridAround(lat, lon, unitsPerMeter(accuracy));
        expect(lines.length).toBeGreaterThan(0);
        expect(lines.length).toBeLessThan(30);
        for (const { text, x, isAtEnd } of names) {
          const width = text.length * 6;
          expect(isAtEnd ? x - width : x).toBeGreaterThanOrEqual(-HALF_WIDTH);
          expect(isAtEnd ? x : x + width).toBeLessThanOrEqual(HALF_WIDTH);
        }
      }
    }
  }
});

test('names continue on the other side of the antimeridian', () => {
  const { names } = gridAround(0, 179.999, unitsPerMeter(500));
  const longitudes = names.map(({ text }) => text).filter((text) => !/[NS]$/.test(text));
  expect(longitudes.some((text) => text.endsWith('E'))).toBe(true);
  expect(longitudes.some((text) => text.endsWith('W'))).toBe(true);
});
