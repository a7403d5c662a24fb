import { describe, expect, test } from 'vitest';
import { area, around, type Box, contains, isInside, widened } from '../base/box';
import { metersBetween } from '../panel/list';
import { boxAround } from '../panel/clients';
import { gridLines, spacing } from './grid';
import type { Session } from '../api/session';
import { creditOf, featuresOf, Labels, sizeOf } from './labels';
import { shortName, withRoom } from './names';
import { textOnly } from './style';

describe('boxes', () => {
  test('a box lies in another one, also across the antimeridian', () => {
    const wide: Box = [-10, 170, 10, -170];
    expect(isInside([-5, 172, 5, 178], wide)).toBe(true);
    expect(isInside([-5, 178, 5, -175], wide)).toBe(true);
    expect(isInside([-5, -179, 5, -171], wide)).toBe(true);
    expect(isInside([-5, 160, 5, 175], wide)).toBe(false);
    expect(isInside([-5, -175, 5, -165], wide)).toBe(false);
    expect(isInside([-5, 172, 11, 178], wide)).toBe(false);
    expect(isInside([-5, 20, 5, 40], [-90, -180, 90, 180])).toBe(true);
  });

  test('a wider box contains the box, and never more than the world', () => {
    for (const box of [
      [10, 20, 11, 21],
      [-90, -180, 90, 180],
      [80, 170, 89, -175],
      [-89, -179, -70, -120],
      [0, -170, 10, 170],
    ] as Box[]) {
      const wide = widened(box, 0.3);
      expect(isInside(box, wide), String(box)).toBe(true);
      expect(Math.max(...wide.map(Math.abs))).toBeLessThanOrEqual(180);
      expect(Math.abs(wide[0])).toBeLessThanOrEqual(90);
    }
  });

  test('a point lies in a box, also across the antimeridian', () => {
    expect(contains([-10, 170, 10, -170], 0, -175)).toBe(true);
    expect(contains([-10, 170, 10, -170], 0, 0)).toBe(false);
    expect(contains([-10, -20, 10, 20], 0, 0)).toBe(true);
    expect(contains([-10, -20, 10, 20], 11, 0)).toBe(false);
    expect(area([-10, 170, 10, -170])).toBe(400);
  });

  test('longitudes stay between -180 and 180', () => {
    expect([around(180), around(190), around(-190), around(720), around(-180)]).toEqual([180, -170, 170, 0, -180]);
  });

  test('a few clients far away do not make the map tiny', () => {
    const near = Array.from({ length: 98 }, (_, at) => ({ lat: 34 + at / 1000, lon: -118 - at / 1000 }));
    const box = boxAround([...near, { lat: -60, lon: 100 }, { lat: 70, lon: 170 }]);
    expect(box?.[0]).toBeGreaterThan(33);
    expect(box?.[3]).toBeLessThan(-117);
    expect(boxAround([{ lat: 1, lon: 2 }])).toEqual([1, 2, 1, 2]);
    expect(boxAround([])).toBeNull();
    const pacific = [178, -179, 179.5, -177].map((lon) => ({ lat: 0, lon }));
    expect(boxAround(pacific), 'across the antimeridian').toEqual([0, 178, 0, -177]);
    expect(boxAround([-70, 20, 100].map((lon) => ({ lat: 0, lon })))).toEqual([0, -70, 0, 100]);
  });
});

describe('labels', () => {
  test('are asked for once for a view, and never for a map with tiles or without the right', async () => {
    const tiles = { url: 'https://tiles.example/{z}/{x}/{y}', attribution: '' };
    for (const [info, places, expected] of [
      [{ tiles: null }, true, 1],
      [{ tiles }, true, 0],
      [{ tiles: null }, false, 0],
    ] as const) {
      const asked: string[] = [];
      const json = async (path: string) => {
        asked.push(path);
        return { places: [] };
      };
      const session = { info, isOpen: true, rights: { places }, json } as unknown as Session;
      const labels = new Labels(session, () => {});
      await labels.update(9, [1, 1, 2, 2]);
      await labels.update(9, [1.1, 1.1, 2, 2]);
      expect(asked.length).toBe(expected);
    }
  });

  test('of larger places are larger, within bounds', () => {
    expect([sizeOf(0, true), sizeOf(1000, true), sizeOf(40_000_000, true)]).toEqual([11, 11, 17]);
    expect(sizeOf(1_000_000, true)).toBeGreaterThan(sizeOf(50_000, true));
    expect(sizeOf(0, false)).toBe(11);
  });

  test('keep the order of prominence', () => {
    const { features } = featuresOf([
      { name: 'Los Angeles', lat: 34, lon: -118, kind: 'city', population: 3_900_000 },
      { name: 'Royce Hall', lat: 34.07, lon: -118.44, kind: 'university' },
    ]);
    expect(features.map(({ properties }) => [properties?.rank, properties?.settlement])).toEqual([
      [0, true],
      [1, false],
    ]);
    expect(features[0]?.geometry.coordinates).toEqual([-118, 34]);
  });

  test('credit whom the herd names, with links and without anything else of HTML', () => {
    expect(creditOf('© <a href="https://osm.org/copyright">OpenStreetMap</a> &amp; others')).toBe(
      '© <a href="https://osm.org/copyright" rel="noreferrer">OpenStreetMap</a> &#38; others',
    );
    expect(creditOf("Places: <a href='https://www.geonames.org/'>GeoNames</a>")).toBe(
      'Places: <a href="https://www.geonames.org/" rel="noreferrer">GeoNames</a>',
    );
    expect(creditOf('<img src=x onerror=alert(1)>GeoNames<a href="javascript:alert(1)">!</a>')).toBe('GeoNames!');
    expect(creditOf('<a href="https://x/&quot;onclick=&quot;y">a&lt;b</a>')).toBe(
      '<a href="https://x/&#34;onclick=&#34;y" rel="noreferrer">a&#60;b</a>',
    );
  });

  test('an attribution of the operator stays a text', () => {
    expect(textOnly('© <b onclick="x">OSM</b> & \'you\'')).not.toMatch(/[<>"']/);
  });
});

describe('the net', () => {
  test('has fewer lines than a screen has room for, at every zoom', () => {
    for (let zoom = 0; zoom <= 20; zoom += 0.7) {
      const perDegree = (512 * 2 ** zoom) / 360;
      const [height, width] = [Math.min(1200 / perDegree, 170), 3 * Math.min(2500 / perDegree, 360)];
      const geometry = gridLines(zoom, [-height / 2, 0, height / 2, width]).features[0]?.geometry;
      const lines = geometry?.type === 'MultiLineString' ? geometry.coordinates : [];
      expect(lines.length, `zoom ${zoom}`).toBeGreaterThan(2);
      expect(lines.length, `zoom ${zoom}`).toBeLessThan(130);
    }
  });

  test('is denser where the map is nearer', () => {
    expect(spacing(3)).toBeGreaterThan(spacing(8));
    expect(spacing(20)).toBeGreaterThan(0);
  });
});

describe('names', () => {
  const named = (id: string, x: number, y: number, isSelected = false) => ({ id, x, y, isSelected });
  const width = () => 60;

  test('do not cover each other, or marks', () => {
    const shown = withRoom([named('a', 0, 0), named('b', 30, 4), named('c', 0, 40)], width);
    expect(shown.map(({ id }) => id)).toEqual(['b', 'c']);
  });

  test('do not cover clusters', () => {
    expect(withRoom([named('a', 0, 0)], width, [[20, -20, 60, 20]])).toEqual([]);
  });

  test('of the selected client are always there', () => {
    const shown = withRoom([named('a', 0, 0), named('z', 10, 4, true), named('b', 20, 0)], width);
    expect(shown[0]?.id).toBe('z');
  });

  test('that are long lose their middle', () => {
    const short = shortName(`${'a'.repeat(100)}${'b'.repeat(100)}`);
    expect(short.length).toBeLessThan(30);
    expect(short).toMatch(/^a+…b+$/);
    expect(shortName('kiwi')).toBe('kiwi');
  });
});

test('distances are those of a sphere', () => {
  expect(metersBetween(0, 0, 0, 1)).toBeCloseTo(111_195, -1);
  expect(metersBetween(51.5, -0.1, 51.5, -0.1)).toBe(0);
});
