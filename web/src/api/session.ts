// The page's session with the herd: which server the page uses, the token, and what the token allows. All requests of
// the page go through it.
//
// If the page's server does not answer, the session asks the herd's other servers, and uses the first one that answers
// from then on. It knows their URLs from `/v1/herd`, and uses those that `base/doors` allows.
//
// The token is in the memory of this object alone: in no URL, no storage and no error. It goes only to servers that the
// page's own server has named.
//
// This module knows nothing of streams, the map or the herd's graph.

import { mayUse } from '../base/doors';
import { Signal } from '../base/signal';
import { Problem, Unreachable } from './problem';
import type { Client, HerdInfo, HerdServer, MapInfo, Rights } from './wire';

/** The time that a server has to begin its answer, milliseconds. */
const ANSWER_MS_MAX = 12_000;
/** The time that a server has to answer the question whether it is there, milliseconds. */
const PROBE_MS_MAX = 2_500;
/** Minimum time between two reads of the herd's servers, milliseconds. */
const SERVERS_MS_MIN = 30_000;

const RIGHTS_PATH = 'v1/rights';
const ALL: Rights = { read: true, report: true, places: true, operate: true };
const NONE: Rights = { read: false, report: false, places: false, operate: false };

/** The server that the page uses. */
export interface ServerAt {
  readonly name: string;
  /** The base URL, with a slash at its end. */
  readonly base: string;
}

/** The page has changed its server. */
export interface Moved {
  readonly from: ServerAt;
  readonly to: ServerAt;
}

type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

export class Session {
  /** The page uses another server now. */
  readonly moved = new Signal<Moved>();
  /** The rights are other ones now. */
  readonly rightsChanged = new Signal<Rights>();
  /** A token is needed, or the present one is not valid any more. The text says why. */
  readonly tokenNeeded = new Signal<string>();
  /** A client's report, which a stream tells as news. */
  readonly reports = new Signal<Client>();

  private token: string | null = null;
  private present: ServerAt;
  private others: readonly HerdServer[] = [];
  private othersAtMs = Number.NEGATIVE_INFINITY;
  private held: Rights = NONE;
  private searching: Promise<boolean> | null = null;

  private constructor(
    readonly info: MapInfo,
    private readonly home: string,
    private readonly fetch: Fetch,
  ) {
    this.present = { name: info.server, base: home };
    if (!info.tokens) this.held = ALL;
  }

  /** Begins the session with the server at a base URL. */
  static async begin(base: string, fetch: Fetch = (url, init) => globalThis.fetch(url, init)): Promise<Session> {
    const response = await fetch(new URL('v1/map', base).href, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    if (!response.ok) throw await Problem.of(response);
    return new Session((await response.json()) as MapInfo, base, fetch);
  }

  /** The server that the page uses now. */
  get server(): ServerAt {
    return this.present;
  }

  get isDemo(): boolean {
    return this.info.demo;
  }

  get rights(): Rights {
    return this.held;
  }

  /** Whether requests can be sent: tokens are off, or there is a token. */
  get isOpen(): boolean {
    return !this.info.tokens || this.token !== null;
  }

  /** The herd's servers, as far as they are known. */
  get servers(): readonly HerdServer[] {
    return this.others;
  }

  /**
   * The base URLs of a server that the page may use. The page's own server has the URL that the page uses, even if
   * herd.toml gives it no door that a browser can open.
   */
  doorsOf({ name, http }: HerdServer): readonly string[] {
    const doors = http.filter((door) => mayUse(this.home, door));
    const own = this.present.base.replace(/\/$/, '');
    return name === this.present.name ? [own, ...doors.filter((door) => door !== own)] : doors;
  }

  onReport(listener: (server: string) => void): () => void {
    return this.reports.listen((client) => listener(client.server));
  }

  /** The URL of a path at the page's server. */
  url(path: string): URL {
    return new URL(path.replace(/^\//, ''), this.present.base);
  }

  /** Shows the token to a stream. The stream sends it in its first message. */
  showToken(show: (token: string) => void): void {
    if (this.token !== null) show(this.token);
  }

  async request(path: string, init: RequestInit = {}): Promise<Response> {
    try {
      return await this.requestAt(this.present.base, path, init);
    } catch (error) {
      if (init.signal?.aborted) throw error;
      if (!(await this.findServer())) throw new Unreachable();
      return await this.requestAt(this.present.base, path, init);
    }
  }

  async requestAt(base: string, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.token !== null && !headers.has('Authorization')) headers.set('Authorization', `Bearer ${this.token}`);
    const limit = AbortSignal.timeout(ANSWER_MS_MAX);
    const signal = init.signal ? AbortSignal.any([init.signal, limit]) : limit;
    const url = new URL(path.replace(/^\//, ''), base.endsWith('/') ? base : `${base}/`);
    return await this.fetch(url.href, { ...init, headers, signal, cache: 'no-store', credentials: 'omit' });
  }

  /** Requests JSON. Throws a `Problem` if the server refuses. */
  async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const shown = this.token;
    const response = await this.request(path, init);
    if (!response.ok) throw await this.refused(response, shown);
    return (await response.json()) as T;
  }

  /** Sends JSON, and reads JSON. */
  async post<T>(path: string, body: unknown): Promise<T> {
    const headers = { 'Content-Type': 'application/json' };
    return await this.json<T>(path, { method: 'POST', headers, body: JSON.stringify(body) });
  }

  /** Reads why the server has refused. If the token is the reason, and is still the present one, it is forgotten. */
  private async refused(response: Response, shown: string | null): Promise<Problem> {
    const problem = await Problem.of(response);
    if (problem.needsToken && this.info.tokens && this.token === shown) this.tokenEnded(problem.detail);
    return problem;
  }

  /** The herd does not take the token. */
  private tokenEnded(why: string): void {
    if (this.token === null) return;
    this.forgetToken();
    this.tokenNeeded.emit(why);
  }

  /**
   * Takes a token and learns what it allows. Throws a `Problem` if the herd does not take the token. The session then
   * goes on with the token that it had.
   */
  async useToken(token: string): Promise<Rights> {
    // No header can have other characters, and no token has them.
    if (!/^[!-~]+$/.test(token)) throw new Problem(401, 'the token is wrong');
    const response = await this.request(RIGHTS_PATH, { headers: { Authorization: `Bearer ${token}` } });
    if (!response.ok) throw await Problem.of(response);
    const rights = (await response.json()) as Rights;
    this.token = token;
    this.held = rights;
    this.rightsChanged.emit(rights);
    void this.learnServers();
    return rights;
  }

  /** Asks whether the herd still takes the token, because a server has refused something. */
  async checkToken(): Promise<void> {
    if (this.token === null) return;
    try {
      await this.json(RIGHTS_PATH);
    } catch {
      // If the token is the reason, the session has forgotten it by now. Any other failure says nothing about it.
    }
  }

  /** Forgets the token. */
  forgetToken(): void {
    this.token = null;
    this.held = this.info.tokens ? NONE : ALL;
    this.rightsChanged.emit(this.held);
  }

  /** Reads the servers of the herd. Without the right to operate, the page knows only its own server. */
  async learnServers(): Promise<void> {
    if (!this.isOpen || !this.held.operate || performance.now() - this.othersAtMs < SERVERS_MS_MIN) return;
    this.othersAtMs = performance.now();
    try {
      const herd = await this.json<HerdInfo>('v1/herd');
      const usable = (http: readonly string[]) => http.filter((door) => mayUse(this.home, door));
      this.others = herd.servers.map(({ name, http }) => ({ name, http: usable(http) }));
    } catch {
      // The page works without, until its server stops. It asks again later.
    }
  }

  /**
   * Finds a server that answers: first the page's own, and then the others. Returns whether there is one. Several calls
   * at the same time make one search.
   */
  findServer(): Promise<boolean> {
    this.searching ??= this.search().finally(() => {
      this.searching = null;
    });
    return this.searching;
  }

  private async search(): Promise<boolean> {
    const from = this.present;
    if (await this.probe(from.base)) return true;
    const urls = [this.home, ...this.others.flatMap((server) => server.http)];
    const bases = new Set(urls.map((url) => (url.endsWith('/') ? url : `${url}/`)));
    bases.delete(from.base);
    for (const base of bases) {
      const info = await this.probe(base);
      if (!info) continue;
      this.present = { name: info.server, base };
      this.moved.emit({ from, to: this.present });
      return true;
    }
    return false;
  }

  private async probe(base: string): Promise<MapInfo | null> {
    try {
      const signal = AbortSignal.timeout(PROBE_MS_MAX);
      const response = await this.fetch(new URL('v1/map', base).href, {
        signal,
        cache: 'no-store',
        credentials: 'omit',
      });
      const info = response.ok ? ((await response.json()) as MapInfo | null) : null;
      // Another program may listen at the address of a server that is gone.
      return typeof info?.server === 'string' ? info : null;
    } catch {
      return null;
    }
  }
}
