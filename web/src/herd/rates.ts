// Rates of counts: a server tells how much of something there has been since its start, and a `RateMeter` tells how
// much there is a second. It compares the newest count with the oldest one of the last seconds, so that a rate neither
// jumps with each answer nor lags behind for long.
//
// A restarted server counts from 0 again. Its incarnation says so, and the meter begins anew.

/** The time over which a rate is measured, milliseconds. */
export const RATE_WINDOW_MS = 5000;
/** Maximum number of counts that a meter keeps. The oldest goes first. */
const SAMPLES_MAX = 16;

interface Sample {
  readonly atMs: number;
  readonly count: number;
}

/** Measures the rate of one count. */
export class RateMeter {
  private samples: Sample[] = [];
  private incarnation = '';

  /** Notes a count, with the time of the answer. */
  note(incarnation: string, atMs: number, count: number): void {
    const last = this.samples[this.samples.length - 1];
    if (incarnation !== this.incarnation || (last && (count < last.count || atMs <= last.atMs))) {
      this.samples = [];
      this.incarnation = incarnation;
    }
    this.samples.push({ atMs, count });
    // The oldest sample that is kept may be a little older than the window, so that slow polls have a rate, too.
    while (this.samples.length > SAMPLES_MAX || this.isTooOld(this.samples[1], atMs)) this.samples.shift();
  }

  /** The rate a second. `null`: there is only one count yet. */
  perSecond(): number | null {
    const first = this.samples[0];
    const last = this.samples[this.samples.length - 1];
    if (!first || !last || first === last) return null;
    return ((last.count - first.count) * 1000) / (last.atMs - first.atMs);
  }

  /** Forgets all counts: the server does not answer. */
  clear(): void {
    this.samples = [];
  }

  private isTooOld(sample: Sample | undefined, nowMs: number): boolean {
    return sample !== undefined && nowMs - sample.atMs >= RATE_WINDOW_MS;
  }
}
