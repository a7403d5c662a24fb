// The labels of places, from the herd's own places. They are asked for when the map has come to rest, for the view and
// a margin, and kept while the view stays inside. Tiles have labels of their own, so a map with tiles asks for none.

import type { Feature, FeatureCollection, Point } from 'geojson';
import type { Session } from '../api/session';
import type { LabelAnswer, LabelPlace } from '../api/wire';
import { type Box, isInside, widened } from '../base/box';
import { textOnly as escaped } from './style';

/** Maximum number of labels. More would only hide each other. */
const LABELS_MAX = 150;
/** The part of the view's width and height that the margin adds at each side. */
const MARGIN = 0.25;
/** A kind of place that people live in. All other places are points of interest. */
const SETTLEMENTS = /^(city|town|village|suburb|hamlet|locality|capital|neighbou?rhood|admin|country|state|island)/;

/** Asks for labels. At most one request is on its way. */
export class Labels {
  private shown: Box | null = null;
  private shownZoom = 0;
  private request: AbortController | null = null;

  constructor(
    private readonly session: Session,
    private readonly show: (labels: FeatureCollection, credits: readonly string[]) => void,
  ) {}

  /** The map shows this now. */
  async update(zoom: number, view: Box): Promise<void> {
    const { info, isOpen, rights } = this.session;
    if (info.tiles !== null || !isOpen || !rights.places) return;
    if (this.shown && Math.abs(zoom - this.shownZoom) < 0.5 && isInside(view, this.shown)) return;
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    const box = widened(view, MARGIN);
    try {
      const query = `box=${box.map((degrees) => degrees.toFixed(5)).join(',')}&limit=${LABELS_MAX}`;
      const answer = await this.session.json<LabelAnswer>(`v1/places?${query}`, { signal: request.signal });
      this.shown = box;
      this.shownZoom = zoom;
      this.show(featuresOf(answer.places), (answer.html_attributions ?? []).map(creditOf));
    } catch {
      // A map without labels is still a map. The next movement asks again.
    }
  }

  /** Forgets what is shown, such as after a change of rights. */
  clear(): void {
    this.request?.abort();
    this.shown = null;
    this.show(featuresOf([]), []);
  }
}

/**
 * A credit as safe HTML: links to https stay links, and everything else becomes text. Credits come from the herd, but
 * they are data of whoever made its places.
 */
export function creditOf(html: string): string {
  const link = /<a\s[^>]*href=(["'])(https:\/\/[^"']*)\1[^>]*>(.*?)<\/a>/gi;
  let safe = '';
  let end = 0;
  for (const match of html.matchAll(link)) {
    const [whole, , href = '', text = ''] = match;
    const shown = escaped(plain(text));
    const before = escaped(plain(html.slice(end, match.index)));
    safe += `${before}<a href="${escaped(plain(href))}" rel="noreferrer">${shown}</a>`;
    end = match.index + whole.length;
  }
  return safe + escaped(plain(html.slice(end)));
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

/** The text of a piece of HTML. */
function plain(html: string): string {
  return html
    .replace(/<[^>]*>/g, '')
    .replace(/&(amp|lt|gt|quot|#39);/g, (all, name: string) => ENTITIES[name] ?? all);
}

/** The labels as features. The first place is the most prominent one. */
export function featuresOf(places: readonly LabelPlace[]): FeatureCollection<Point> {
  const features = places.map((place, rank): Feature<Point> => {
    const settlement = place.population !== undefined || SETTLEMENTS.test(place.kind);
    return {
      type: 'Feature',
      geometry: { type: 'Point', coordinates: [place.lon, place.lat] },
      properties: { name: place.name, rank, settlement, size: sizeOf(place.population ?? 0, settlement) },
    };
  });
  return { type: 'FeatureCollection', features };
}

/** The size of a label, pixels: a village has 11, and a city with many millions of people 17. */
export function sizeOf(population: number, settlement: boolean): number {
  if (!settlement) return 11;
  return Math.round(Math.min(Math.max(11 + Math.log10(Math.max(population, 1) / 5_000) * 1.7, 11), 17) * 2) / 2;
}
