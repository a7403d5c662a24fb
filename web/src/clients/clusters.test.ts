import { describe, expect, test } from 'vitest';
import { CLUSTER_MIN, CLUSTER_ZOOM_MAX, Sorted, type View, worldPx } from './clusters';

function view(zoom: number, x = 0.5, y = 0.5): View {
  return { zoom, x, y, width: 1000, height: 600 };
}

/** Sorts clients at these places of the screen, pixels from the middle. */
function sort(of: View, places: readonly (readonly [number, number])[], alone = -1): Sorted {
  const world = worldPx(of.zoom);
  const sorted = new Sorted();
  const xs = Float64Array.from(places, ([x]) => of.x + x / world);
  const ys = Float64Array.from(places, ([, y]) => of.y + y / world);
  sorted.sort(of, places.length, xs, ys, alone);
  return sorted;
}

/** Clients close together. */
function crowd(count: number, x: number, y: number): (readonly [number, number])[] {
  return Array.from({ length: count }, (_, at) => [x + (at % 7), y + (at % 5)] as const);
}

describe('clustering', () => {
  test('every client in view is drawn once: alone or in one cluster', () => {
    const places = Array.from(
      { length: 4000 },
      (_, at) => [((at * 37) % 990) - 495, ((at * 101) % 590) - 295] as const,
    );
    for (const zoom of [0.5, 3, 9.99, 10, 15.9, 16, 19]) {
      const sorted = sort(view(zoom, 0.3, 0.4), places);
      const inClusters = sorted.clusterCount.slice(0, sorted.clusters).reduce((sum, count) => sum + count, 0);
      expect(sorted.singles + inClusters, `zoom ${zoom}`).toBe(4000);
      expect(sorted.inView).toBe(4000);
    }
  });

  test('many clients in one place are a cluster in their middle', () => {
    const sorted = sort(view(8), crowd(35, 10, 10));
    expect(sorted.singles + sorted.clusters).toBeLessThan(CLUSTER_MIN + 4);
    expect(sorted.clusters).toBeGreaterThan(0);
    expect(sorted.clusterX[0]).toBeGreaterThanOrEqual(10);
    expect(sorted.clusterX[0]).toBeLessThanOrEqual(17);
  });

  test('few clients are drawn alone', () => {
    const sorted = sort(view(8), crowd(CLUSTER_MIN - 1, 10, 10));
    expect([sorted.singles, sorted.clusters]).toEqual([CLUSTER_MIN - 1, 0]);
  });

  test('nothing is clustered where streets are seen', () => {
    const sorted = sort(view(CLUSTER_ZOOM_MAX), crowd(50, 10, 10));
    expect([sorted.singles, sorted.clusters]).toEqual([50, 0]);
  });

  test('the selected client is drawn alone, also in a crowd', () => {
    const sorted = sort(view(8), crowd(40, 10, 10), 5);
    const alone = Array.from(sorted.slot.slice(0, sorted.singles));
    expect(alone).toContain(5);
    expect(sorted.clusterCount.slice(0, sorted.clusters).reduce((sum, count) => sum + count, 0)).toBe(
      40 - alone.length,
    );
  });

  test('clients out of view are not drawn, and those at the edge are', () => {
    const sorted = sort(view(12), [
      [505, 0],
      [700, 0],
      [0, -310],
      [0, 400],
      [-499, 299],
    ]);
    expect(Array.from(sorted.slot.slice(0, sorted.singles))).toEqual([0, 2, 4]);
    expect(sorted.inView).toBe(1);
  });

  test('a client on the other side of the antimeridian is drawn beside it', () => {
    const sorted = new Sorted();
    sorted.sort(view(4, 0.9999), 1, Float64Array.of(0.0001), Float64Array.of(0.5), -1);
    expect(sorted.singles).toBe(1);
    expect(sorted.x[0]).toBeCloseTo(0.0002 * worldPx(4), 3);
  });

  test('dragging the map regroups nothing', () => {
    const places = Array.from(
      { length: 600 },
      (_, at) => [((at * 37) % 300) - 150, ((at * 101) % 300) - 150] as const,
    );
    const world = worldPx(9);
    const xs = Float64Array.from(places, ([x]) => 0.5 + x / world);
    const ys = Float64Array.from(places, ([, y]) => 0.5 + y / world);
    const groups = (shift: number) => {
      const sorted = new Sorted();
      sorted.sort(view(9, 0.5 + shift / world), xs.length, xs, ys, -1);
      return Array.from(sorted.clusterCount.slice(0, sorted.clusters));
    };
    expect(groups(0).length).toBeGreaterThan(3);
    for (const shift of [0.5, 3, 41, 77]) expect(groups(shift)).toEqual(groups(0));
  });
});
