// How soon the next frame is drawn. On a map of a city, people who walk need seconds for a pixel, and a frame for every
// refresh of the screen would show nothing new and cost energy. So the next frame comes when the fastest client in the
// store has moved by a part of a pixel.

/** The movement that a frame shows, pixels. Marks have smooth edges, so a smaller movement cannot be seen. */
const STEP_PX = 0.2;
/** The longest wait while something moves, milliseconds. */
export const WAIT_MS_MAX = 250;

/** The wait before the next frame, milliseconds, if the fastest client moves at this speed. 0: at the next refresh. */
export function waitMs(pxPerMs: number): number {
  const wait = Math.min(STEP_PX / pxPerMs, WAIT_MS_MAX);
  return wait < 20 ? 0 : wait;
}

/** Asks for frames: the next one is drawn at the earliest time that anybody has asked for. */
export class Pace {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private frame = 0;
  private dueMs = Number.POSITIVE_INFINITY;

  constructor(private readonly draw: () => void) {}

  /** Asks for a frame after a wait. */
  ask(afterMs = 0): void {
    const dueMs = performance.now() + afterMs;
    if (this.frame !== 0 || dueMs >= this.dueMs) return;
    clearTimeout(this.timer);
    this.dueMs = dueMs;
    if (afterMs > 0) this.timer = setTimeout(() => this.request(), afterMs);
    else this.request();
  }

  private request(): void {
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.dueMs = Number.POSITIVE_INFINITY;
      this.draw();
    });
  }
}
