// The clients that the page knows: their newest reports, and where each is drawn at a moment. A client glides from
// where it is drawn to its new position in about the time that lay between its last two reports, so it seldom stands
// still and never runs ahead of what was reported.
//
// Numbers are in typed arrays, without gaps, so that a frame with tens of thousands of clients costs one pass over
// them. The number of clients is bounded. A client that finds no room is counted in `leftOut` and not kept.
//
// The store does not know who asks for clients, or how they are drawn. Time is an argument, milliseconds.

import type { Client } from '../api/wire';
import { millis, turned } from '../base/format';
import { metersPerUnit, wrapped, xOf, yOf } from '../base/mercator';

/** Maximum number of clients that the page keeps. */
export const CLIENTS_MAX = 50_000;
/** The shortest and the longest time of a glide, milliseconds. */
export const GLIDE_MS_MIN = 250;
export const GLIDE_MS_MAX = 6_000;
/** A client that seems to be faster jumps: nothing but an aircraft is, and a clock or a position may be wrong. */
const SPEED_MPS_MAX = 400;
/** A movement below this says nothing about the direction, meters. */
const MOVEMENT_M_MIN = 0.5;
const CAPACITY_MIN = 1024;

export class ClientStore {
  /** Number of clients for which there was no room since the state began. */
  leftOut = 0;
  /** The speed of the fastest client at the moment of the last `positions`, units of the map's square a millisecond. */
  speed = 0;
  /** The time until which something glides. */
  glidingUntilMs = 0;
  /** Number of clients. The arrays have this many elements that count. */
  count = 0;
  /** Direction of each client in radians, clockwise from north. NaN: not known. */
  heading = new Float32Array(CAPACITY_MIN);
  /** Number of the server that took each client's report. */
  server = new Uint8Array(CAPACITY_MIN);
  private fromX = new Float64Array(CAPACITY_MIN);
  private fromY = new Float64Array(CAPACITY_MIN);
  private toX = new Float64Array(CAPACITY_MIN);
  private toY = new Float64Array(CAPACITY_MIN);
  private begunMs = new Float64Array(CAPACITY_MIN);
  private glideMs = new Float64Array(CAPACITY_MIN);
  private timeMs = new Float64Array(CAPACITY_MIN);
  private generation = new Uint32Array(CAPACITY_MIN);
  private reports: Client[] = [];
  private slots = new Map<string, number>();
  private present = 1;

  /**
   * `glides`: whether clients move between two reports. `numberOf` gives each server a number from 0 to 255.
   */
  constructor(
    private readonly numberOf: (server: string) => number,
    public glides = true,
    private readonly max = CLIENTS_MAX,
  ) {}

  /** The newest report of a client. */
  get(id: string): Client | undefined {
    const slot = this.slots.get(id);
    return slot === undefined ? undefined : this.reports[slot];
  }

  /** The client in a slot. A slot keeps its client until the next change of the store. */
  at(slot: number): Client | undefined {
    return this.reports[slot];
  }

  slotOf(id: string): number | undefined {
    return this.slots.get(id);
  }

  /** All clients, in no order. */
  all(): readonly Client[] {
    return this.reports;
  }

  /** Takes a report. Returns whether it is another one than the store had. */
  put(client: Client, nowMs: number): boolean {
    const slot = this.slots.get(client.id);
    if (slot === undefined) return this.add(client, nowMs);
    this.generation[slot] = this.present;
    const timeMs = millis(client.time);
    if (this.isSame(slot, client, timeMs)) return false;
    this.move(slot, client, timeMs, nowMs);
    return true;
  }

  /** Forgets a client. */
  remove(id: string): void {
    const slot = this.slots.get(id);
    if (slot === undefined) return;
    const last = this.count - 1;
    this.slots.delete(id);
    if (slot !== last) {
      for (const column of this.columns()) column[slot] = column[last] ?? 0;
      const moved = this.reports[last];
      if (moved) {
        this.reports[slot] = moved;
        this.slots.set(moved.id, slot);
      }
    }
    this.reports.pop();
    this.count = last;
  }

  /** A new state begins: whoever is not in it will be forgotten when it ends. */
  beginState(): void {
    this.present += 1;
    this.leftOut = 0;
  }

  /** The state is complete. */
  endState(): void {
    for (let slot = this.count - 1; slot >= 0; slot -= 1) {
      const id = this.reports[slot]?.id;
      if (id !== undefined && this.generation[slot] !== this.present) this.remove(id);
    }
  }

  clear(): void {
    this.beginState();
    this.endState();
  }

  /** Where each client is drawn at a moment. Fills the first `count` elements of the arrays. */
  positions(nowMs: number, xs: Float64Array, ys: Float64Array): void {
    const { fromX, fromY, toX, toY, begunMs, glideMs } = this;
    let fastest = 0;
    for (let slot = 0; slot < this.count; slot += 1) {
      const part = Math.min((nowMs - (begunMs[slot] as number)) / (glideMs[slot] as number), 1);
      const x = fromX[slot] as number;
      const y = fromY[slot] as number;
      const dx = (toX[slot] as number) - x;
      const dy = (toY[slot] as number) - y;
      xs[slot] = x + dx * part;
      ys[slot] = y + dy * part;
      if (part < 1) fastest = Math.max(fastest, (Math.abs(dx) + Math.abs(dy)) / (glideMs[slot] as number));
    }
    this.speed = fastest;
  }

  /** Where one client is drawn at a moment. */
  positionOf(id: string, nowMs: number): readonly [x: number, y: number] | null {
    const slot = this.slots.get(id);
    return slot === undefined ? null : this.drawnAt(slot, nowMs);
  }

  private drawnAt(slot: number, nowMs: number): readonly [x: number, y: number] {
    const value = (column: Float64Array) => column[slot] ?? 0;
    const part = Math.min((nowMs - value(this.begunMs)) / value(this.glideMs), 1);
    const x = value(this.fromX);
    const y = value(this.fromY);
    return [x + (value(this.toX) - x) * part, y + (value(this.toY) - y) * part];
  }

  private isSame(slot: number, client: Client, timeMs: number): boolean {
    const known = this.reports[slot];
    return this.timeMs[slot] === timeMs && known !== undefined && known.at === client.at;
  }

  private add(client: Client, nowMs: number): boolean {
    if (this.count >= this.max) {
      this.leftOut += 1;
      return false;
    }
    if (this.count === this.heading.length) this.grow();
    const slot = this.count;
    const x = xOf(client.lon);
    const y = yOf(client.lat);
    this.count += 1;
    this.slots.set(client.id, slot);
    this.reports.push(client);
    this.generation[slot] = this.present;
    this.fromX[slot] = this.toX[slot] = x;
    this.fromY[slot] = this.toY[slot] = y;
    this.begunMs[slot] = nowMs;
    this.glideMs[slot] = 1;
    this.timeMs[slot] = millis(client.time);
    this.server[slot] = this.numberOf(client.server);
    this.heading[slot] = headingOf(client, 0, 0, Number.NaN);
    return true;
  }

  private move(slot: number, client: Client, timeMs: number, nowMs: number): void {
    const [x, y] = this.drawnAt(slot, nowMs);
    const toX = wrapped(xOf(client.lon), x);
    const toY = yOf(client.lat);
    const unit = metersPerUnit(toY);
    const intervalMs = Math.abs(timeMs - (this.timeMs[slot] ?? 0));
    const glideMs = Math.min(Math.max(intervalMs, GLIDE_MS_MIN), GLIDE_MS_MAX);
    const meters = Math.hypot(toX - x, toY - y) * unit;
    const isJump = !this.glides || meters > (SPEED_MPS_MAX * Math.max(intervalMs, glideMs)) / 1000;
    const dx = (toX - (this.toX[slot] ?? 0)) * unit;
    const dy = (toY - (this.toY[slot] ?? 0)) * unit;
    this.heading[slot] = headingOf(client, dx, dy, this.heading[slot] ?? Number.NaN);
    this.fromX[slot] = isJump ? toX : x;
    this.fromY[slot] = isJump ? toY : y;
    this.toX[slot] = toX;
    this.toY[slot] = toY;
    this.begunMs[slot] = nowMs;
    this.glideMs[slot] = isJump ? 1 : glideMs;
    this.timeMs[slot] = timeMs;
    this.server[slot] = this.numberOf(client.server);
    this.reports[slot] = client;
    if (!isJump && meters > 0) this.glidingUntilMs = Math.max(this.glidingUntilMs, nowMs + glideMs);
  }

  private columns(): (Float64Array | Float32Array | Uint8Array | Uint32Array)[] {
    const { fromX, fromY, toX, toY, begunMs, glideMs, timeMs, heading, server, generation } = this;
    return [fromX, fromY, toX, toY, begunMs, glideMs, timeMs, heading, server, generation];
  }

  private grow(): void {
    const length = Math.min(this.heading.length * 2, Math.max(this.max, CAPACITY_MIN));
    const larger = <A extends Float64Array | Float32Array | Uint8Array | Uint32Array>(made: A, old: A): A => {
      made.set(old);
      return made;
    };
    this.fromX = larger(new Float64Array(length), this.fromX);
    this.fromY = larger(new Float64Array(length), this.fromY);
    this.toX = larger(new Float64Array(length), this.toX);
    this.toY = larger(new Float64Array(length), this.toY);
    this.begunMs = larger(new Float64Array(length), this.begunMs);
    this.glideMs = larger(new Float64Array(length), this.glideMs);
    this.timeMs = larger(new Float64Array(length), this.timeMs);
    this.heading = larger(new Float32Array(length), this.heading);
    this.server = larger(new Uint8Array(length), this.server);
    this.generation = larger(new Uint32Array(length), this.generation);
  }
}

/** The direction as the client reports it, or as it has moved: `dx` meters to the east and `dy` to the south. */
function headingOf(client: Client, dx: number, dy: number, known: number): number {
  const reported = client.attributes.heading_deg;
  if (typeof reported === 'number') return (turned(reported) * Math.PI) / 180;
  return Math.hypot(dx, dy) >= MOVEMENT_M_MIN ? Math.atan2(dx, -dy) : known;
}
