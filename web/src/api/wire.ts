// The JSON that a server sends, as far as the pages read it. Servers of later versions may send more members.

/** `GET /v1/map`: what a page needs before it has a token. */
export interface MapInfo {
  /** The name of the server. */
  readonly server: string;
  /** Whether requests need a token. */
  readonly tokens: boolean;
  /** The tiles to draw below everything else, if the operator has set some. */
  readonly tiles: Tiles | null;
  /** Whether the server belongs to `proxyherd demo`. */
  readonly demo: boolean;
  readonly version: string;
}

/** Raster tiles. */
export interface Tiles {
  /** A URL with `{z}`, `{x}` and `{y}`. */
  readonly url: string;
  /** Whose tiles they are, as a text. */
  readonly attribution: string;
}

/** `GET /v1/rights`: what the page's token allows, for at least one client. */
export interface Rights {
  readonly read: boolean;
  readonly report: boolean;
  readonly places: boolean;
  readonly operate: boolean;
}

/** `GET /v1/herd`: the servers of the herd. */
export interface HerdInfo {
  readonly server: string;
  readonly servers: readonly HerdServer[];
}

/** One server of the herd. */
export interface HerdServer {
  readonly name: string;
  /** The base URLs of the server's HTTP doors. */
  readonly http: readonly string[];
}

/** The value of an attribute. */
export type AttributeValue = number | string;

/** A client: its newest report. */
export interface Client {
  readonly id: string;
  /** The ID for paths, if `id` is not what the client's ID really is. */
  readonly id_url?: string;
  readonly lat: number;
  readonly lon: number;
  /** When the client was there, as an RFC 3339 text. */
  readonly time: string;
  /** When the herd took the report. */
  readonly received: string;
  /** The server that took the report. */
  readonly server: string;
  readonly difference_s: number;
  /** The AT line. */
  readonly at: string;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly distance_m?: number;
}

/** `GET /v1/clients`. */
export interface ClientPage {
  readonly clients: readonly Client[];
  /** The `after` of the next page, if there are more. */
  readonly next?: string | null;
}

/** `GET /v1/places`: the most prominent places of a box. */
export interface LabelAnswer {
  readonly places: readonly LabelPlace[];
  /** Whom the map must credit. */
  readonly html_attributions?: readonly string[];
}

/** A label of the map. */
export interface LabelPlace {
  readonly name: string;
  readonly lat: number;
  readonly lon: number;
  readonly kind: string;
  readonly population?: number;
}

/** The answer of Nearby Search, as far as the pages read it. */
export interface NearbyAnswer {
  readonly status: string;
  readonly error_message?: string;
  readonly results: readonly NearbyPlace[];
  readonly html_attributions?: readonly string[];
}

/** A place of Nearby Search. */
export interface NearbyPlace {
  readonly name: string;
  readonly vicinity?: string;
  readonly types?: readonly string[];
  readonly geometry: { readonly location: { readonly lat: number; readonly lng: number } };
}

/** The answer to `POST /v1/shares`. */
export interface MadeShare {
  readonly url: string;
  readonly share: string;
  readonly id: string;
  readonly expires: string;
}

/** The answer to `POST /v1/reports`. */
export interface ReportsAnswer {
  readonly accepted: number;
  readonly stale: number;
  readonly refused: number;
  readonly errors: readonly { readonly index: number; readonly detail: string }[];
}

/** A message of the WebSocket. */
export type StreamMessage =
  | { readonly event: 'reset' | 'synced'; readonly id: string }
  | { readonly event: 'location'; readonly id: string; readonly data: Client }
  | { readonly event: 'left' | 'gone'; readonly id: string; readonly data: { readonly id: string } }
  | { readonly event: 'presence'; readonly id: string }
  | { readonly event?: undefined; readonly ref?: string; readonly result?: string; readonly error?: string };
