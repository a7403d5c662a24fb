// What is known about the herd at one moment: its servers, its links, and their numbers. `HerdModel` takes the answers
// of `/v1/herd` and `/v1/status` and gives a `HerdView`, from which the graph, the table and the texts are made.
//
// A server that does not answer this page may still be there for its neighbors, so its state is judged by both. Of a
// link, the ends that answer are believed. If no end answers, the last answer of `/v1/herd` counts. If that is
// missing, or if no server answers at all, the state is not known. This module draws nothing and asks nobody.

import { RateMeter } from './rates';
import type { LinkStatus, Status, Topology } from './status';

/**
 * The state of a server.
 * - `up`: it answers.
 * - `draining`: it answers and is stopping.
 * - `hidden`: it does not answer this page, but a neighbor has a link to it that is up.
 * - `away`: it does not answer this page, and no neighbor that answers has a link to it that is up.
 * - `asked`: it has not been asked yet.
 */
export type ServerState = 'up' | 'draining' | 'hidden' | 'away' | 'asked';

/** The state of a link. `mixed`: its ends do not agree, which lasts only for a moment. */
export type LinkState = 'up' | 'down' | 'mixed' | 'unknown';

/** What the panel shows of a server. Numbers are `null` while they are not known. */
export interface ServerView {
  readonly name: string;
  readonly state: ServerState;
  readonly records: number | null;
  readonly reportsPerS: number | null;
  readonly connections: number | null;
  readonly uptimeS: number | null;
  readonly version: string | null;
  readonly troubles: readonly string[];
  /** The base URL of a door that a person can open in a browser. */
  readonly url: string | null;
}

/** What the panel shows of a link between `a` and `b`. */
export interface LinkView {
  readonly key: string;
  readonly a: string;
  readonly b: string;
  readonly state: LinkState;
  /** Whether the link is in the spanning tree. */
  readonly eager: boolean;
  /** Records a second that `a` sends to `b`. */
  readonly fromA: number | null;
  /** Records a second that `b` sends to `a`. */
  readonly fromB: number | null;
  /** The longer lag of both ends, seconds. */
  readonly lagS: number | null;
  readonly troubles: readonly string[];
}

/** The herd at one moment. */
export interface HerdView {
  readonly servers: readonly ServerView[];
  readonly links: readonly LinkView[];
}

/** The key of the link between two servers, whichever is named first. */
export function linkKey(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

interface Known {
  status: Status | null;
  /** Whether the server has been asked. */
  isAsked: boolean;
  readonly reports: RateMeter;
  /** The rates of the records that the server sends, by neighbor. */
  readonly sent: Map<string, RateMeter>;
  /** The rates of the records that the server receives, by neighbor. */
  readonly received: Map<string, RateMeter>;
}

/** Collects answers. */
export class HerdModel {
  private topology: Topology = { server: '', servers: [] };
  private readonly known = new Map<string, Known>();

  /** Notes which servers and links there are. Servers that are no longer named are forgotten. */
  noteTopology(topology: Topology): void {
    this.topology = topology;
    const names = new Set(topology.servers.map((server) => server.name));
    for (const name of this.known.keys()) if (!names.has(name)) this.known.delete(name);
  }

  /** Notes a server's answer, which came at this time. */
  noteStatus(name: string, status: Status, atMs: number): void {
    const known = this.of(name);
    known.isAsked = true;
    known.status = status;
    known.reports.note(status.incarnation, atMs, status.accepted);
    for (const link of status.links) {
      meter(known.sent, link.neighbor).note(status.incarnation, atMs, link.sent);
      meter(known.received, link.neighbor).note(status.incarnation, atMs, link.received);
    }
  }

  /** Notes that a server does not answer. */
  noteSilence(name: string): void {
    const known = this.of(name);
    known.isAsked = true;
    known.status = null;
    known.reports.clear();
    known.sent.clear();
    known.received.clear();
  }

  /** The configured links, each once, in the order of the topology. */
  ends(): [string, string][] {
    const names = new Set(this.topology.servers.map((server) => server.name));
    const found = new Map<string, [string, string]>();
    for (const { name, links } of this.topology.servers) {
      for (const { neighbor } of links) {
        const key = linkKey(name, neighbor);
        if (names.has(neighbor) && name !== neighbor && !found.has(key)) found.set(key, [name, neighbor]);
      }
    }
    return [...found.values()];
  }

  /** The herd, as it is known now. */
  view(): HerdView {
    return {
      servers: this.topology.servers.map(({ name, http }) => this.serverView(name, http)),
      links: this.ends().map(([a, b]) => this.linkView(a, b)),
    };
  }

  private serverView(name: string, http: readonly string[]): ServerView {
    const known = this.of(name);
    const status = known.status;
    return {
      name,
      state: this.stateOf(name, known),
      records: status?.records ?? null,
      reportsPerS: status ? known.reports.perSecond() : null,
      connections: status?.connections ?? null,
      uptimeS: status?.uptimeS ?? null,
      version: status?.version ?? null,
      troubles: status?.troubles ?? [],
      url: http[0] ?? null,
    };
  }

  private stateOf(name: string, known: Known): ServerState {
    if (known.status) return known.status.draining ? 'draining' : 'up';
    const isLinked = this.topology.servers.some((server) => this.linkOf(server.name, name)?.up === true);
    if (isLinked) return 'hidden';
    return known.isAsked ? 'away' : 'asked';
  }

  private linkView(a: string, b: string): LinkView {
    const [atA, atB] = [this.linkOf(a, b), this.linkOf(b, a)];
    const told = [atA, atB].filter((link) => link !== undefined);
    const [knownA, knownB] = [this.of(a), this.of(b)];
    const isUp = told.length > 0 && told.every((link) => link.up);
    const flooded = this.floodedLink(a, b);
    const isEager = told.length > 0 ? told.some((link) => link.eager) : (flooded?.eager ?? false);
    const state = told.length > 0 ? judged(told) : (flooded?.state ?? 'unknown');
    return {
      key: linkKey(a, b),
      a,
      b,
      state,
      eager: isEager && state === 'up',
      fromA: isUp ? (rate(knownA.sent, b) ?? rate(knownB.received, a)) : null,
      fromB: isUp ? (rate(knownB.sent, a) ?? rate(knownA.received, b)) : null,
      lagS: isUp ? Math.max(...told.map((link) => link.lagS)) : null,
      troubles: linkTroubles([a, atA], [b, atB]),
    };
  }

  /** The link to `neighbor` in the newest answer of a server. */
  private linkOf(server: string, neighbor: string): LinkStatus | undefined {
    return this.known.get(server)?.status?.links.find((link) => link.neighbor === neighbor);
  }

  /** The link as `/v1/herd` has it, at each end that names it. It is up only if no end says anything else. */
  private floodedLink(a: string, b: string): { state: LinkState; eager: boolean } | null {
    const named = (name: string, neighbor: string) =>
      this.topology.servers
        .find((server) => server.name === name)
        ?.links.find((link) => link.neighbor === neighbor);
    const ends = [named(a, b), named(b, a)].filter((link) => link !== undefined);
    if (ends.length === 0 || this.isSilent()) return null;
    const isDown = ends.some(({ up }) => up === false);
    const isUp = ends.every(({ up }) => up === true);
    return { state: isDown ? 'down' : isUp ? 'up' : 'unknown', eager: ends.some(({ eager }) => eager) };
  }

  /** Whether no server answers. What `/v1/herd` has said is then of a time before. */
  private isSilent(): boolean {
    const { servers } = this.topology;
    const isQuiet = ({ isAsked, status }: Known, hasDoor: boolean) => status === null && (isAsked || !hasDoor);
    return servers.every(({ name, http }) => isQuiet(this.of(name), http.length > 0));
  }

  private of(name: string): Known {
    let known = this.known.get(name);
    if (!known) {
      known = { status: null, isAsked: false, reports: new RateMeter(), sent: new Map(), received: new Map() };
      this.known.set(name, known);
    }
    return known;
  }
}

function judged(told: readonly LinkStatus[]): LinkState {
  const ups = told.filter((link) => link.up).length;
  if (ups === told.length) return 'up';
  return ups === 0 ? 'down' : 'mixed';
}

function linkTroubles(...ends: (readonly [string, LinkStatus | undefined])[]): string[] {
  return ends.flatMap(([name, link]) => {
    if (!link) return [];
    const trouble = link.trouble && !link.up ? [`${name}: ${link.trouble}`] : [];
    return link.unsteady ? [...trouble, `${name}: the link comes up repeatedly and does not stay up`] : trouble;
  });
}

function meter(meters: Map<string, RateMeter>, neighbor: string): RateMeter {
  let found = meters.get(neighbor);
  if (!found) {
    found = new RateMeter();
    meters.set(neighbor, found);
  }
  return found;
}

function rate(meters: Map<string, RateMeter>, neighbor: string): number | null {
  return meters.get(neighbor)?.perSecond() ?? null;
}
