// The pulses that show updates on their way through the graph. A pulse begins at the server that took a report, and a
// dot runs along each hop of the update's route. Real updates need less than a millisecond for a hop on one machine, so
// pulses are slowed down.
//
// Under load there are more updates than anybody can see. The number of pulses a second, of pulses at one moment and of
// dots at one moment are bounded; an update that finds no room is counted and not shown. This module draws nothing.

import type { Hop } from './route';

/** The time that a pulse takes for one hop, milliseconds. */
export const HOP_MS = 450;
/** Minimum time between the beginnings of two pulses, milliseconds. */
export const GAP_MS = 120;
/** Maximum number of pulses at one moment. */
export const PULSES_MAX = 16;
/** Maximum number of dots at one moment. */
export const DOTS_MAX = 96;

/** A dot on its way over a link. */
export interface Dot {
  /** The server that took the report. */
  readonly origin: string;
  readonly from: string;
  readonly to: string;
  /** The part of the way that is behind the dot, from 0 to 1. */
  readonly part: number;
}

interface Pulse {
  readonly origin: string;
  readonly hops: readonly Hop[];
  readonly begunMs: number;
  /** The largest number of dots that the pulse has at one moment. */
  readonly dots: number;
}

/** All pulses. */
export class Pulses {
  /** Number of updates that were not shown because there was no room. */
  leftOut = 0;
  private active: Pulse[] = [];
  private lastMs = Number.NEGATIVE_INFINITY;
  private dots = 0;

  /** Whether an update that comes now may be shown. Costs little, so that a caller can ask for each update. */
  hasRoom(nowMs: number): boolean {
    const hasRoom = nowMs - this.lastMs >= GAP_MS && this.active.length < PULSES_MAX;
    if (!hasRoom) this.leftOut += 1;
    return hasRoom;
  }

  /** Begins a pulse with these hops. Call this only if there is room. */
  begin(hops: readonly Hop[], nowMs: number): void {
    if (hops.length === 0) return;
    const widest = widestDepth(hops);
    if (this.dots + widest > DOTS_MAX && this.active.length > 0) {
      this.leftOut += 1;
      return;
    }
    this.lastMs = nowMs;
    this.dots += widest;
    this.active.push({ origin: hops[0]?.from ?? '', hops, begunMs: nowMs, dots: widest });
  }

  /** The dots of this moment. Pulses that have arrived everywhere are forgotten. */
  at(nowMs: number): Dot[] {
    const dots: Dot[] = [];
    this.active = this.active.filter((pulse) => {
      const position = (nowMs - pulse.begunMs) / HOP_MS;
      const last = pulse.hops[pulse.hops.length - 1];
      if (!last || position >= last.depth + 1) {
        this.dots -= pulse.dots;
        return false;
      }
      for (const { from, to, depth } of pulse.hops) {
        if (depth > position) break;
        if (position < depth + 1 && dots.length < DOTS_MAX) dots.push({ origin: pulse.origin, from, to, part: position - depth });
      }
      return true;
    });
    return dots;
  }

  /** Whether no pulse is on its way. */
  get isIdle(): boolean {
    return this.active.length === 0;
  }

  /** Ends all pulses. */
  clear(): void {
    this.active = [];
    this.dots = 0;
  }
}

/** The largest number of hops of the same depth. */
function widestDepth(hops: readonly Hop[]): number {
  let widest = 0;
  let count = 0;
  let depth = -1;
  for (const hop of hops) {
    count = hop.depth === depth ? count + 1 : 1;
    depth = hop.depth;
    widest = Math.max(widest, count);
  }
  return widest;
}
