// What the parts of the map page share. `main` makes it; each part takes what it needs from it.

import type { Session } from './api/session';
import type { ServerNumbers } from './base/servers';
import type { LiveClients } from './clients/live';
import type { MapView } from './map/view';
import type { Points } from './map/points';
import type { Panel } from './panel/panel';
import type { Theme } from './theme';

export interface App {
  readonly session: Session;
  readonly theme: Theme;
  readonly servers: ServerNumbers;
  readonly live: LiveClients;
  readonly view: MapView;
  readonly points: Points;
  readonly panel: Panel;
  /** Tells people who cannot see the page. Used sparingly. */
  announce(text: string): void;
  /** Shows a short notice, and announces it. */
  notify(text: string): void;
  /** Shows the panel of a client and selects it. */
  select(id: string, options?: { readonly fly?: boolean }): void;
}
