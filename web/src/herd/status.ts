// The answers of `GET /v1/status` and `GET /v1/herd`, read into typed values. Servers of other versions may send more
// members than these; the readers ignore them. A member that is missing or has another type gets a harmless value,
// except the names, without which an answer says nothing.

/** The status of one server, as far as the panel shows it. */
export interface Status {
  readonly server: string;
  readonly version: string;
  /** Each start of the server has another one. Counts of different incarnations must not be compared. */
  readonly incarnation: string;
  readonly uptimeS: number;
  readonly draining: boolean;
  readonly records: number;
  readonly connections: number;
  readonly accepted: number;
  /** Why the server is not as it should be, in words. Empty: nothing is known to be wrong. */
  readonly troubles: readonly string[];
  readonly links: readonly LinkStatus[];
}

/** One link, as the server at one end knows it. */
export interface LinkStatus {
  readonly neighbor: string;
  readonly up: boolean;
  /** Whether the link is in the spanning tree, so that changes are sent over it as they come. */
  readonly eager: boolean;
  readonly sent: number;
  readonly received: number;
  /** Number of seconds for which something has been waiting to be sent. */
  readonly lagS: number;
  readonly unsteady: boolean;
  readonly trouble: string | null;
}

/** The servers of the herd and their links, as one server knows them. */
export interface Topology {
  /** The server that has answered. */
  readonly server: string;
  readonly servers: readonly TopologyServer[];
}

/** A server of the herd's file. */
export interface TopologyServer {
  readonly name: string;
  /** The base URLs of its HTTP doors, as a browser can use them. May be empty. */
  readonly http: readonly string[];
  readonly links: readonly TopologyLink[];
}

/** A link of a server, as the server that has answered knows it. */
export interface TopologyLink {
  readonly neighbor: string;
  /** `null`: the server that has answered does not know. */
  readonly up: boolean | null;
  readonly eager: boolean;
}

/** Reads an answer of `/v1/status`. `null`: it is no status. */
export function readStatus(answer: unknown): Status | null {
  const told = record(answer);
  if (!told || typeof told.server !== 'string') return null;
  const reports = record(told.reports);
  return {
    server: told.server,
    version: text(told.version),
    incarnation: String(told.incarnation),
    uptimeS: number(told.uptime_s),
    draining: told.draining === true,
    records: number(told.records),
    connections: number(told.connections),
    accepted: number(reports?.accepted),
    troubles: troubles(told),
    links: list(told.links).flatMap(readLink),
  };
}

/** Reads an answer of `/v1/herd`. `null`: it is no topology. */
export function readTopology(answer: unknown): Topology | null {
  const told = record(answer);
  if (!told || typeof told.server !== 'string' || !Array.isArray(told.servers)) return null;
  return { server: told.server, servers: told.servers.flatMap(readServer) };
}

function readServer(answer: unknown): TopologyServer[] {
  const told = record(answer);
  if (!told || typeof told.name !== 'string') return [];
  const http = list(told.http).filter((url): url is string => typeof url === 'string');
  const links = list(told.links).flatMap((link) => {
    const end = record(link);
    if (!end || typeof end.neighbor !== 'string') return [];
    return [{ neighbor: end.neighbor, up: typeof end.up === 'boolean' ? end.up : null, eager: end.eager === true }];
  });
  return [{ name: told.name, http: http.map((url) => url.replace(/\/+$/, '')), links }];
}

function readLink(answer: unknown): LinkStatus[] {
  const told = record(answer);
  if (!told || typeof told.neighbor !== 'string') return [];
  return [
    {
      neighbor: told.neighbor,
      up: told.up === true,
      eager: told.eager === true,
      sent: number(told.payloads_sent),
      received: number(told.payloads_received),
      lagS: number(told.lag_s),
      unsteady: told.unsteady === true,
      trouble: typeof told.trouble === 'string' ? told.trouble : null,
    },
  ];
}

/** What makes `/health/readyz` of a server fail, and what an operator must look at. */
function troubles(told: Record<string, unknown>): string[] {
  const found: string[] = [];
  const stuck = list(told.stuck).filter((name) => typeof name === 'string');
  if (stuck.length > 0) found.push(`stuck: ${stuck.join(', ')}`);
  if (told.namesake === true) found.push('another process runs under this name');
  if (told.removed === true) found.push('herd.toml no longer names this server');
  const journal = record(told.journal);
  if (journal && typeof journal.state === 'string' && journal.state !== 'running') {
    const why = typeof journal.why === 'string' ? `: ${journal.why}` : '';
    found.push(`the journal is ${journal.state}${why}`);
  }
  const days = told.certificate_days_left;
  if (typeof days === 'number' && days < 0) found.push('its certificate for links has expired');
  return found;
}

function record(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}
