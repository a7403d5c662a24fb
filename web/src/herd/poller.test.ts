import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { EACH_SECOND_MAX, intervalMs, Poller } from './poller';

/** A herd whose servers answer or do not. Notes which URLs were asked, and what the listener was told. */
class FakeHerd {
  readonly asked: string[] = [];
  readonly told: string[] = [];
  herdStatus = 200;
  readonly away = new Set<string>();
  readonly slow = new Set<string>();

  constructor(readonly servers: { name: string; http: string[] }[]) {}

  request = async (path: string): Promise<Response> => {
    expect(path).toBe('/v1/herd');
    if (this.herdStatus !== 200) return new Response('{}', { status: this.herdStatus });
    const servers = this.servers.map((server) => ({ ...server, links: [] }));
    return Response.json({ server: 'A', servers });
  };

  doorsOf = ({ http }: { http: readonly string[] }) => http;

  requestAt = async (base: string, path: string): Promise<Response> => {
    expect(path).toBe('/v1/status');
    this.asked.push(base);
    if (this.away.has(base)) throw new TypeError('failed to fetch');
    if (this.slow.has(base)) await new Promise((resolve) => setTimeout(resolve, 60_000));
    const server = this.servers.find(({ http }) => http.includes(base));
    return Response.json({ server: server?.name, links: [] });
  };

  poller(): Poller {
    return new Poller(this, {
      topology: (topology) => this.told.push(`topology of ${topology.servers.length}`),
      status: (server) => this.told.push(server),
      silence: (server) => this.told.push(`no ${server}`),
      refused: (why) => why !== null && this.told.push(why),
    });
  }
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('another server at the address of a server does not answer for it', async () => {
  const herd = new FakeHerd([
    { name: 'A', http: ['http://proxy'] },
    { name: 'B', http: ['http://proxy', 'http://b'] },
    { name: 'C', http: ['http://proxy'] },
  ]);
  const poller = herd.poller();
  poller.start();
  await vi.advanceTimersByTimeAsync(500);
  expect(herd.told.sort()).toEqual(['A', 'B', 'no C', 'topology of 3']);
  poller.stop();
});

test('each server is asked once a second', async () => {
  const herd = new FakeHerd([
    { name: 'A', http: ['http://a'] },
    { name: 'B', http: ['http://b'] },
    { name: 'C', http: [] },
  ]);
  const poller = herd.poller();
  poller.start();
  await vi.advanceTimersByTimeAsync(2500);
  expect(herd.told).toEqual(['topology of 3', 'A', 'B', 'A', 'B', 'A', 'B']);
  poller.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(herd.asked).toHaveLength(6);
});

test('a large herd is asked less often', () => {
  expect(intervalMs(1)).toBe(1000);
  expect(intervalMs(EACH_SECOND_MAX)).toBe(1000);
  expect(intervalMs(EACH_SECOND_MAX * 5)).toBe(5000);
});

test('a server is asked at its other doors, too, and is told silent when none answers', async () => {
  const herd = new FakeHerd([{ name: 'A', http: ['http://a1', 'http://a2'] }]);
  herd.away.add('http://a1');
  const poller = herd.poller();
  poller.start();
  await vi.advanceTimersByTimeAsync(1500);
  // The door that has answered is asked first from then on.
  expect(herd.asked).toEqual(['http://a1', 'http://a2', 'http://a2']);
  herd.away.add('http://a2');
  await vi.advanceTimersByTimeAsync(1000);
  expect(herd.told.at(-1)).toBe('no A');
  poller.stop();
});

test('a server that does not answer delays no other', async () => {
  const herd = new FakeHerd([
    { name: 'A', http: ['http://a'] },
    { name: 'B', http: ['http://b'] },
  ]);
  herd.slow.add('http://a');
  const poller = herd.poller();
  poller.start();
  await vi.advanceTimersByTimeAsync(3500);
  expect(herd.asked.filter((base) => base === 'http://a')).toHaveLength(1);
  expect(herd.told.filter((told) => told === 'B')).toHaveLength(4);
  poller.stop();
});

test('a late answer after the stop changes nothing', async () => {
  const herd = new FakeHerd([{ name: 'A', http: ['http://a'] }]);
  herd.slow.add('http://a');
  const poller = herd.poller();
  poller.start();
  await vi.advanceTimersByTimeAsync(10);
  poller.stop();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(herd.told).toEqual(['topology of 1']);
});

test('a refusal says which right is missing', async () => {
  for (const [status, word] of [
    [401, 'needs an access token'],
    [403, 'may not see the herd'],
    [404, 'version'],
  ] as const) {
    const herd = new FakeHerd([]);
    herd.herdStatus = status;
    const poller = herd.poller();
    poller.start();
    await vi.advanceTimersByTimeAsync(10);
    poller.stop();
    expect(herd.told[0]).toContain(word);
  }
});

test('a server that was acted on is asked at once', async () => {
  const herd = new FakeHerd([{ name: 'A', http: ['http://a'] }]);
  const poller = herd.poller();
  poller.start();
  await vi.advanceTimersByTimeAsync(10);
  poller.hurry('A');
  await vi.advanceTimersByTimeAsync(1);
  expect(herd.asked).toHaveLength(2);
  poller.stop();
});
