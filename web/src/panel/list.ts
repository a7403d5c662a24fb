// Lists of clients and of places: rows with a name and a quiet second line. A row of a client is a button that selects
// the client.

import type { Client, NearbyPlace } from '../api/wire';
import { el } from '../base/dom';
import { ago, distance, kindOfPlace, millis } from '../base/format';

/** A row that selects a client. */
export function clientRow(
  client: Client,
  serverClass: string,
  nowMs: number,
  select: (id: string) => void,
): HTMLElement {
  const when = el('span', { class: 'row-more' }, `${client.server} · ${ago(nowMs - millis(client.received))}`);
  return el(
    'li',
    {},
    el(
      'button',
      { type: 'button', class: 'row', onclick: () => select(client.id) },
      el('span', { class: `row-mark ${serverClass}`, 'aria-hidden': 'true' }),
      el('span', { class: 'row-name' }, client.id),
      when,
    ),
  );
}

/** The places of an answer, nearest first as the server sends them. */
export function placeRows(
  places: readonly NearbyPlace[],
  from: readonly [lat: number, lon: number],
  choose: (place: NearbyPlace) => void,
): HTMLElement {
  const rows = places.map((place) => {
    const { lat, lng } = place.geometry.location;
    const kind = place.types?.find((type) => type !== 'point_of_interest' && type !== 'establishment');
    const far = distance(metersBetween(from[0], from[1], lat, lng));
    const more = kind ? `${kindOfPlace(kind)} · ${far}` : far;
    return el(
      'li',
      {},
      el(
        'button',
        { type: 'button', class: 'row', onclick: () => choose(place) },
        el('span', { class: 'row-name' }, place.name),
        el('span', { class: 'row-more' }, more),
      ),
    );
  });
  return el('ul', { class: 'rows' }, ...rows);
}

/** The distance of two points on a sphere, meters. */
export function metersBetween(lat: number, lon: number, otherLat: number, otherLon: number): number {
  const radians = Math.PI / 180;
  const a =
    Math.sin(((otherLat - lat) * radians) / 2) ** 2 +
    Math.cos(lat * radians) * Math.cos(otherLat * radians) * Math.sin(((otherLon - lon) * radians) / 2) ** 2;
  return 2 * 6_371_009 * Math.asin(Math.min(1, Math.sqrt(a)));
}
