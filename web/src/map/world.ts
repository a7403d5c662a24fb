// The outlines of the world: land, and borders between countries, from Natural Earth at a scale of 1:50 million. They
// are a file of their own, which the page loads beside its program. The map works without any network but the server's.

import type { FeatureCollection } from 'geojson';
import { feature, mesh } from 'topojson-client';
import type { GeometryCollection, GeometryObject, Topology } from 'topojson-specification';
import worldUrl from 'world-atlas/countries-50m.json?url';
import { unwrappedFeatures } from './antimeridian';

type World = Topology<{ countries: GeometryCollection; land: GeometryCollection }>;

/** The outlines, as GeoJSON. */
export interface Outlines {
  readonly land: FeatureCollection;
  readonly borders: FeatureCollection;
}

/** Loads the outlines. */
export async function loadOutlines(): Promise<Outlines> {
  const response = await fetch(worldUrl);
  if (!response.ok) throw new Error(`the outlines of the world cannot be loaded: code ${response.status}`);
  return outlinesOf((await response.json()) as World);
}

/** The outlines in a topology of world-atlas. */
export function outlinesOf(world: World): Outlines {
  const { countries, land } = world.objects;
  // Where both sides are the same country, a line is a coast and no border.
  const borders = mesh(world, countries as GeometryObject as never, (a, b) => a !== b);
  return {
    land: unwrappedFeatures(feature(world, land)),
    borders: unwrappedFeatures({ type: 'Feature', properties: {}, geometry: borders }),
  };
}
