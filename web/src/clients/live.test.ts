import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Session } from '../api/session';
import type { StreamMessage } from '../api/wire';
import type { Box } from '../base/box';
import { Signal } from '../base/signal';
import { LiveClients } from './live';
import { ClientStore } from './store';

/** The WebSockets of the page, which the tests speak through. */
class FakeSocket {
  static all: FakeSocket[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  readonly sent: { subscribe?: { box?: Box; ids?: string[] } }[] = [];
  isClosed = false;
  constructor() {
    FakeSocket.all.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.isClosed = true;
  }
  tell(...messages: object[]): void {
    for (const message of messages) this.onmessage?.({ data: JSON.stringify(message as StreamMessage) });
  }
}

const signals = () => ({ rightsChanged: new Signal(), moved: new Signal(), reports: new Signal() });

function begin(rights = { read: true }) {
  const session = {
    ...signals(),
    rights,
    info: { tokens: false },
    server: { name: 'Riley', base: 'http://127.0.0.1:8000/' },
    url: () => new URL('http://127.0.0.1:8000/v1/ws'),
    showToken: () => {},
    findServer: () => Promise.resolve(true),
    checkToken: () => Promise.resolve(),
  };
  const store = new ClientStore(() => 0);
  return { session, store, live: new LiveClients(session as unknown as Session, store) };
}

function location(id: string, lat: number, seconds = 0): object {
  const time = new Date(seconds * 1000).toISOString();
  const data = { id, lat, lon: 0, time, received: time, server: 'Riley', at: `${lat}`, attributes: {} };
  return { event: 'location', id: '1', data };
}

const socket = (at: number) => FakeSocket.all.at(at) as FakeSocket;
const boxes = () => socket(0).sent.map(({ subscribe }) => subscribe?.box);

beforeEach(() => {
  FakeSocket.all = [];
  vi.stubGlobal('WebSocket', FakeSocket);
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('another token is shown over another connection, and the boxes stay', () => {
  const { session, live } = begin();
  live.see([0, 0, 10, 10]);
  socket(0).onopen?.();
  socket(0).tell({ event: 'reset', id: '1' }, { event: 'synced', id: '1' });
  expect(live.state.kind).toBe('live');
  session.rightsChanged.emit(undefined as never);
  expect([FakeSocket.all.length, socket(0).isClosed]).toEqual([2, true]);
  socket(1).onopen?.();
  expect(socket(1).sent.map(({ subscribe }) => subscribe?.box)).toEqual([[-3, -3, 13, 13]]);
});

test('without the right to read, nothing of what was seen is kept', () => {
  const { session, store, live } = begin();
  live.see([0, 0, 10, 10]);
  socket(0).onopen?.();
  socket(0).tell(location('a', 1), location('a', 2, 1));
  expect([store.count, live.trails.length]).toEqual([1, 2]);
  session.rights.read = false;
  session.rightsChanged.emit(undefined as never);
  expect([store.count, live.trails.length, socket(0).isClosed]).toEqual([0, 0, true]);
});

test('the stream has another box only when the view leaves its box or needs a much smaller one', () => {
  const { live } = begin();
  live.see([0, 0, 10, 10]);
  socket(0).onopen?.();
  expect(boxes()).toEqual([[-3, -3, 13, 13]]);
  for (const view of [
    [1, 1, 11, 11],
    [-2, 0, 8, 10],
    [2, 2, 9, 9],
  ] as Box[]) {
    vi.advanceTimersByTime(1000);
    live.see(view);
  }
  expect(boxes().length, 'moves within the margin ask for nothing').toBe(1);
  vi.advanceTimersByTime(1000);
  live.see([4, 4, 14, 14]);
  vi.advanceTimersByTime(1000);
  live.see([8, 8, 9, 9]);
  expect(boxes().slice(1)).toEqual([
    [1, 1, 17, 17],
    [7.7, 7.7, 9.3, 9.3],
  ]);
});

test('a flight over the map asks for few boxes, and for the last one', () => {
  const { live } = begin();
  live.see([0, 0, 1, 1]);
  socket(0).onopen?.();
  for (let step = 1; step <= 60; step += 1) {
    vi.advanceTimersByTime(16);
    live.see([0, 2 * step, 1, 2 * step + 1]);
  }
  vi.advanceTimersByTime(1000);
  expect(boxes().length).toBeGreaterThan(2);
  expect(boxes().length).toBeLessThan(8);
  expect(boxes().at(-1)).toEqual([-0.3, 119.7, 1.3, 121.3]);
});

test('a token that may not read asks for nothing', () => {
  const { live } = begin({ read: false });
  live.see([0, 0, 1, 1]);
  live.follow('a');
  expect(FakeSocket.all).toEqual([]);
});

test('the followed client stays when it leaves the view, and its trail grows', () => {
  const { live, store } = begin();
  live.see([0, 0, 10, 10]);
  socket(0).onopen?.();
  socket(0).tell({ event: 'reset' }, location('a', 9), location('b', 9), { event: 'synced' });
  live.follow('a');
  socket(1).onopen?.();
  expect(socket(1).sent).toEqual([{ subscribe: { ids: ['a'] }, ref: '1' }]);
  socket(1).tell({ event: 'reset' }, location('a', 9), { event: 'synced' });
  socket(0).tell({ event: 'left', data: { id: 'a' } }, { event: 'left', data: { id: 'b' } });
  socket(1).tell(location('a', 15, 5));
  expect(store.all().map(({ id }) => id)).toEqual(['a']);
  expect(live.trails.of('a').length).toBe(4);
  socket(0).tell({ event: 'reset' }, location('c', 1), { event: 'synced' });
  expect(store.all().map(({ id }) => id).sort(), 'also after a new state').toEqual(['a', 'c']);
  live.follow(null);
  expect(socket(1).isClosed).toBe(true);
  expect(store.all().map(({ id }) => id), 'nobody would tell when it leaves').toEqual(['c']);
});

test('a client that no stream of its own can name is followed while it is in view', () => {
  const { live } = begin();
  live.see([0, 0, 10, 10]);
  socket(0).onopen?.();
  socket(0).tell({ event: 'reset' }, location('van*', 1), location('van\ufffd', 1), { event: 'synced' });
  const told: unknown[] = [];
  live.followedChanged.listen((client) => told.push(client && [client.id, client.lat]));
  live.follow('van*');
  expect(FakeSocket.all.length, 'a star would stand for many clients').toBe(1);
  socket(0).tell(location('van*', 2, 1));
  live.follow('van\ufffd');
  socket(1).onopen?.();
  socket(1).tell({ event: 'reset' }, { event: 'synced' });
  expect(told).toEqual([
    ['van*', 2],
    ['van\ufffd', 1],
  ]);
});

test('a herd that has lost the followed client says so, whichever stream tells its state first', () => {
  const { live, session, store } = begin();
  live.see([0, 0, 10, 10]);
  live.follow('a');
  const whole = [{ event: 'reset' }, location('a', 1), { event: 'synced' }];
  for (const at of [0, 1]) {
    socket(at).onopen?.();
    socket(at).tell(...whole);
  }
  const told: unknown[] = [];
  live.followedChanged.listen((client) => told.push(client?.id ?? null));
  for (const [first, second] of [[3, 2], [4, 5]] as const) {
    session.moved.emit(undefined as never);
    for (const at of [first, second]) {
      socket(at).onopen?.();
      socket(at).tell({ event: 'reset' }, { event: 'synced' });
    }
    expect(told.at(-1)).toBeNull();
    expect(store.count).toBe(0);
    socket(second).tell(location('a', 1));
    socket(first).tell(location('a', 1));
  }
});

test('a followed client that only the view tells of is forgotten with the herd', () => {
  const { live, store } = begin();
  live.see([0, 0, 10, 10]);
  socket(0).onopen?.();
  socket(0).tell({ event: 'reset' }, location('van*', 1), { event: 'synced' });
  const told: unknown[] = [];
  live.follow('van*');
  live.followedChanged.listen((client) => told.push(client));
  socket(0).tell({ event: 'left', data: { id: 'van*' } });
  expect([store.count, told], 'it has only left the view').toEqual([1, []]);
  socket(0).tell({ event: 'gone', data: { id: 'van*' } });
  expect([store.count, told]).toEqual([0, [null]]);
});

test('a client that the herd forgets loses its trail, and one that leaves the view keeps it', () => {
  const { live, store } = begin();
  live.see([0, 0, 10, 10]);
  socket(0).onopen?.();
  socket(0).tell({ event: 'reset' }, location('a', 1), location('b', 1), { event: 'synced' });
  socket(0).tell({ event: 'left', data: { id: 'a' } }, { event: 'gone', data: { id: 'b' } });
  expect(store.count).toBe(0);
  expect([live.trails.of('a').length, live.trails.of('b').length]).toEqual([2, 0]);
});

test('reports of the state are not told as news', () => {
  const { live, session } = begin();
  const news: unknown[] = [];
  session.reports.listen((client) => news.push(client));
  live.see([0, 0, 10, 10]);
  socket(0).onopen?.();
  socket(0).tell({ event: 'reset' }, location('a', 1), { event: 'synced' }, location('a', 1), location('a', 2, 1));
  expect(news).toMatchObject([{ id: 'a', lat: 2 }]);
});
