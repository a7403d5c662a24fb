// The layers below the clients: water, tiles if the operator has set some, land, borders, the net, and the labels of
// places. Labels have no glyph server: MapLibre draws their characters with the fonts of the system.

import type { LayerSpecification, SourceSpecification, StyleSpecification } from 'maplibre-gl';
import type { Tiles } from '../api/wire';
import type { MapColors } from '../theme';

const NOTHING = { type: 'FeatureCollection' as const, features: [] };
const FONT = ['system-ui'];

/** The sources whose data the page sets. */
export type PageSource = 'land' | 'borders' | 'grid' | 'places';

/** The whole style. */
export function styleOf(colors: MapColors, tiles: Tiles | null): StyleSpecification {
  const empty = (options: object = {}) => ({ type: 'geojson' as const, data: NOTHING, ...options });
  const sources: Record<string, SourceSpecification> = {
    land: empty({ maxzoom: 8, tolerance: 0.5, attribution: 'Outlines: Natural Earth' }),
    borders: empty({ maxzoom: 8 }),
    grid: empty({ maxzoom: 18 }),
    places: empty({ maxzoom: 14 }),
  };
  if (tiles) {
    sources.tiles = { type: 'raster', tiles: [tiles.url], tileSize: 256, attribution: textOnly(tiles.attribution) };
  }
  return { version: 8, sources, layers: layersOf(colors, tiles !== null), transition: { duration: 0, delay: 0 } };
}

/** MapLibre shows an attribution as HTML. The operator's text stays a text. */
export function textOnly(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function layersOf(colors: MapColors, hasTiles: boolean): LayerSpecification[] {
  const ground: LayerSpecification[] = [
    { id: 'water', type: 'background', paint: { 'background-color': colors.water } },
    { id: 'land', type: 'fill', source: 'land', paint: { 'fill-color': colors.land, 'fill-antialias': false } },
  ];
  if (hasTiles) ground.push({ id: 'tiles', type: 'raster', source: 'tiles', paint: { 'raster-fade-duration': 0 } });
  return [
    ...ground,
    {
      id: 'coast',
      type: 'line',
      source: 'land',
      paint: { 'line-color': colors.coast, 'line-width': ['interpolate', ['linear'], ['zoom'], 1, 0.5, 8, 1.5] },
    },
    {
      id: 'grid',
      type: 'line',
      source: 'grid',
      paint: { 'line-color': colors.grid, 'line-width': 0.5, 'line-opacity': hasTiles ? 0 : 0.7 },
    },
    {
      id: 'borders',
      type: 'line',
      source: 'borders',
      paint: { 'line-color': colors.border, 'line-width': ['interpolate', ['linear'], ['zoom'], 1, 0.6, 8, 1.6] },
    },
    ...labelsOf(colors, hasTiles),
  ];
}

/** Larger places have larger labels, which take their room first. */
function labelsOf(colors: MapColors, hasTiles: boolean): LayerSpecification[] {
  if (hasTiles) return [];
  return [
    {
      id: 'place-dots',
      type: 'circle',
      source: 'places',
      filter: ['!', ['get', 'settlement']],
      minzoom: 11,
      paint: { 'circle-radius': 2, 'circle-color': colors.label, 'circle-opacity': 0.5 },
    },
    {
      id: 'place-labels',
      type: 'symbol',
      source: 'places',
      layout: {
        'text-field': ['get', 'name'],
        'text-font': FONT,
        'text-size': ['get', 'size'],
        'text-max-width': 8,
        'text-padding': 6,
        'symbol-sort-key': ['get', 'rank'],
        'text-variable-anchor': ['center', 'top', 'bottom'],
        'text-radial-offset': 0.4,
        'text-justify': 'auto',
      },
      paint: {
        'text-color': colors.label,
        'text-halo-color': colors.halo,
        'text-halo-width': 1.5,
        'text-opacity': ['case', ['get', 'settlement'], 1, 0.85],
      },
    },
  ];
}
