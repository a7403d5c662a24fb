import { expect, test } from 'vitest';

import { HerdModel, linkKey } from './model';
import { readStatus, readTopology, type Status, type Topology } from './status';

interface LinkParts {
  up?: boolean;
  eager?: boolean;
  sent?: number;
  received?: number;
  lag?: number;
  trouble?: string;
}

/** A status as a server sends it. */
function status(server: string, links: Record<string, LinkParts>, more: Record<string, unknown> = {}): Status {
  const told = {
    server,
    version: '1.2.3',
    incarnation: '7',
    uptime_s: 12.5,
    draining: false,
    records: 100,
    connections: 3,
    reports: { accepted: 10, stale: 0, rejected: 0 },
    links: Object.entries(links).map(([neighbor, link]) => ({
      neighbor,
      up: link.up ?? true,
      eager: link.eager ?? true,
      payloads_sent: link.sent ?? 0,
      payloads_received: link.received ?? 0,
      lag_s: link.lag ?? 0,
      trouble: link.trouble,
    })),
    ...more,
  };
  const read = readStatus(told);
  if (!read) throw new Error('the status cannot be read');
  return read;
}

function topology(links: { up: boolean | null; eager: boolean } = { up: true, eager: true }): Topology {
  const read = readTopology({
    server: 'A',
    servers: [
      { name: 'A', http: ['http://127.0.0.1:8000/'], links: [{ neighbor: 'B', ...links }] },
      { name: 'B', http: ['http://127.0.0.1:8001'], links: [{ neighbor: 'A', ...links }] },
      { name: 'C', http: [], links: [{ neighbor: 'B', up: true, eager: false }] },
    ],
  });
  if (!read) throw new Error('the topology cannot be read');
  return read;
}

function link(model: HerdModel, a: string, b: string) {
  const found = model.view().links.find(({ key }) => key === linkKey(a, b));
  if (!found) throw new Error('there is no such link');
  return found;
}

function stateOf(model: HerdModel, name: string) {
  return model.view().servers.find((server) => server.name === name)?.state;
}

function known(): HerdModel {
  const model = new HerdModel();
  model.noteTopology(topology());
  return model;
}

test('each link is there once, whichever end names it', () => {
  expect(known().ends()).toEqual([
    ['A', 'B'],
    ['C', 'B'],
  ]);
});

test('before any answer the flooded states count', () => {
  const model = known();
  expect(stateOf(model, 'A')).toBe('asked');
  expect(link(model, 'A', 'B')).toMatchObject({ state: 'up', eager: true, fromA: null, fromB: null });
  model.noteTopology(topology({ up: false, eager: true }));
  expect(link(model, 'A', 'B')).toMatchObject({ state: 'down', eager: false });
  model.noteTopology(topology({ up: null, eager: false }));
  expect(link(model, 'A', 'B'), 'the server does not know').toMatchObject({ state: 'unknown', eager: false });
});

test('once no server answers, the state of no link is known', () => {
  const model = new HerdModel();
  model.noteTopology(topology());
  model.noteSilence('A');
  expect(link(model, 'A', 'B').state, 'the other server may answer').toBe('up');
  model.noteSilence('B');
  expect(model.view().links.map(({ state }) => state)).toEqual(['unknown', 'unknown']);
  model.noteStatus('A', status('A', { B: {} }), 0);
  expect(link(model, 'A', 'B').state).toBe('up');
});

test('two answers give rates in both directions', () => {
  const model = known();
  model.noteStatus('A', status('A', { B: { sent: 100, received: 50, lag: 0.2 } }), 1000);
  expect(link(model, 'A', 'B').fromA).toBeNull();
  model.noteStatus('A', status('A', { B: { sent: 140, received: 60, lag: 0.2 } }), 3000);
  expect(link(model, 'A', 'B')).toMatchObject({ fromA: 20, fromB: 5, lagS: 0.2 });
  model.noteStatus('B', status('B', { A: { sent: 0, lag: 4 } }), 3000);
  model.noteStatus('B', status('B', { A: { sent: 8, lag: 4 } }), 4000);
  expect(link(model, 'A', 'B')).toMatchObject({ fromA: 20, fromB: 8, lagS: 4 });
});

test('a server that was started again has no rate until it has answered twice', () => {
  const model = known();
  model.noteStatus('A', status('A', {}, { reports: { accepted: 500 } }), 1000);
  model.noteStatus('A', status('A', {}, { reports: { accepted: 510 } }), 2000);
  const rate = () => model.view().servers[0]?.reportsPerS;
  expect(rate()).toBe(10);
  model.noteStatus('A', status('A', {}, { reports: { accepted: 511 }, incarnation: '8' }), 3000);
  expect(rate()).toBeNull();
  model.noteStatus('A', status('A', {}, { reports: { accepted: 513 }, incarnation: '8' }), 4000);
  expect(rate()).toBe(2);
});

test('a server that does not answer is away, unless a neighbor has a link to it', () => {
  const model = known();
  model.noteSilence('B');
  expect(stateOf(model, 'B')).toBe('away');
  model.noteStatus('A', status('A', { B: {} }), 1000);
  expect(stateOf(model, 'B')).toBe('hidden');
  model.noteStatus('A', status('A', { B: { up: false, trouble: 'connection refused' } }), 2000);
  expect(stateOf(model, 'B')).toBe('away');
  expect(link(model, 'A', 'B')).toMatchObject({
    state: 'down',
    eager: false,
    fromA: null,
    lagS: null,
    troubles: ['A: connection refused'],
  });
});

test('a server that stops and a server in trouble say so', () => {
  const model = known();
  model.noteStatus('A', status('A', {}, { draining: true }), 1000);
  expect(stateOf(model, 'A')).toBe('draining');
  const journal = { state: 'full', why: 'no space left' };
  model.noteStatus('A', status('A', {}, { stuck: ['shard 3'], namesake: true, journal }), 2000);
  expect(model.view().servers[0]).toMatchObject({
    state: 'up',
    troubles: ['stuck: shard 3', 'another process runs under this name', 'the journal is full: no space left'],
  });
});

test('while only one end says that a link is up, the link is changing and not in the tree', () => {
  const model = known();
  model.noteStatus('A', status('A', { B: {} }), 1000);
  model.noteStatus('B', status('B', { A: { up: false } }), 1000);
  expect(link(model, 'A', 'B')).toMatchObject({ state: 'mixed', eager: false });
});

test('a server without a door that a browser can use is judged by its neighbors', () => {
  const model = known();
  expect(stateOf(model, 'C')).toBe('asked');
  model.noteStatus('B', status('B', { C: {} }), 1000);
  expect(stateOf(model, 'C')).toBe('hidden');
});

test('a server that the herd no longer names is forgotten', () => {
  const model = known();
  model.noteStatus('B', status('B', {}), 1000);
  const { server, servers } = topology();
  model.noteTopology({ server, servers: servers.slice(0, 1) });
  expect(model.view().servers.map(({ name }) => name)).toEqual(['A']);
  expect(model.view().links).toEqual([]);
  model.noteTopology(topology());
  expect(stateOf(model, 'B')).toBe('asked');
});

test('answers of other versions and of other programs are read as far as they go', () => {
  expect(readStatus({ server: 'A', links: [{ neighbor: 'B', new_member: 1 }, 'nonsense', {}] })).toMatchObject({
    server: 'A',
    records: 0,
    links: [{ neighbor: 'B', up: false }],
  });
  expect(readTopology({ server: 'A', servers: [{ name: 'A' }, 7, { http: [] }] })?.servers).toEqual([
    { name: 'A', http: [], links: [] },
  ]);
  for (const nonsense of [null, [], 'text', 7, {}, { server: 7 }]) {
    expect(readStatus(nonsense)).toBeNull();
    expect(readTopology(nonsense)).toBeNull();
  }
});
