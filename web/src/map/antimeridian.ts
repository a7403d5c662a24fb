// Outlines that cross the antimeridian. Natural Earth lets them jump from 180 to -180 degrees, which a flat map would
// draw as a band around the world. Here, longitudes go on beyond 180 degrees instead; MapLibre cuts such shapes and
// draws each part where it belongs. An outline around the pole, which is Antarctica's, goes along the edge of the map
// and back.

import type { Feature, FeatureCollection, Geometry, Position } from 'geojson';

/** A ring or a line whose longitudes do not jump. */
export function unwrapped(line: readonly Position[]): Position[] {
  let turns = 0;
  let before = line[0]?.[0] ?? 0;
  return line.map(([lon = 0, lat = 0]) => {
    if (lon - before > 180) turns -= 360;
    if (before - lon > 180) turns += 360;
    before = lon;
    return [lon + turns, lat];
  });
}

/** A closed ring. If it goes around a pole, it is closed along the edge of the map. */
export function unwrappedRing(ring: readonly Position[]): Position[] {
  const line = unwrapped(ring);
  const [first, last] = [line[0], line[line.length - 1]];
  if (!first || !last || Math.abs((first[0] ?? 0) - (last[0] ?? 0)) < 180) return line;
  const pole = (first[1] ?? 0) < 0 ? -90 : 90;
  return [...line, [last[0] ?? 0, pole], [first[0] ?? 0, pole], first];
}

/** A shape without jumps. */
export function unwrappedGeometry(geometry: Geometry): Geometry {
  switch (geometry.type) {
    case 'Polygon':
      return { type: 'Polygon', coordinates: geometry.coordinates.map(unwrappedRing) };
    case 'MultiPolygon':
      return { type: 'MultiPolygon', coordinates: geometry.coordinates.map((rings) => rings.map(unwrappedRing)) };
    case 'MultiLineString':
      return { type: 'MultiLineString', coordinates: geometry.coordinates.map(unwrapped) };
    case 'GeometryCollection':
      return { type: 'GeometryCollection', geometries: geometry.geometries.map(unwrappedGeometry) };
    default:
      return geometry;
  }
}

/** A collection without jumps. */
export function unwrappedFeatures(of: FeatureCollection | Feature): FeatureCollection {
  const features = of.type === 'FeatureCollection' ? of.features : [of];
  const each = (one: Feature): Feature => ({ ...one, geometry: unwrappedGeometry(one.geometry) });
  return { type: 'FeatureCollection', features: features.map(each) };
}
