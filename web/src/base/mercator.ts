// The projection of the map: Web Mercator. The world is a square from 0 to 1, with x from west to east and y from north
// to south. A position across the antimeridian may have an x outside of 0 to 1.

/** The latitude at the upper edge of the square, degrees. */
export const LAT_MAX = 85.051129;
/** The circumference of the Earth at the equator, meters. */
const CIRCUMFERENCE_M = 40_075_016.7;

export function xOf(lon: number): number {
  return lon / 360 + 0.5;
}

export function yOf(lat: number): number {
  const bounded = Math.min(Math.max(lat, -LAT_MAX), LAT_MAX);
  return 0.5 - Math.log(Math.tan(Math.PI / 4 + (bounded * Math.PI) / 360)) / (2 * Math.PI);
}

export function lonOf(x: number): number {
  return (x - Math.floor(x)) * 360 - 180;
}

export function latOf(y: number): number {
  return (Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) * 360) / Math.PI - 90;
}

/** Number of meters of one unit of the square, at some y. */
export function metersPerUnit(y: number): number {
  return CIRCUMFERENCE_M / Math.cosh((0.5 - y) * 2 * Math.PI);
}

/** The x of the same meridian that is nearest to `near`. */
export function wrapped(x: number, near: number): number {
  return x - Math.round(x - near);
}
