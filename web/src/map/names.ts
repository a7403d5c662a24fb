// The names of clients beside their marks, while few clients are drawn alone. Names that would lie over each other are
// left out. The selected client always has its name.

import type { MapColors } from '../theme';

/** Maximum number of clients whose names are drawn. With more, there are none but the selected client's. */
export const NAMES_MAX = 60;
/** Maximum number of characters of a name. */
const NAME_LEN_MAX = 28;
const FONT = '500 11.5px system-ui, sans-serif';
const HEIGHT = 15;
/** Half of the size of a mark, which no name covers, pixels. */
const MARK_PX = 8;

/** A client with a name. */
export interface Named {
  readonly id: string;
  /** Pixels from the middle of the screen. */
  readonly x: number;
  readonly y: number;
  readonly isSelected: boolean;
}

/** A long name loses its middle. */
export function shortName(id: string): string {
  if (id.length <= NAME_LEN_MAX) return id;
  const half = Math.floor((NAME_LEN_MAX - 1) / 2);
  return `${id.slice(0, half)}…${id.slice(-half)}`;
}

/**
 * Which names have room. Each name is a box to the right of its mark. It may cover neither another name nor a mark, nor
 * one of the `others`.
 */
export function withRoom(
  named: readonly Named[],
  widthOf: (id: string) => number,
  others: readonly Area[] = [],
): Named[] {
  const marks = named.map(({ x, y }): Area => [x - MARK_PX, y - MARK_PX, x + MARK_PX, y + MARK_PX]);
  const taken = [...marks, ...others];
  const order = named.map((each, at) => ({ each, at }));
  // The selected client's name comes first and is always there. After that, the order must not change with movements.
  order.sort((a, b) => Number(b.each.isSelected) - Number(a.each.isSelected) || (a.each.id < b.each.id ? -1 : 1));
  const shown: Named[] = [];
  for (const { each, at } of order) {
    const { id, x, y, isSelected } = each;
    const area: Area = [x + MARK_PX, y - HEIGHT / 2, x + 12 + widthOf(id), y + HEIGHT / 2];
    if (!isSelected && taken.some((other, of) => of !== at && meet(area, other))) continue;
    taken.push(area);
    shown.push(each);
  }
  return shown;
}

/** A rectangle of the screen, pixels from its middle. */
export type Area = readonly [left: number, top: number, right: number, bottom: number];

function meet(a: Area, b: Area): boolean {
  return a[0] <= b[2] && a[2] >= b[0] && a[1] <= b[3] && a[3] >= b[1];
}

export class Names {
  private readonly context: CanvasRenderingContext2D;
  private readonly widths = new Map<string, number>();
  private isClear = true;

  constructor(private readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext('2d');
    if (!context) throw new Error('this browser draws no canvas');
    this.context = context;
  }

  draw(named: readonly Named[], others: readonly Area[], width: number, height: number, colors: MapColors): void {
    if (named.length === 0 && this.isClear) return;
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 3);
    const { canvas, context } = this;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== wide || canvas.height !== high) {
      canvas.width = wide;
      canvas.height = high;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.isClear = named.length === 0;
    context.font = FONT;
    context.textBaseline = 'middle';
    context.lineJoin = 'round';
    context.lineWidth = 3;
    context.strokeStyle = colors.halo;
    context.fillStyle = colors.selected;
    for (const { id, x, y, isSelected } of withRoom(named, (id) => this.widthOf(id), others)) {
      const text = shortName(id);
      const [left, top] = [width / 2 + x + (isSelected ? 22 : 11), height / 2 + y];
      context.strokeText(text, left, top);
      context.fillText(text, left, top);
    }
  }

  private widthOf(id: string): number {
    let width = this.widths.get(id);
    if (width === undefined) {
      if (this.widths.size > 2000) this.widths.clear();
      width = this.context.measureText(shortName(id)).width;
      this.widths.set(id, width);
    }
    return width;
  }
}
