// The names of clients beside their marks, while few clients are drawn alone. Names that would lie over each other are
// left out. The selected client always has its name.

import type { MapColors } from '../theme';

/** Maximum number of clients whose names are drawn. With more, there are none but the selected client's. */
export const NAMES_MAX = 60;
/** Maximum number of characters of a name. */
const NAME_LEN_MAX = 28;
const FONT = '500 11.5px system-ui, sans-serif';
const HEIGHT = 15;

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

/** Which names have room. Each name is a box to the right of its point; the selected client's is the first one. */
export function withRoom(named: readonly Named[], widthOf: (id: string) => number): Named[] {
  const boxes: (readonly [left: number, top: number, right: number, bottom: number])[] = [];
  const order = [...named].sort((a, b) => Number(b.isSelected) - Number(a.isSelected) || (a.id < b.id ? -1 : 1));
  return order.filter(({ id, x, y, isSelected }) => {
    const box = [x - 7, y - HEIGHT / 2, x + 12 + widthOf(id), y + HEIGHT / 2] as const;
    const isFree = boxes.every(
      ([left, top, right, bottom]) => box[0] > right || box[2] < left || box[1] > bottom || box[3] < top,
    );
    if (isFree || isSelected) boxes.push(box);
    return isFree || isSelected;
  });
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

  draw(named: readonly Named[], width: number, height: number, colors: MapColors): void {
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
    for (const { id, x, y } of withRoom(named, (id) => this.widthOf(id))) {
      const text = shortName(id);
      const [left, top] = [width / 2 + x + 11, height / 2 + y];
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
