// Which clients are drawn alone, and which together as one circle with a number. The world has a grid of cells of about
// the same size on the screen at each zoom. The clients in a cell with many clients are a cluster, which stands in the
// middle of its clients. Cells belong to the world and not to the screen, so nothing regroups while the map is dragged.
//
// One pass counts the clients of each cell in view, a second one sorts them: no memory is needed for a frame, and the
// cost does not depend on how the clients lie. Only clients in view, with a margin, are in the result.

import { wrapped } from '../base/mercator';

/** The size of a cell on the screen, pixels; up to twice as much between two whole zooms. */
export const CELL_PX = 56;
/** Minimum number of clients of a cluster. */
export const CLUSTER_MIN = 7;
/** From this zoom on, nothing is clustered: streets and single people are seen. */
export const CLUSTER_ZOOM_MAX = 16;
/** Clients this far outside of the screen are still drawn, pixels. */
const MARGIN_PX = 40;

/** What the screen shows of the map. */
export interface View {
  readonly zoom: number;
  /** The middle, in coordinates of the map's square. */
  readonly x: number;
  readonly y: number;
  /** The size of the screen, pixels. */
  readonly width: number;
  readonly height: number;
}

/** Number of pixels of the map's square at a zoom. */
export function worldPx(zoom: number): number {
  return 512 * 2 ** zoom;
}

/** The clients in view, sorted into single ones and clusters. Arrays are used again and again. */
export class Sorted {
  /** Number of clients that are drawn alone. */
  singles = 0;
  /** The slot of each single client, and its place on the screen, pixels from the middle. */
  slot = new Uint32Array(1024);
  x = new Float32Array(1024);
  y = new Float32Array(1024);
  /** Number of clusters. */
  clusters = 0;
  clusterX = new Float32Array(256);
  clusterY = new Float32Array(256);
  clusterCount = new Uint32Array(256);
  /** Number of clients in view, without the margin. */
  inView = 0;
  private cellOf = new Int32Array(1024);
  private screenX = new Float32Array(1024);
  private screenY = new Float32Array(1024);
  private cellCount = new Uint32Array(256);
  private cellX = new Float64Array(256);
  private cellY = new Float64Array(256);

  /** Sorts clients at these positions. The client in the slot `alone` is never part of a cluster; -1: there is none. */
  sort(view: View, count: number, xs: Float64Array, ys: Float64Array, alone: number): void {
    this.reserve(count);
    const world = worldPx(view.zoom);
    const clusters = view.zoom < CLUSTER_ZOOM_MAX;
    const level = Math.floor(view.zoom);
    const cells = worldPx(level) / CELL_PX;
    const halfX = view.width / 2 + MARGIN_PX;
    const halfY = view.height / 2 + MARGIN_PX;
    const firstColumn = Math.floor((view.x - halfX / world) * cells);
    const firstRow = Math.floor((view.y - halfY / world) * cells);
    const columns = Math.floor((view.x + halfX / world) * cells) - firstColumn + 1;
    const rows = Math.floor((view.y + halfY / world) * cells) - firstRow + 1;
    this.reserveCells(columns * rows);
    this.inView = 0;
    const { cellOf, screenX, screenY, cellCount, cellX, cellY } = this;
    for (let slot = 0; slot < count; slot += 1) {
      const x = wrapped(xs[slot] as number, view.x);
      const px = (x - view.x) * world;
      const py = ((ys[slot] as number) - view.y) * world;
      if (px < -halfX || px > halfX || py < -halfY || py > halfY) {
        cellOf[slot] = -1;
        continue;
      }
      if (Math.abs(px) <= halfX - MARGIN_PX && Math.abs(py) <= halfY - MARGIN_PX) this.inView += 1;
      screenX[slot] = px;
      screenY[slot] = py;
      const row = Math.floor((ys[slot] as number) * cells) - firstRow;
      const cell = row * columns + (Math.floor(x * cells) - firstColumn);
      cellOf[slot] = cell;
      if (slot === alone) continue;
      cellCount[cell] = (cellCount[cell] as number) + 1;
      cellX[cell] = (cellX[cell] as number) + px;
      cellY[cell] = (cellY[cell] as number) + py;
    }
    this.singles = 0;
    for (let slot = 0; slot < count; slot += 1) {
      const cell = cellOf[slot] as number;
      if (cell < 0) continue;
      if (clusters && slot !== alone && (cellCount[cell] as number) >= CLUSTER_MIN) continue;
      this.slot[this.singles] = slot;
      this.x[this.singles] = screenX[slot] as number;
      this.y[this.singles] = screenY[slot] as number;
      this.singles += 1;
    }
    this.clusters = 0;
    if (clusters) this.gather(columns * rows);
  }

  private gather(cells: number): void {
    for (let cell = 0; cell < cells; cell += 1) {
      const count = this.cellCount[cell] as number;
      if (count < CLUSTER_MIN) continue;
      this.clusterX[this.clusters] = (this.cellX[cell] as number) / count;
      this.clusterY[this.clusters] = (this.cellY[cell] as number) / count;
      this.clusterCount[this.clusters] = count;
      this.clusters += 1;
    }
  }

  private reserve(count: number): void {
    if (count <= this.cellOf.length) return;
    const length = 2 ** Math.ceil(Math.log2(count));
    this.slot = new Uint32Array(length);
    this.x = new Float32Array(length);
    this.y = new Float32Array(length);
    this.cellOf = new Int32Array(length);
    this.screenX = new Float32Array(length);
    this.screenY = new Float32Array(length);
  }

  private reserveCells(cells: number): void {
    if (cells > this.cellCount.length) {
      this.cellCount = new Uint32Array(cells);
      this.cellX = new Float64Array(cells);
      this.cellY = new Float64Array(cells);
      this.clusterX = new Float32Array(cells);
      this.clusterY = new Float32Array(cells);
      this.clusterCount = new Uint32Array(cells);
      return;
    }
    this.cellCount.fill(0, 0, cells);
    this.cellX.fill(0, 0, cells);
    this.cellY.fill(0, 0, cells);
  }
}
