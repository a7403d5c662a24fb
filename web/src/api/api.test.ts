import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Problem, textOf, Unreachable } from './problem';
import { Session } from './session';
import { RETRY_MS_MAX, RETRY_MS_MIN, retryMs, Stream, type StreamReader, type StreamState } from './stream';
import type { Client, MapInfo } from './wire';

const RILEY = 'http://127.0.0.1:8000/';
const JAQUEZ = 'http://127.0.0.1:8001/';
const TOKEN = 'phd_abc_123';

interface Asked {
  readonly url: string;
  readonly init: RequestInit;
}

/** A herd of two servers. */
class FakeHerd {
  readonly asked: Asked[] = [];
  readonly away = new Set<string>();
  tokens = false;
  /** The codes of paths that are refused. */
  readonly refused = new Map<string, number>();
  rights = { read: true, report: true, places: true, operate: true };

  readonly fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    this.asked.push({ url, init });
    const { origin, pathname } = new URL(url);
    if (this.away.has(`${origin}/`)) throw new TypeError('fetch failed');
    const status = this.refused.get(pathname);
    if (status !== undefined) return Response.json({ detail: `no to ${pathname}` }, { status });
    if (pathname === '/v1/map') return Response.json(this.info(`${origin}/`));
    if (pathname === '/v1/rights') return Response.json(this.rights);
    if (pathname === '/v1/herd') {
      const servers = [
        { name: 'Riley', http: [RILEY.slice(0, -1)] },
        { name: 'Jaquez', http: [JAQUEZ.slice(0, -1)] },
      ];
      return Response.json({ server: 'Riley', servers });
    }
    return Response.json({ path: pathname });
  };

  info(base: string): MapInfo {
    const server = base === RILEY ? 'Riley' : 'Jaquez';
    return { server, tokens: this.tokens, tiles: null, demo: false, version: '1' };
  }

  begin(): Promise<Session> {
    return Session.begin(RILEY, this.fetch);
  }

  /** The token that the last request has shown. */
  shown(): string | null {
    return new Headers(this.asked[this.asked.length - 1]?.init.headers).get('Authorization');
  }
}

describe('a session', () => {
  test('goes on with another server when its own is gone, and says so', async () => {
    const herd = new FakeHerd();
    const session = await herd.begin();
    await session.learnServers();
    const moves: string[] = [];
    session.moved.listen(({ from, to }) => moves.push(`${from.name} to ${to.name}`));
    herd.away.add(RILEY);
    expect(await session.json('v1/clients')).toEqual({ path: '/v1/clients' });
    expect(session.server).toEqual({ name: 'Jaquez', base: JAQUEZ });
    herd.away.delete(RILEY);
    herd.away.add(JAQUEZ);
    await session.json('v1/clients');
    expect(moves).toEqual(['Riley to Jaquez', 'Jaquez to Riley']);
  });

  test('stays with its server when only one request has failed', async () => {
    const herd = new FakeHerd();
    const session = await herd.begin();
    await session.learnServers();
    let failures = 1;
    const flaky = await Session.begin(RILEY, (url, init) => {
      if (url.endsWith('/v1/x') && failures-- > 0) return Promise.reject(new TypeError('reset'));
      return herd.fetch(url, init);
    });
    expect(await flaky.json('v1/x')).toEqual({ path: '/v1/x' });
    expect(flaky.server.name).toBe('Riley');
  });

  test('says that nobody answers if nobody answers', async () => {
    const herd = new FakeHerd();
    const session = await herd.begin();
    await session.learnServers();
    herd.away.add(RILEY).add(JAQUEZ);
    await expect(session.json('v1/clients')).rejects.toBeInstanceOf(Unreachable);
    expect(session.server.name).toBe('Riley');
  });

  test('moves nowhere for a request that was aborted', async () => {
    const herd = new FakeHerd();
    const session = await herd.begin();
    await session.learnServers();
    herd.away.add(RILEY);
    await expect(session.json('v1/x', { signal: AbortSignal.abort() })).rejects.toBeDefined();
    expect(session.server.name).toBe('Riley');
  });

  test('has every right where tokens are off, and none before a token is entered', async () => {
    const herd = new FakeHerd();
    expect((await herd.begin()).rights).toEqual({ read: true, report: true, places: true, operate: true });
    herd.tokens = true;
    const session = await herd.begin();
    expect(session.isOpen).toBe(false);
    expect(session.rights).toEqual({ read: false, report: false, places: false, operate: false });
  });

  test('asks once what a token allows, and shows the token in a header only', async () => {
    const herd = new FakeHerd();
    herd.tokens = true;
    herd.rights = { read: true, report: false, places: true, operate: false };
    const session = await herd.begin();
    expect(await session.useToken(TOKEN)).toEqual(herd.rights);
    expect(herd.asked.map(({ url }) => new URL(url).pathname)).toEqual(['/v1/map', '/v1/rights']);
    expect(session.isOpen).toBe(true);
    await session.json('v1/clients');
    expect(herd.shown()).toBe(`Bearer ${TOKEN}`);
    expect(herd.asked.map(({ url }) => url).join()).not.toContain(TOKEN);
    expect(JSON.stringify(session.info)).not.toContain(TOKEN);
  });

  test('refuses what no header can carry as a wrong token, and asks no server', async () => {
    const herd = new FakeHerd();
    herd.tokens = true;
    const session = await herd.begin();
    const asked = herd.asked.length;
    for (const text of ['phd_é', '\u{1f511}', 'phd_a\nb', 'phd a', 'phd_\u200b']) {
      await expect(session.useToken(text)).rejects.toMatchObject({ status: 401, needsToken: true });
    }
    expect(herd.asked.length).toBe(asked);
  });

  test('keeps its earlier token if another one is wrong, or cannot be checked', async () => {
    for (const status of [401, 429, 503]) {
      const herd = new FakeHerd();
      herd.tokens = true;
      herd.refused.set('/v1/rights', status);
      const session = await herd.begin();
      await expect(session.useToken(TOKEN)).rejects.toMatchObject({ status, needsToken: status === 401 });
      expect(session.isOpen).toBe(false);
      await session.request('v1/x');
      expect(herd.shown()).toBeNull();
      herd.refused.clear();
      await session.useToken(TOKEN);
      herd.refused.set('/v1/rights', status);
      await expect(session.useToken('phd_other_456')).rejects.toMatchObject({ status });
      await session.request('v1/x');
      expect(herd.shown()).toBe(`Bearer ${TOKEN}`);
    }
  });

  test('does not forget a token because the one before it was refused late', async () => {
    const herd = new FakeHerd();
    herd.tokens = true;
    const session = await herd.begin();
    await session.useToken(TOKEN);
    herd.refused.set('/v1/clients', 401);
    const late = session.json('v1/clients');
    await session.useToken('phd_other_456');
    await expect(late).rejects.toMatchObject({ status: 401 });
    expect(session.isOpen).toBe(true);
  });

  test('uses no door that means another machine to the browser', async () => {
    const servers = [
      { name: 'Riley', http: ['http://127.0.0.1:8000', 'http://riley.example'] },
      { name: 'Jaquez', http: ['http://127.0.0.1:8001', 'https://jaquez.example'] },
    ];
    const session = await Session.begin('https://riley.example/', (url) => {
      const info = { server: 'Riley', tokens: false, tiles: null, demo: false, version: '1' };
      return Promise.resolve(Response.json(url.endsWith('/v1/herd') ? { server: 'Riley', servers } : info));
    });
    await session.learnServers();
    expect(session.servers.map(({ http }) => http)).toEqual([[], ['https://jaquez.example']]);
    expect(servers.map((server) => session.doorsOf(server))).toEqual([
      ['https://riley.example'],
      ['https://jaquez.example'],
    ]);
  });

  test('goes to no server that another program has replaced', async () => {
    const herd = new FakeHerd();
    const session = await Session.begin(RILEY, (url, init) => {
      if (url.startsWith(JAQUEZ)) return Promise.resolve(Response.json({ hello: 'from elsewhere' }));
      return herd.fetch(url, init);
    });
    await session.learnServers();
    herd.away.add(RILEY);
    await expect(session.json('v1/clients')).rejects.toBeInstanceOf(Unreachable);
    expect(session.server.name).toBe('Riley');
  });

  test('forgets a token that the herd does not take any more, and asks for another one', async () => {
    const herd = new FakeHerd();
    herd.tokens = true;
    const session = await herd.begin();
    await session.useToken(TOKEN);
    const needed: string[] = [];
    session.tokenNeeded.listen((why) => needed.push(why));
    herd.refused.set('/v1/clients', 401);
    await expect(session.json('v1/clients')).rejects.toBeInstanceOf(Problem);
    expect(needed).toEqual(['no to /v1/clients']);
    expect(session.isOpen).toBe(false);
  });
});

describe('an error', () => {
  test('of a server has its own words, as a sentence', async () => {
    const problem = await Problem.of(Response.json({ detail: 'the box is wrong' }, { status: 422 }));
    expect([problem.status, textOf(problem)]).toEqual([422, 'The box is wrong.']);
  });

  test('without words has its code', async () => {
    const problem = await Problem.of(new Response('<html>', { status: 502 }));
    expect(textOf(problem)).toBe('The server answered with the code 502.');
  });
});

/** A WebSocket that the test speaks through. */
class FakeSocket {
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  readonly sent: unknown[] = [];
  isClosed = false;
  constructor(readonly url: string) {}
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.isClosed = true;
  }
  begin(): void {
    this.onopen?.(new Event('open'));
  }
  tell(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
  }
  end(code = 1006, reason = ''): void {
    this.onclose?.({ code, reason } as CloseEvent);
  }
}

class Recorder implements StreamReader {
  readonly told: string[] = [];
  state: StreamState = { kind: 'idle' };
  reset(): void {
    this.told.push('reset');
  }
  location(client: Client, isNews: boolean): void {
    this.told.push(`${client.id}${isNews ? ' news' : ''}`);
  }
  removed(id: string): void {
    this.told.push(`-${id}`);
  }
  synced(): void {
    this.told.push('synced');
  }
  stateChanged(state: StreamState): void {
    this.state = state;
  }
}

describe('a stream', () => {
  const sockets: FakeSocket[] = [];
  const socket = (at: number) => sockets.at(at) as FakeSocket;
  beforeEach(() => {
    sockets.length = 0;
    vi.useFakeTimers();
  });
  afterEach(() => vi.useRealTimers());

  async function begin(herd = new FakeHerd()): Promise<[Stream, Recorder, Session]> {
    const session = await herd.begin();
    await session.learnServers();
    const recorder = new Recorder();
    const stream = new Stream(session, recorder, (url) => {
      const made = new FakeSocket(url);
      sockets.push(made);
      return made;
    });
    return [stream, recorder, session];
  }

  test('tells the state and then news', async () => {
    const [stream, recorder] = await begin();
    stream.want({ box: [1, 2, 3, 4] });
    expect(recorder.state.kind).toBe('connecting');
    expect(socket(0).url).toBe('ws://127.0.0.1:8000/v1/ws');
    socket(0).begin();
    expect(socket(0).sent).toEqual([{ subscribe: { box: [1, 2, 3, 4] }, ref: '1' }]);
    socket(0).tell({ event: 'reset', id: '1', data: {} });
    socket(0).tell({ event: 'location', id: '2', data: { id: 'a' } });
    socket(0).tell({ event: 'synced', id: '3', data: {} });
    socket(0).tell({ event: 'location', id: '4', data: { id: 'a' } });
    socket(0).tell({ event: 'left', id: '5', data: { id: 'a' } });
    socket(0).tell({ event: 'unheard-of', id: '6', data: {} });
    expect(recorder.told).toEqual(['reset', 'a', 'synced', 'a news', '-a']);
    expect(recorder.state.kind).toBe('live');
  });

  test('asks for other clients over the same connection', async () => {
    const [stream, recorder] = await begin();
    stream.want({ box: [1, 2, 3, 4] });
    stream.want({ box: [5, 6, 7, 8] });
    socket(0).begin();
    socket(0).tell({ event: 'synced', id: '1', data: {} });
    stream.want({ ids: ['a'] });
    expect(socket(0).sent).toEqual([
      { subscribe: { box: [5, 6, 7, 8] }, ref: '1' },
      { subscribe: { ids: ['a'] }, ref: '2' },
    ]);
    socket(0).tell({ ref: '1', error: 'too late to matter' });
    expect(recorder.state.kind).toBe('connecting');
    expect(sockets.length).toBe(1);
  });

  test('shows its token before it asks', async () => {
    const herd = new FakeHerd();
    herd.tokens = true;
    const [stream, , session] = await begin(herd);
    await session.useToken(TOKEN);
    stream.want({ ids: ['a'] });
    socket(0).begin();
    expect(socket(0).sent[0]).toEqual({ token: TOKEN });
    expect(socket(0).url).not.toContain(TOKEN);
  });

  test('connects again after a wait', async () => {
    const [stream, recorder] = await begin();
    stream.want({ ids: ['a'] });
    socket(0).begin();
    socket(0).end();
    expect(recorder.state.kind).toBe('lost');
    await vi.advanceTimersByTimeAsync(RETRY_MS_MIN);
    expect(sockets.length).toBe(2);
    socket(1).begin();
    expect(socket(1).sent).toEqual([{ subscribe: { ids: ['a'] }, ref: '2' }]);
  });

  test('goes on with another server when its own is gone', async () => {
    const herd = new FakeHerd();
    const [stream, , session] = await begin(herd);
    stream.want({ ids: ['a'] });
    socket(0).begin();
    herd.away.add(RILEY);
    socket(0).end();
    await vi.advanceTimersByTimeAsync(RETRY_MS_MIN);
    expect(session.server.name).toBe('Jaquez');
    expect(socket(-1).url).toBe('ws://127.0.0.1:8001/v1/ws');
  });

  test('notices that a silent server is gone', async () => {
    const herd = new FakeHerd();
    const [stream, recorder] = await begin(herd);
    stream.want({ ids: ['a'] });
    socket(0).begin();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(sockets.length, 'a quiet herd is no reason to connect again').toBe(1);
    herd.away.add(RILEY);
    await vi.advanceTimersByTimeAsync(12_000);
    expect(socket(0).isClosed).toBe(true);
    expect(socket(-1).url).toBe('ws://127.0.0.1:8001/v1/ws');
    expect(recorder.state.kind).toBe('connecting');
  });

  test('does not ask again for what the server refuses', async () => {
    const [stream, recorder] = await begin();
    stream.want({ where: '?' });
    socket(0).begin();
    socket(0).tell({ ref: '1', error: 'this is no filter' });
    expect(recorder.state).toEqual({ kind: 'refused', why: 'this is no filter' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets.length).toBe(1);
    stream.want({ where: 'a=1' });
    expect(sockets.length).toBe(2);
  });

  test('forgets the token when its rights have ended', async () => {
    const herd = new FakeHerd();
    herd.tokens = true;
    const [stream, , session] = await begin(herd);
    await session.useToken(TOKEN);
    stream.want({ ids: ['a'] });
    socket(0).begin();
    herd.refused.set('/v1/rights', 401);
    socket(0).end(1008, 'the token was revoked or is past its end');
    await vi.waitFor(() => expect(session.isOpen).toBe(false));
  });

  test('forgets the token if a server does not take it when the stream connects again', async () => {
    const herd = new FakeHerd();
    herd.tokens = true;
    const [stream, recorder, session] = await begin(herd);
    await session.useToken(TOKEN);
    const needed: string[] = [];
    session.tokenNeeded.listen((why) => needed.push(why));
    herd.refused.set('/v1/rights', 401);
    stream.want({ ids: ['a'] });
    socket(0).begin();
    socket(0).tell({ error: 'the token is wrong, revoked or past its end' });
    expect(recorder.state.kind).toBe('refused');
    await vi.waitFor(() => expect(needed).toEqual(['no to /v1/rights']));
    expect(session.isOpen).toBe(false);
  });

  test('shows another token over another connection, and opens none twice', async () => {
    const herd = new FakeHerd();
    herd.tokens = true;
    const [stream, , session] = await begin(herd);
    await session.useToken(TOKEN);
    stream.want({ ids: ['a'] });
    stream.restart();
    expect(sockets.length, 'this connection will show the present token').toBe(1);
    socket(0).begin();
    await session.useToken('phd_other_456');
    stream.restart();
    expect([sockets.length, socket(0).isClosed]).toEqual([2, true]);
    socket(1).begin();
    expect(socket(1).sent[0]).toEqual({ token: 'phd_other_456' });
  });

  test('leaves a silent server that the page has left already', async () => {
    const herd = new FakeHerd();
    const [stream, , session] = await begin(herd);
    stream.want({ ids: ['a'] });
    socket(0).begin();
    herd.away.add(RILEY);
    await session.findServer();
    expect(session.server.name).toBe('Jaquez');
    await vi.advanceTimersByTimeAsync(12_000);
    expect(socket(0).isClosed).toBe(true);
    expect(socket(-1).url).toBe('ws://127.0.0.1:8001/v1/ws');
  });

  test('with too many clients is refused, which is not the fault of the token', async () => {
    const herd = new FakeHerd();
    herd.tokens = true;
    const [stream, recorder, session] = await begin(herd);
    await session.useToken(TOKEN);
    stream.want({ box: [-90, -180, 90, 180] });
    socket(0).begin();
    socket(0).end(1008, 'more clients match than a stream can hold; ask for fewer clients');
    expect(recorder.state.kind).toBe('refused');
    await vi.waitFor(() => expect(herd.asked.at(-1)?.url).toContain('/v1/rights'));
    expect(session.isOpen).toBe(true);
    stream.want({ box: [1, 1, 2, 2] });
    expect(sockets.length).toBe(2);
  });

  test('ends when nothing is wanted', async () => {
    const [stream, recorder] = await begin();
    stream.want({ ids: ['a'] });
    socket(0).begin();
    stream.want(null);
    expect(socket(0).isClosed).toBe(true);
    expect(recorder.state.kind).toBe('idle');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets.length).toBe(1);
  });

  test('waits longer after each failure, up to a bound, and never together with all others', () => {
    expect([retryMs(0, 0), retryMs(0, 1)]).toEqual([RETRY_MS_MIN / 2, RETRY_MS_MIN]);
    expect([retryMs(1, 1), retryMs(2, 1)]).toEqual([2 * RETRY_MS_MIN, 4 * RETRY_MS_MIN]);
    expect(retryMs(1000, 1)).toBe(RETRY_MS_MAX);
  });
});
