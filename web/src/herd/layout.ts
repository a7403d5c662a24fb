// Where the servers are in the graph. A small herd stands on a circle, in an order with few crossings; a larger herd is
// spread by forces between its servers. Both depend only on the names and the configured links, so that a server keeps
// its place while links go down and come up, and two pages show the same picture.

/** A point. Both coordinates of a layout are from -1 to 1. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The names of a link's ends. */
export type Ends = readonly [string, string];

/** Maximum number of servers that stand on a circle. */
export const CIRCLE_MAX = 12;
/** Number of steps of the forces. The work is steps times servers squared: about 0.2 s for the largest herd. */
const STEPS = 200;
/** Maximum number of rounds of exchanges on the circle. Few are needed; this bounds the work for any input. */
const ROUNDS_MAX = 20;

/** The place of each server. */
export function layout(names: readonly string[], links: readonly Ends[]): Map<string, Point> {
  const index = new Map(names.map((name, at) => [name, at]));
  const pairs: [number, number][] = [];
  for (const [a, b] of links) {
    const [from, to] = [index.get(a), index.get(b)];
    if (from !== undefined && to !== undefined && from !== to) pairs.push([from, to]);
  }
  const points = names.length <= CIRCLE_MAX ? onCircle(names.length, pairs) : spread(names.length, pairs);
  return new Map(names.map((name, at) => [name, points[at] ?? { x: 0, y: 0 }]));
}

/** The point at a fraction of the circle, clockwise from the top. */
function onCircleAt(fraction: number): Point {
  const angle = 2 * Math.PI * fraction - Math.PI / 2;
  return { x: Math.cos(angle), y: Math.sin(angle) };
}

function onCircle(count: number, pairs: readonly [number, number][]): Point[] {
  if (count === 1) return [{ x: 0, y: 0 }];
  // `seats[server]` is the server's place on the circle.
  const seats = Array.from({ length: count }, (_, at) => at);
  let best = disorder(seats, pairs);
  for (let round = 0, changed = true; changed && round < ROUNDS_MAX; round += 1) {
    changed = false;
    // The first server stays at the top.
    for (let a = 1; a < count; a += 1) {
      for (let b = a + 1; b < count; b += 1) {
        exchange(seats, a, b);
        const found = disorder(seats, pairs);
        if (found < best - 1e-9) {
          best = found;
          changed = true;
        } else {
          exchange(seats, a, b);
        }
      }
    }
  }
  return seats.map((seat) => onCircleAt(seat / count));
}

function exchange(seats: number[], a: number, b: number): void {
  const seat = seats[a] ?? 0;
  seats[a] = seats[b] ?? 0;
  seats[b] = seat;
}

/** A measure of how hard the picture is to read: crossings of links, and then the lengths of links. */
function disorder(seats: readonly number[], pairs: readonly [number, number][]): number {
  const count = seats.length;
  const chords = pairs.map(([a, b]): [number, number] => {
    const [from, to] = [seats[a] ?? 0, seats[b] ?? 0];
    return from < to ? [from, to] : [to, from];
  });
  let sum = 0;
  chords.forEach(([from, to], at) => {
    sum += 0.01 * Math.sin((Math.PI * (to - from)) / count);
    for (const [low, high] of chords.slice(at + 1)) {
      const isInside = (seat: number) => from < seat && seat < to;
      const isShared = low === from || low === to || high === from || high === to;
      if (!isShared && isInside(low) !== isInside(high)) sum += 1;
    }
  });
  return sum;
}

/** All servers push each other away, and links pull their ends together, in steps that get shorter. */
function spread(count: number, pairs: readonly [number, number][]): Point[] {
  const xs = new Float64Array(count);
  const ys = new Float64Array(count);
  for (let at = 0; at < count; at += 1) {
    const start = onCircleAt(at / count);
    xs[at] = start.x;
    // A perfect circle may be a balance of forces that no step leaves.
    ys[at] = start.y * (1 + 0.01 * (at % 7));
  }
  const ideal = 1.6 / Math.sqrt(count);
  for (let step = 0; step < STEPS; step += 1) {
    move(xs, ys, pairs, ideal, 0.15 * (1 - step / STEPS) + 0.002);
  }
  return fitted(xs, ys);
}

function move(xs: Float64Array, ys: Float64Array, pairs: readonly [number, number][], ideal: number, max: number) {
  const count = xs.length;
  const fx = new Float64Array(count);
  const fy = new Float64Array(count);
  const pull = (a: number, b: number, strength: (distance: number) => number) => {
    const dx = at(xs, a) - at(xs, b);
    const dy = at(ys, a) - at(ys, b);
    const distance = Math.max(Math.hypot(dx, dy), 1e-4);
    const force = strength(distance) / distance;
    fx[a] = at(fx, a) - dx * force;
    fy[a] = at(fy, a) - dy * force;
    fx[b] = at(fx, b) + dx * force;
    fy[b] = at(fy, b) + dy * force;
  };
  for (let a = 0; a < count; a += 1) {
    for (let b = a + 1; b < count; b += 1) pull(a, b, (distance) => -(ideal * ideal) / distance);
  }
  for (const [a, b] of pairs) pull(a, b, (distance) => (distance * distance) / ideal);
  for (let server = 0; server < count; server += 1) {
    // A weak pull to the middle keeps parts without links between them in the picture.
    const x = at(fx, server) - at(xs, server) * 0.3;
    const y = at(fy, server) - at(ys, server) * 0.3;
    const scale = Math.min(1, max / Math.max(Math.hypot(x, y), 1e-9));
    xs[server] = at(xs, server) + x * scale;
    ys[server] = at(ys, server) + y * scale;
  }
}

/** The points, moved and stretched into the square from -1 to 1. */
function fitted(xs: Float64Array, ys: Float64Array): Point[] {
  const scaled = (values: Float64Array) => {
    const low = Math.min(...values);
    const high = Math.max(...values);
    const half = Math.max((high - low) / 2, 1e-9);
    return Array.from(values, (value) => (value - (low + high) / 2) / half);
  };
  const across = scaled(ys);
  return scaled(xs).map((x, server) => ({ x, y: across[server] ?? 0 }));
}

function at(values: Float64Array, index: number): number {
  return values[index] ?? 0;
}
