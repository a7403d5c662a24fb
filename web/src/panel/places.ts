// The places around a point of the map, from Nearby Search.

import { Problem, textOf } from '../api/problem';
import type { NearbyAnswer } from '../api/wire';
import type { App } from '../app';
import { el } from '../base/dom';
import { coordinates } from '../base/format';
import { creditOf } from '../map/labels';
import { placeRows } from './list';

/** The radius of the search by zoom, meters: about a third of the screen. */
export function radiusAt(zoom: number, lat: number, px: number): number {
  const meters = (40_075_016.7 * Math.cos((lat * Math.PI) / 180)) / (512 * 2 ** zoom);
  return Math.round(Math.min(Math.max((meters * px) / 3, 200), 50_000));
}

/** The path of the places around a point. */
export function nearbyPath(lat: number, lon: number, radiusM: number): string {
  const at = `${lat.toFixed(6)},${lon.toFixed(6)}`;
  return `maps/api/place/nearbysearch/json?location=${encodeURIComponent(at)}&radius=${radiusM}`;
}

/** Asks for places at a path, and shows them in an element. */
export async function showPlaces(
  app: App,
  into: HTMLElement,
  path: string,
  from: readonly [lat: number, lon: number],
  signal: AbortSignal,
): Promise<void> {
  into.replaceChildren(el('p', { class: 'quiet-text' }, 'Looking for places…'));
  let shown: HTMLElement;
  try {
    const answer = await app.session.json<NearbyAnswer>(path, { signal });
    if (answer.status === 'OK' || answer.status === 'ZERO_RESULTS') {
      const rows = placeRows(answer.results, from, ({ geometry }) =>
        app.view.flyTo(geometry.location.lat, geometry.location.lng, 14),
      );
      shown = answer.results.length > 0 ? rows : el('p', { class: 'quiet-text' }, 'No places are known here.');
      const credits = answer.html_attributions ?? [];
      if (credits.length > 0) shown = el('div', {}, shown, creditsOf(credits));
    } else {
      shown = el('p', { class: 'problem' }, textOf(answer.error_message ?? `no places: ${answer.status}`));
    }
  } catch (error) {
    if (signal.aborted) return;
    const isForbidden = error instanceof Problem && error.isForbidden;
    shown = el(
      'p',
      { class: 'problem' },
      isForbidden ? 'The token does not allow to ask for places.' : textOf(error),
    );
  }
  if (!signal.aborted) into.replaceChildren(shown);
}

/** Whom the places are from. */
function creditsOf(credits: readonly string[]): HTMLElement {
  const shown = el('p', { class: 'credits' });
  shown.innerHTML = credits.map(creditOf).join(', ');
  return shown;
}

/** Shows the panel with the places around a point. */
export function showPlacesAround(app: App, lat: number, lon: number): void {
  const request = new AbortController();
  const list = el('div', { class: 'places', 'aria-live': 'off' });
  const { zoom, width, height } = app.view.view;
  const radius = radiusAt(zoom, lat, Math.min(width, height));
  const pin = app.view.pin(lat, lon);
  const element = el('div', {}, el('p', { class: 'lead' }, coordinates(lat, lon)), list);
  const close = () => {
    request.abort();
    pin.remove();
  };
  app.panel.show({ title: 'Places here', element, onClose: close });
  void showPlaces(app, list, nearbyPath(lat, lon, radius), [lat, lon], request.signal);
}
