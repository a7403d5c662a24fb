// A net of meridians and parallels, whose spacing follows the zoom. Outlines of land are blank at the scale of streets;
// the net shows there that the map moves, and how far apart things are.

import type { FeatureCollection, Position } from 'geojson';

/** The spacings, degrees. */
const STEPS = [
  30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001, 0.00005,
];
/** The least distance between two lines on the screen, pixels. */
const SPACING_PX_MIN = 110;
/** Maximum number of lines in one direction. Screens are far smaller; this bounds the work for any input. */
const LINES_MAX = 120;

/** The spacing of the net at a zoom, degrees. */
export function spacing(zoom: number): number {
  const perDegree = (512 * 2 ** zoom) / 360;
  const found = STEPS.filter((step) => step * perDegree >= SPACING_PX_MIN);
  return found[found.length - 1] ?? 30;
}

/** The lines of the net in a box. Longitudes may be outside of -180 to 180. */
export function gridLines(
  zoom: number,
  box: readonly [south: number, west: number, north: number, east: number],
): FeatureCollection {
  const step = spacing(zoom);
  const [south, west, north, east] = box;
  const lines: Position[][] = [];
  const values = (from: number, to: number) => {
    const first = Math.floor(from / step);
    const count = Math.min(Math.ceil(to / step) - first, LINES_MAX);
    return Array.from({ length: count + 1 }, (_, at) => (first + at) * step);
  };
  const low = Math.max(south - step, -85);
  const high = Math.min(north + step, 85);
  for (const lon of values(west, east)) {
    lines.push([
      [lon, low],
      [lon, high],
    ]);
  }
  for (const lat of values(south, north)) {
    if (Math.abs(lat) > 85) continue;
    lines.push([
      [west - step, lat],
      [east + step, lat],
    ]);
  }
  const geometry = { type: 'MultiLineString' as const, coordinates: lines };
  return { type: 'FeatureCollection', features: [{ type: 'Feature', properties: {}, geometry }] };
}
