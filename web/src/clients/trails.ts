// Where clients have been since the page was opened. The page keeps the trail of every client that it sees, so that the
// trail of a client is there when somebody clicks it.
//
// All trails together have a bounded number of points. At the bound, every trail loses every second point, so that long
// trails keep their shape. A trail of one client is thinned in the same way.

/** Maximum number of points of one trail. */
export const TRAIL_POINTS_MAX = 512;
/** Maximum number of points of all trails: 16 MB. */
export const ALL_POINTS_MAX = 1_000_000;

export class Trails {
  private readonly trails = new Map<string, number[]>();
  private points = 0;

  constructor(private readonly allMax = ALL_POINTS_MAX) {}

  /** Adds a point, in coordinates of the map's square. */
  add(id: string, x: number, y: number): void {
    const trail = this.trails.get(id);
    if (!trail) {
      if (this.points >= this.allMax) this.thinAll();
      if (this.points >= this.allMax) return;
      this.trails.set(id, [x, y]);
      this.points += 1;
      return;
    }
    const last = trail.length - 2;
    if (trail[last] === x && trail[last + 1] === y) return;
    trail.push(x, y);
    this.points += 1;
    if (trail.length > 2 * TRAIL_POINTS_MAX) this.thin(trail);
    if (this.points > this.allMax) this.thinAll();
  }

  /** The trail of a client, as x and y in turn, the oldest point first. */
  of(id: string): readonly number[] {
    return this.trails.get(id) ?? [];
  }

  /** Forgets a client that the herd has forgotten, too. */
  remove(id: string): void {
    this.points -= this.of(id).length / 2;
    this.trails.delete(id);
  }

  /** Forgets all clients. */
  clear(): void {
    this.trails.clear();
    this.points = 0;
  }

  /** Number of points of all trails. */
  get length(): number {
    return this.points;
  }

  private thin(trail: number[]): void {
    const before = trail.length / 2;
    // The newest point stays.
    const isKept = (at: number) => (before - 1 - at) % 2 === 0;
    let kept = 0;
    for (let at = 0; at < before; at += 1) {
      if (!isKept(at)) continue;
      trail[2 * kept] = trail[2 * at] ?? 0;
      trail[2 * kept + 1] = trail[2 * at + 1] ?? 0;
      kept += 1;
    }
    trail.length = 2 * kept;
    this.points -= before - kept;
  }

  private thinAll(): void {
    for (const trail of this.trails.values()) this.thin(trail);
  }
}
