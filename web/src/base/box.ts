// Boxes of latitudes and longitudes: south, west, north, east, in degrees. West is greater than east in a box across the
// antimeridian.

/** A box. */
export type Box = readonly [south: number, west: number, north: number, east: number];

/** Whether a box lies in another one. */
export function isInside(inner: Box, outer: Box): boolean {
  const [south, west, north, east] = outer;
  const offset = span(west, inner[1]);
  return inner[0] >= south && inner[2] <= north && offset + span(inner[1], inner[3]) <= span(west, east);
}

/** The box with a margin at each side, a part of its width and height, within the world. */
export function widened(box: Box, margin: number): Box {
  const [south, west, north, east] = box;
  const width = span(west, east);
  const height = north - south;
  const low = Math.max(south - height * margin, -90);
  const high = Math.min(north + height * margin, 90);
  if (width * (1 + 2 * margin) >= 360) return [low, -180, high, 180];
  return [low, around(west - width * margin), high, around(east + width * margin)];
}

/** The area of a box, in degrees times degrees. */
export function area([south, west, north, east]: Box): number {
  return (north - south) * span(west, east);
}

/** Whether a point lies in a box. */
export function contains([south, west, north, east]: Box, lat: number, lon: number): boolean {
  const isBetween = west <= east ? lon >= west && lon <= east : lon >= west || lon <= east;
  return isBetween && lat >= south && lat <= north;
}

/** A longitude between -180 and 180 degrees. */
export function around(lon: number): number {
  return lon >= -180 && lon <= 180 ? lon : ((((lon + 180) % 360) + 360) % 360) - 180;
}

/** Number of degrees from one longitude to another one, eastward. */
function span(from: number, to: number): number {
  return to < from ? to + 360 - from : to - from;
}
