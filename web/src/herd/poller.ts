// Asks the servers of the herd for their status, again and again. Each server has a loop of its own, so that a server
// that does not answer delays no other. A loop asks again only when its question has been answered or has failed, and
// it tries the URLs of its server in turn.
//
// Small herds are asked once a second, larger ones less often, so that a page makes about ten requests a second at
// most. While the page is hidden or the panel is closed, nothing is asked.

import type { HerdSession } from './session';
import { readStatus, readTopology, type Status, type Topology, type TopologyServer } from './status';

/** Number of servers that are asked once a second. More servers are asked less often, in proportion. */
export const EACH_SECOND_MAX = 10;
/** The time between two questions for the topology, milliseconds. */
export const TOPOLOGY_MS = 5000;
/** A server that does not answer in this time does not answer, milliseconds. */
export const PATIENCE_MS = 3000;

/** Who is told what the poller finds out. */
export interface PollListener {
  topology(topology: Topology): void;
  status(server: string, status: Status, atMs: number): void;
  silence(server: string): void;
  /** The herd cannot be shown, for a reason that a person can read. `null`: it can be shown again. */
  refused(why: string | null): void;
}

/** The time between two questions to one server of a herd of this size, milliseconds. */
export function intervalMs(servers: number): number {
  return Math.max(1000, (1000 * servers) / EACH_SECOND_MAX);
}

/** Asks while it is running. */
export class Poller {
  private isRunning = false;
  /** Each start has a generation of its own, so that late answers of an earlier one change nothing. */
  private generation = 0;
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();
  private readonly loops = new Map<string, { server: TopologyServer; urlAt: number }>();

  constructor(
    private readonly session: Pick<HerdSession, 'request' | 'requestAt' | 'doorsOf'>,
    private readonly listener: PollListener,
  ) {}

  start(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    this.generation += 1;
    void this.askTopology(this.generation);
  }

  stop(): void {
    this.isRunning = false;
    this.generation += 1;
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.loops.clear();
  }

  /** Asks a server at once, in addition to its loop: something was done to it. */
  hurry(name: string): void {
    const loop = this.loops.get(name);
    if (loop) void this.askOnce(loop, this.generation);
  }

  private async askTopology(generation: number): Promise<void> {
    try {
      const response = await this.session.request('/v1/herd', { signal: AbortSignal.timeout(PATIENCE_MS) });
      const refusal = refusalOf(response.status);
      const told = response.ok ? readTopology(await response.json()) : null;
      const servers = told?.servers.map((server) => ({ ...server, http: this.session.doorsOf(server) }));
      const topology = told && servers ? { ...told, servers } : null;
      if (generation !== this.generation) return;
      if (refusal) this.listener.refused(refusal);
      if (topology) {
        this.listener.refused(null);
        this.listener.topology(topology);
        this.follow(topology, generation);
      }
    } catch {
      // No server answers. The loops find out the same and say so.
    }
    this.later(TOPOLOGY_MS, generation, () => this.askTopology(generation));
  }

  /** Begins the loops of new servers. Loops of servers that are no longer named end by themselves. */
  private follow(topology: Topology, generation: number): void {
    const named = new Set(topology.servers.map((server) => server.name));
    for (const name of this.loops.keys()) if (!named.has(name)) this.loops.delete(name);
    topology.servers.forEach((server, at) => {
      const known = this.loops.get(server.name);
      if (known) {
        known.server = server;
        return;
      }
      if (server.http.length === 0) return;
      const loop = { server, urlAt: 0 };
      this.loops.set(server.name, loop);
      // The first questions are spread over one interval in a large herd, and all come at once in a small one.
      const delay = topology.servers.length > EACH_SECOND_MAX ? (at * 1000) / EACH_SECOND_MAX : 0;
      this.later(delay, generation, () => this.ask(loop, generation));
    });
  }

  private async ask(loop: { server: TopologyServer; urlAt: number }, generation: number): Promise<void> {
    if (this.loops.get(loop.server.name) !== loop) return;
    await this.askOnce(loop, generation);
    this.later(intervalMs(this.loops.size), generation, () => this.ask(loop, generation));
  }

  private async askOnce(loop: { server: TopologyServer; urlAt: number }, generation: number): Promise<void> {
    const { name, http } = loop.server;
    for (let attempt = 0; attempt < http.length; attempt += 1) {
      const base = http[loop.urlAt % http.length];
      if (base === undefined) break;
      try {
        const init = { signal: AbortSignal.timeout(PATIENCE_MS) };
        const response = await this.session.requestAt(base, '/v1/status', init);
        const status = response.ok ? readStatus(await response.json()) : null;
        if (generation !== this.generation) return;
        // Another server may be at this address, such as behind a proxy for several servers.
        if (status?.server === name) {
          this.listener.status(name, status, performance.now());
          return;
        }
      } catch {
        if (generation !== this.generation) return;
      }
      loop.urlAt += 1;
    }
    this.listener.silence(name);
  }

  private later(delayMs: number, generation: number, act: () => Promise<void>): void {
    if (!this.isRunning || generation !== this.generation) return;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      void act();
    }, delayMs);
    this.timers.add(timer);
  }
}

/** Why a server refuses to show the herd, by the status of its answer. `null`: it does not refuse. */
function refusalOf(status: number): string | null {
  if (status === 401) return 'The herd needs an access token with the scope "operate".';
  if (status === 403) return 'This access token may not see the herd. The scope "operate" is needed.';
  if (status === 404) return 'This server is of a version that does not tell its herd.';
  return null;
}
