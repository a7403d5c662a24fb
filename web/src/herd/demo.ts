// The demo's controls, without their looks: what may be done to a server or a link, the request that does it, and what
// a person should see then. Only `proxyherd demo` has these paths; another server answers 404.
//
// The session sends each request to the server of the page, or to another one if that server does not answer. So a page
// can start its own server again after it has killed it.

import { Problem } from '../api/problem';
import { linkKey } from './model';
import type { HerdSession } from './session';

/** Whether a server of the demo runs. */
export type DemoServerState = 'running' | 'stopping' | 'stopped';

/** The state of the demo. */
export interface DemoState {
  readonly servers: ReadonlyMap<string, DemoServerState>;
  /** By the key of the link: whether it is cut. */
  readonly links: ReadonlyMap<string, boolean>;
}

/** Something that can be done to the demo. */
export interface DemoAction {
  /** The text and the name of the button: `Kill Riley`. */
  readonly label: string;
  readonly path: string;
  /** What happens meanwhile: `Killing Riley…`. */
  readonly progress: string;
  /** What a person should see after it was done. */
  readonly outcome: string;
  /** Whether it is done, or is being done. */
  isDone(state: DemoState): boolean;
}

/** The path that tells the state of the demo. */
export const DEMO_PATH = '/v1/demo';
/** The time in which an answer must come, milliseconds. A server that stops may need some seconds for its clients. */
const PATIENCE_MS = 15_000;

/** Reads an answer. `null`: it is no state of a demo. */
export function readDemo(answer: unknown): DemoState | null {
  if (typeof answer !== 'object' || answer === null) return null;
  const { servers, links } = answer as { servers?: unknown; links?: unknown };
  if (!Array.isArray(servers) || !Array.isArray(links)) return null;
  const states = new Map<string, DemoServerState>();
  for (const server of servers as { name?: unknown; state?: unknown }[]) {
    const { name, state } = server;
    if (typeof name !== 'string') continue;
    if (state === 'running' || state === 'stopping' || state === 'stopped') states.set(name, state);
  }
  const cuts = new Map<string, boolean>();
  for (const link of links as { between?: unknown; cut?: unknown }[]) {
    const ends: unknown[] = Array.isArray(link.between) ? link.between : [];
    const [a, b] = ends;
    if (typeof a === 'string' && typeof b === 'string') cuts.set(linkKey(a, b), link.cut === true);
  }
  return { servers: states, links: cuts };
}

/** What can be done to a server now. `null`: nothing, because the server is stopping or is not of the demo. */
export function serverAction(name: string, state: DemoServerState | undefined): DemoAction | null {
  const path = `${DEMO_PATH}/servers/${encodeURIComponent(name)}`;
  if (state === 'running') {
    return {
      label: `Kill ${name}`,
      path: `${path}/kill`,
      progress: `Killing ${name}…`,
      outcome:
        `${name} is gone. Its clients report to other servers now, the tree of links goes around it, ` +
        'and no position is lost: the other servers hold every record.',
      isDone: (state) => state.servers.get(name) !== 'running',
    };
  }
  if (state === 'stopped') {
    return {
      label: `Start ${name} again`,
      path: `${path}/start`,
      progress: `Starting ${name}…`,
      outcome: `${name} runs again. It began empty, and its neighbors send it every record that it lacks.`,
      isDone: (state) => state.servers.get(name) === 'running',
    };
  }
  return null;
}

/** What can be done to a link now. `null`: nothing, because the link is not of the demo. */
export function linkAction(a: string, b: string, isCut: boolean | undefined): DemoAction | null {
  if (isCut === undefined) return null;
  const path = `${DEMO_PATH}/links/${encodeURIComponent(a)}/${encodeURIComponent(b)}`;
  const name = `${a} – ${b}`;
  const key = linkKey(a, b);
  if (isCut) {
    return {
      label: `Heal the link ${name}`,
      path: `${path}/heal`,
      progress: `Healing the link ${name}…`,
      outcome: `The link ${name} may come up again. Both servers then compare their records and send what is missing.`,
      isDone: (state) => state.links.get(key) === false,
    };
  }
  return {
    label: `Cut the link ${name}`,
    path: `${path}/cut`,
    progress: `Cutting the link ${name}…`,
    outcome: `The link ${name} is cut. Watch the pulses: updates go around it over other links.`,
    isDone: (state) => state.links.get(key) === true,
  };
}

/** Asks for the state of the demo. */
export async function askDemo(session: Pick<HerdSession, 'request'>): Promise<DemoState> {
  return answered(await session.request(DEMO_PATH, { signal: AbortSignal.timeout(PATIENCE_MS) }));
}

/**
 * Does it. Returns the state of the demo after that. Rejects with an error whose message a person can read.
 *
 * `helper` is the base URL of a server that the action does not concern: a server that is killed may be gone before its
 * answer has come. Without a helper the page's server is asked. After an error the state of the demo decides whether it
 * was done.
 */
export async function act(
  session: Pick<HerdSession, 'request' | 'requestAt'>,
  action: DemoAction,
  helper: string | null,
): Promise<DemoState> {
  try {
    const init = { method: 'POST', signal: AbortSignal.timeout(PATIENCE_MS) };
    const { path } = action;
    return await answered(await (helper ? session.requestAt(helper, path, init) : session.request(path, init)));
  } catch (error) {
    const state = await askDemo(session).catch(() => null);
    if (state && action.isDone(state)) return state;
    throw error;
  }
}

async function answered(response: Response): Promise<DemoState> {
  if (!response.ok) throw await Problem.of(response);
  const state = readDemo(await response.json());
  if (!state) throw new Error('The answer of the demo cannot be read.');
  return state;
}
