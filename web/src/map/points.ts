// The moving clients above the map: single marks with directions, clusters with numbers, names, and the trail of the
// selected client. A frame is drawn when the map moves, when clients glide, and when somebody asks for one; a page
// where nothing moves draws nothing.

import { compact } from '../base/format';
import { wrapped } from '../base/mercator';
import { Sorted, type View, worldPx } from '../clients/clusters';
import { Pace, waitMs } from '../clients/pace';
import type { ClientStore } from '../clients/store';
import type { MapColors } from '../theme';
import { type Area, NAMES_MAX, type Named, Names } from './names';
import { Marks, Painter, TRAIL_HALF_PX } from './painter';
import { KIND, TRAIL_FLOATS } from './shaders';
import type { MapView } from './view';

/** The distance at which a pointer still meets a mark, pixels. */
const REACH_PX = 16;
const DOT_SIZE = 26;
const SERVER_COLORS = 8;
/** The largest circle of an accuracy, pixels. Many graphics processors draw no larger mark. */
const AREA_PX_MAX = 1000;

/** What is below a pointer. */
export type Hit =
  | { readonly kind: 'client'; readonly id: string }
  | { readonly kind: 'cluster'; readonly px: number; readonly py: number; readonly count: number };

export class Points {
  /** The selected client. */
  selected: string | null = null;
  /** The client below the pointer. */
  hovered: string | null = null;
  /** The trail of the selected client, as x and y in turn. */
  trail: readonly number[] = [];
  /** Called after each frame that was drawn. */
  onDrawn: (() => void) | null = null;
  readonly sorted = new Sorted();
  private readonly painter: Painter;
  private readonly names: Names;
  private readonly marks = new Marks();
  private xs = new Float64Array(1024);
  private ys = new Float64Array(1024);
  private corners = new Float32Array(0);
  private cornerCount = 0;
  private readonly pace = new Pace(() => {
    // While the map moves, it says when to draw, so that both stay together.
    if (!this.view.isMoving) this.draw();
  });

  constructor(
    private readonly view: MapView,
    private readonly store: ClientStore,
    private colors: MapColors,
  ) {
    const container = view.map.getCanvasContainer();
    const canvas = layer(container, 'points');
    this.painter = new Painter(canvas, colors, () => this.ask());
    this.names = new Names(layer(container, 'names'));
    view.drawn.listen(() => this.draw());
  }

  recolor(colors: MapColors): void {
    this.colors = colors;
    this.painter.recolor(colors);
    this.ask();
  }

  /** Asks for a frame, at the latest after a time. */
  ask(afterMs = 0): void {
    this.pace.ask(afterMs);
  }

  /** What is at a point of the screen, pixels from the left and the upper edge. */
  hit(px: number, py: number): Hit | null {
    const { width, height } = this.view.view;
    const [x, y] = [px - width / 2, py - height / 2];
    const { sorted } = this;
    let nearest = REACH_PX;
    let found: Hit | null = null;
    for (let at = 0; at < sorted.singles; at += 1) {
      const far = Math.hypot((sorted.x[at] as number) - x, (sorted.y[at] as number) - y);
      const id = far < nearest ? this.store.at(sorted.slot[at] as number)?.id : undefined;
      if (id === undefined) continue;
      nearest = far;
      found = { kind: 'client', id };
    }
    if (found) return found;
    for (let at = 0; at < sorted.clusters; at += 1) {
      const [cx, cy] = [sorted.clusterX[at] as number, sorted.clusterY[at] as number];
      const count = sorted.clusterCount[at] as number;
      const far = Math.hypot(cx - x, cy - y) - clusterSize(count) / 2 + REACH_PX / 2;
      if (far >= nearest) continue;
      nearest = far;
      found = { kind: 'cluster', px: cx + width / 2, py: cy + height / 2, count };
    }
    return found;
  }

  private draw(): void {
    const nowMs = performance.now();
    const { store, sorted, marks } = this;
    const view = this.view.view;
    if (this.xs.length < store.count) {
      this.xs = new Float64Array(store.heading.length);
      this.ys = new Float64Array(store.heading.length);
    }
    store.positions(nowMs, this.xs, this.ys);
    const alone = this.selected === null ? -1 : (store.slotOf(this.selected) ?? -1);
    sorted.sort(view, store.count, this.xs, this.ys, alone);
    marks.clear();
    this.markArea(view, alone);
    this.markClusters();
    this.markSingles(alone);
    this.layTrail(view, alone);
    this.painter.resize(view.width, view.height);
    const color = alone >= 0 ? (store.server[alone] ?? 0) % SERVER_COLORS : 0;
    this.painter.paint(marks, this.corners, this.cornerCount, color);
    const named = this.named(alone);
    const circles = named.length > 0 ? this.circles() : [];
    this.names.draw(named, circles, view.width, view.height, this.colors);
    if (nowMs < store.glidingUntilMs) this.ask(waitMs(store.speed * worldPx(view.zoom)));
    this.onDrawn?.();
  }

  /** The accuracy of the selected client's position. */
  private markArea(view: View, alone: number): void {
    const client = alone >= 0 ? this.store.at(alone) : undefined;
    const accuracy = client?.attributes.accuracy_m;
    const y = this.ys[alone];
    if (typeof accuracy !== 'number' || y === undefined) return;
    const meters = 40_075_016.7 / Math.cosh((0.5 - y) * 2 * Math.PI);
    const size = (Math.abs(accuracy) / meters) * worldPx(view.zoom) * 2;
    if (size < 4 || size > AREA_PX_MAX) return;
    const x = (wrapped(this.xs[alone] ?? 0, view.x) - view.x) * worldPx(view.zoom);
    const top = (y - view.y) * worldPx(view.zoom);
    this.marks.add(x, top, size, KIND.area, (this.store.server[alone] ?? 0) % SERVER_COLORS, 0);
  }

  private markClusters(): void {
    const { sorted, marks } = this;
    for (let at = 0; at < sorted.clusters; at += 1) {
      const count = sorted.clusterCount[at] as number;
      marks.add(sorted.clusterX[at] as number, sorted.clusterY[at] as number, clusterSize(count), KIND.cluster, 0, 0);
    }
    for (let at = 0; at < sorted.clusters; at += 1) {
      const count = sorted.clusterCount[at] as number;
      marks.addNumber(compact(count), sorted.clusterX[at] as number, sorted.clusterY[at] as number);
    }
  }

  private markSingles(alone: number): void {
    const { sorted, marks, store } = this;
    let selectedAt = -1;
    for (let at = 0; at < sorted.singles; at += 1) {
      const slot = sorted.slot[at] as number;
      if (slot === alone) selectedAt = at;
      else this.markSingle(at, slot, DOT_SIZE);
    }
    if (selectedAt >= 0) {
      marks.add(sorted.x[selectedAt] ?? 0, sorted.y[selectedAt] ?? 0, 38, KIND.ring, 0, 2.5);
      this.markSingle(selectedAt, alone, DOT_SIZE + 4);
    }
    const hovered = this.hovered === null ? undefined : store.slotOf(this.hovered);
    if (hovered === undefined || hovered === alone) return;
    for (let at = 0; at < sorted.singles; at += 1) {
      if (sorted.slot[at] === hovered) marks.add(sorted.x[at] ?? 0, sorted.y[at] ?? 0, 30, KIND.ring, 0, 1.5);
    }
  }

  private markSingle(at: number, slot: number, size: number): void {
    const { sorted, store } = this;
    const heading = store.heading[slot] as number;
    const color = (store.server[slot] as number) % SERVER_COLORS;
    const extra = Number.isNaN(heading) ? -10 : heading - 2 * Math.PI * Math.round(heading / (2 * Math.PI));
    this.marks.add(sorted.x[at] as number, sorted.y[at] as number, size, KIND.dot, color, extra);
  }

  /** The areas of clusters, which no name covers. */
  private circles(): Area[] {
    const { sorted } = this;
    return Array.from({ length: sorted.clusters }, (_, at): Area => {
      const half = clusterSize(sorted.clusterCount[at] ?? 0) / 2;
      const [x, y] = [sorted.clusterX[at] ?? 0, sorted.clusterY[at] ?? 0];
      return [x - half, y - half, x + half, y + half];
    });
  }

  private named(alone: number): Named[] {
    const { sorted, store } = this;
    if (sorted.singles > NAMES_MAX && alone < 0 && this.hovered === null) return [];
    const isFew = sorted.singles <= NAMES_MAX;
    const named: Named[] = [];
    for (let at = 0; at < sorted.singles; at += 1) {
      const slot = sorted.slot[at] as number;
      const id = store.at(slot)?.id;
      if (id === undefined || !(isFew || slot === alone || id === this.hovered)) continue;
      const isSelected = slot === alone || id === this.hovered;
      named.push({ id, x: sorted.x[at] as number, y: sorted.y[at] as number, isSelected });
    }
    return named;
  }

  /** Makes two triangles of each part of the trail, up to where the client is drawn now. */
  private layTrail(view: View, alone: number): void {
    this.cornerCount = 0;
    const { trail } = this;
    const points = trail.length / 2;
    if (alone < 0 || points < 1) return;
    const needed = (points + 1) * 6 * TRAIL_FLOATS;
    if (this.corners.length < needed) this.corners = new Float32Array(needed * 2);
    const world = worldPx(view.zoom);
    const screen = (x: number, y: number) => [(wrapped(x, view.x) - view.x) * world, (y - view.y) * world] as const;
    let [x, y] = screen(trail[0] ?? 0, trail[1] ?? 0);
    // The last point is where the client glides to; the trail ends where the client is drawn.
    for (let at = 1; at < points; at += 1) {
      const isLast = at === points - 1;
      const [nextX, nextY] = isLast
        ? screen(this.xs[alone] ?? 0, this.ys[alone] ?? 0)
        : screen(trail[2 * at] ?? 0, trail[2 * at + 1] ?? 0);
      this.layPart(x, y, nextX, nextY, (at - 1) / (points - 1), at / (points - 1));
      [x, y] = [nextX, nextY];
    }
  }

  private layPart(x: number, y: number, toX: number, toY: number, from: number, to: number): void {
    const long = Math.hypot(toX - x, toY - y);
    if (long < 0.01) return;
    const sideX = (-(toY - y) / long) * TRAIL_HALF_PX;
    const sideY = ((toX - x) / long) * TRAIL_HALF_PX;
    const corner = (cx: number, cy: number, part: number, side: 1 | -1) => {
      const at = this.cornerCount * TRAIL_FLOATS;
      this.corners[at] = cx + side * sideX;
      this.corners[at + 1] = cy + side * sideY;
      this.corners[at + 2] = part;
      this.corners[at + 3] = side * TRAIL_HALF_PX;
      this.cornerCount += 1;
    };
    corner(x, y, from, -1);
    corner(x, y, from, 1);
    corner(toX, toY, to, -1);
    corner(toX, toY, to, -1);
    corner(x, y, from, 1);
    corner(toX, toY, to, 1);
  }
}

/** The size of a cluster's circle, pixels. */
export function clusterSize(count: number): number {
  return Math.min(34 + 9 * Math.log10(Math.max(count, 1)), 68);
}

function layer(container: HTMLElement, name: string): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.className = `map-layer ${name}`;
  canvas.setAttribute('aria-hidden', 'true');
  container.append(canvas);
  return canvas;
}
