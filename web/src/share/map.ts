// The map of a share's page: the same view of the world as the map of the herd, without labels, since the token of a
// share may not ask for places. Above it is the mark of the shared client. The map follows the client until the person
// moves the map, and again when the person asks for that.
//
// The page loads this module after it shows the position in words. Where there is no WebGL, the constructor throws, and
// the page stays without a map.

import '../style/map.css';
import type { Tiles } from '../api/wire';
import { xOf, yOf } from '../base/mercator';
import { change, svg } from '../base/svg';
import { MapView } from '../map/view';
import { type Theme, wantsLittleMotion } from '../theme';
import { Mark } from './mark';
import { accuracyM, attribute, type SharedClient } from './texts';

/** The zoom at which the map begins: the region where there are only outlines, and streets where there are tiles. */
const ZOOM_OUTLINES = 6.5;
const ZOOM_TILES = 15;
/** The length of the Earth's circumference, meters. */
const CIRCUMFERENCE_M = 40_030_228;

export class ShareMap {
  private readonly view: MapView;
  private readonly overlay = svg('svg', { class: 'overlay', 'aria-hidden': 'true' });
  private readonly group = svg('g');
  private readonly mark: Mark;
  private client: SharedClient | null = null;
  private isFollowing = true;

  constructor(
    container: HTMLElement,
    theme: Theme,
    tiles: Tiles | null,
    private readonly followingChanged: (isFollowing: boolean) => void,
  ) {
    this.view = new MapView(container, theme.colors, tiles);
    this.view.map.jumpTo({ center: [0, 20], zoom: tiles ? ZOOM_TILES : ZOOM_OUTLINES });
    this.mark = new Mark(this.group);
    this.overlay.append(this.group);
    container.append(this.overlay);
    theme.changed.listen(() => this.view.recolor(theme.colors));
    // The attribute says in which theme the map is drawn as a whole. Tests wait for it.
    this.view.map.on('idle', () => {
      container.dataset.drawn = theme.name;
    });
    this.view.drawn.listen(() => this.draw());
    // Only movements by the person have an event of the browser. Zooming keeps the middle unless the pointer says where.
    this.view.map.on('dragstart', () => this.follow(false));
    this.view.map.on('movestart', (event) => {
      if (event.originalEvent instanceof KeyboardEvent && event.originalEvent.key.startsWith('Arrow')) this.follow(false);
    });
  }

  /** Shows the client, where it is now. */
  show(client: SharedClient): void {
    const isFirst = this.client === null;
    this.client = client;
    if (this.isFollowing) this.center(isFirst);
    this.draw();
  }

  /** Brings the client back into the middle, and follows it. */
  recenter(): void {
    this.follow(true);
    this.center(false);
  }

  private follow(isFollowing: boolean): void {
    if (this.isFollowing === isFollowing) return;
    this.isFollowing = isFollowing;
    this.followingChanged(isFollowing);
  }

  private center(isAtOnce: boolean): void {
    if (!this.client) return;
    const center: [number, number] = [this.client.lon, this.client.lat];
    if (isAtOnce || wantsLittleMotion()) this.view.map.jumpTo({ center });
    else this.view.map.easeTo({ center, duration: 600 });
  }

  private draw(): void {
    const { client } = this;
    if (!client) return;
    const { x, y, zoom, width, height } = this.view.view;
    const world = 512 * 2 ** zoom;
    // The nearer way around the world.
    const across = ((((xOf(client.lon) - x + 0.5) % 1) + 1) % 1) - 0.5;
    const left = width / 2 + across * world;
    const top = height / 2 + (yOf(client.lat) - y) * world;
    const pixelsPerMeter = world / (CIRCUMFERENCE_M * Math.max(Math.cos((client.lat * Math.PI) / 180), 1e-3));
    change(this.group, { transform: `translate(${left.toFixed(1)} ${top.toFixed(1)})` });
    this.mark.show(Math.min(accuracyM(client) * pixelsPerMeter, 2 * world), attribute(client, 'heading_deg'));
  }
}
