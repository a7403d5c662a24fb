import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { CHECK_MS, Follower, POLL_MS, type Share } from './follow';
import type { SharedClient } from './texts';

const TOKEN = `phd_k1w1_${'0'.repeat(64)}`;

function client(lat: number): SharedClient {
  const time = '2026-12-01T00:00:00Z';
  return { id: 'kiwi', lat, lon: 1, time, received: time, at: `AT Riley +0 kiwi +${lat}+1 1` };
}

/** A server with one share, and the WebSockets that a page opens to it. */
class FakeServer {
  share: Share = { id: 'kiwi', expires: '2026-12-01T01:00:00Z', client: client(1) };
  refusal: string | null = null;
  isAway = false;
  hasSockets = true;
  asked = 0;
  sockets: FakeSocket[] = [];
  readonly follower: Follower;

  constructor() {
    const open = (url: string) => {
      expect(url).toBe('ws://riley:8000/herd/v1/ws');
      if (!this.hasSockets) throw new Error('no sockets here');
      const socket = new FakeSocket();
      this.sockets.push(socket);
      return socket;
    };
    const outside = { base: 'http://riley:8000/herd/', fetch: this.answer, open, random: () => 0 };
    this.follower = new Follower(TOKEN, outside, () => {});
  }

  answer = async (url: string, init: RequestInit): Promise<Response> => {
    expect(url).toBe('http://riley:8000/herd/v1/share');
    expect(new Headers(init.headers).get('Authorization')).toBe(`Bearer ${TOKEN}`);
    this.asked += 1;
    if (this.isAway) throw new TypeError('failed to fetch');
    if (this.refusal !== null) {
      const challenge = `Bearer error="invalid_token", error_description="${this.refusal}"`;
      return new Response('{}', { status: 401, headers: { 'WWW-Authenticate': challenge } });
    }
    return Response.json(this.share, { headers: { Date: new Date(Date.now() + this.clockMs).toUTCString() } });
  };

  clockMs = 0;

  get socket(): FakeSocket {
    const last = this.sockets.at(-1);
    if (!last) throw new Error('no WebSocket was opened');
    return last;
  }
}

class FakeSocket {
  onopen: ((event: Event) => unknown) | null = null;
  onmessage: ((event: MessageEvent) => unknown) | null = null;
  onclose: ((event: CloseEvent) => unknown) | null = null;
  sent: unknown[] = [];
  isClosed = false;

  send(text: unknown): void {
    this.sent.push(JSON.parse(String(text)));
  }

  close(): void {
    this.isClosed = true;
    this.onclose?.({} as CloseEvent);
  }

  tell(event: string, data: unknown = {}): void {
    this.onmessage?.({ data: JSON.stringify({ event, id: '1', data }) } as MessageEvent);
  }

  /** Begins the stream with this state. */
  begin(state: SharedClient | null): void {
    this.onopen?.({} as Event);
    this.tell('reset');
    if (state) this.tell('location', state);
    this.tell('synced');
  }
}

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2026-12-01T00:00:00Z') });
});
afterEach(() => {
  vi.useRealTimers();
});

async function live(): Promise<FakeServer> {
  const server = new FakeServer();
  await server.follower.ask();
  server.socket.begin(client(1));
  return server;
}

test('the page asks once, then follows the stream', async () => {
  const server = await live();
  const { follower, socket } = server;
  expect(socket.sent).toEqual([{ token: TOKEN }, { subscribe: { ids: ['kiwi'] } }]);
  expect(follower.isLive).toBe(true);
  socket.tell('location', client(2));
  expect(follower.client?.lat).toBe(2);
  socket.tell('location', { ...client(3), id: 'other' });
  expect(follower.client?.lat).toBe(2);
  socket.tell('gone', { id: 'kiwi' });
  expect(follower.client).toBeNull();
  expect(server.asked).toBe(1);
});

test('a client that is not in the state of a new stream is not known any more', async () => {
  const { follower, socket } = await live();
  socket.begin(null);
  expect(follower.client).toBeNull();
});

test('without a stream the page asks again and again', async () => {
  const server = new FakeServer();
  server.hasSockets = false;
  await server.follower.ask();
  expect(server.follower.isLive).toBe(false);
  server.share = { ...server.share, client: client(2) };
  await vi.advanceTimersByTimeAsync(POLL_MS);
  expect(server.follower.client?.lat).toBe(2);
  expect(server.asked).toBe(2);
});

test('a stream that tells nothing of a new position is dead, and another one is opened', async () => {
  const server = await live();
  server.share = { ...server.share, client: client(2) };
  await vi.advanceTimersByTimeAsync(CHECK_MS);
  expect(server.asked).toBe(2);
  // The stream gets a chance to tell it.
  expect(server.socket.isClosed).toBe(false);
  await vi.advanceTimersByTimeAsync(POLL_MS);
  expect(server.sockets[0]?.isClosed).toBe(true);
  expect(server.follower.client?.lat).toBe(2);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(server.sockets.length).toBeGreaterThan(1);
});

test('a stream that is only late stays', async () => {
  const server = await live();
  server.share = { ...server.share, client: client(2) };
  await vi.advanceTimersByTimeAsync(CHECK_MS);
  server.socket.tell('location', client(2));
  await vi.advanceTimersByTimeAsync(CHECK_MS + POLL_MS);
  expect(server.sockets).toHaveLength(1);
  expect(server.socket.isClosed).toBe(false);
});

test('while the server is away the last position stays, and the page tries again', async () => {
  const server = await live();
  server.isAway = true;
  server.socket.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(server.follower).toMatchObject({ isReachable: false, isLive: false });
  expect(server.follower.client?.lat).toBe(1);
  server.isAway = false;
  await vi.advanceTimersByTimeAsync(POLL_MS + 2000);
  expect(server.follower.isReachable).toBe(true);
  expect(server.sockets).toHaveLength(2);
});

test('an end closes the stream and asks no more', async () => {
  for (const refusal of ['share revoked', 'share ended', 'share unknown']) {
    const server = await live();
    server.refusal = refusal;
    server.socket.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(server.follower.end).not.toBeNull();
    expect(server.follower.client).toBeNull();
    const { asked } = server;
    await vi.advanceTimersByTimeAsync(24 * 3_600_000);
    expect(server.asked).toBe(asked);
    expect(server.sockets).toHaveLength(1);
  }
});

test('when the time of the share is over, the page asks at once', async () => {
  const server = await live();
  server.share = { ...server.share, expires: '2026-12-01T00:00:10Z' };
  await server.follower.ask();
  server.refusal = 'share ended';
  await vi.advanceTimersByTimeAsync(11_000);
  expect(server.follower.end?.what).toBe('This share has ended.');
  expect(server.socket.isClosed).toBe(true);
});

test('a share that lasts longer than a timer can wait is asked for, and not all the time', async () => {
  const server = new FakeServer();
  server.share = { ...server.share, expires: '2030-01-01T00:00:00Z' };
  await server.follower.ask();
  server.socket.begin(client(1));
  await vi.advanceTimersByTimeAsync(10 * CHECK_MS);
  expect(server.asked).toBe(11);
});

test('a clock that is wrong is put right, and a small difference is none', async () => {
  const server = new FakeServer();
  server.clockMs = 3_600_000;
  await server.follower.ask();
  expect(server.follower.nowMs() - Date.now()).toBe(3_600_500);
  server.clockMs = 900;
  await server.follower.ask();
  expect(server.follower.clockOffsetMs).toBe(0);
});

test('an ID that ends in a star is not followed, because it would stand for many clients', async () => {
  const server = new FakeServer();
  server.share = { ...server.share, id: 'kiwi*' };
  await server.follower.ask();
  expect(server.sockets).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(POLL_MS);
  expect(server.asked).toBe(2);
});

test('a stream that refuses is given up and tried again later', async () => {
  const server = new FakeServer();
  await server.follower.ask();
  server.socket.onmessage?.({ data: JSON.stringify({ error: 'no' }) } as MessageEvent);
  expect(server.socket.isClosed).toBe(true);
  expect(server.follower.isLive).toBe(false);
  await vi.advanceTimersByTimeAsync(2000);
  expect(server.sockets).toHaveLength(2);
});
