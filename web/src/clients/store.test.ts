import { describe, expect, test } from 'vitest';
import type { Client } from '../api/wire';
import { latOf, lonOf, xOf } from '../base/mercator';
import { ClientStore, GLIDE_MS_MAX } from './store';

const BEGUN = Date.parse('2026-05-01T12:00:00Z');

function report(id: string, lat: number, lon: number, seconds = 0, more: Partial<Client> = {}): Client {
  const time = new Date(BEGUN + seconds * 1000).toISOString();
  const at = `AT Riley +0 ${id} ${lat}${lon} ${seconds}`;
  return { id, lat, lon, time, received: time, server: 'Riley', difference_s: 0, at, attributes: {}, ...more };
}

function store(max = 100): ClientStore {
  return new ClientStore((server) => server.length, true, max);
}

/** Where a client is drawn, degrees. */
function drawn(of: ClientStore, id: string, nowMs: number): [lat: number, lon: number] {
  const [x, y] = of.positionOf(id, nowMs) ?? [Number.NaN, Number.NaN];
  return [latOf(y), lonOf(x)];
}

describe('a client', () => {
  test('glides to its new position in the time between its last two reports', () => {
    const clients = store();
    clients.put(report('a', 10, 20), 0);
    clients.put(report('a', 10, 20.001, 2), 1000);
    expect(drawn(clients, 'a', 1000)[1]).toBeCloseTo(20, 9);
    expect(drawn(clients, 'a', 2000)[1]).toBeCloseTo(20.0005, 9);
    expect(drawn(clients, 'a', 3000)[1]).toBeCloseTo(20.001, 9);
    expect(drawn(clients, 'a', 99_000)[1]).toBeCloseTo(20.001, 9);
    expect(clients.glidingUntilMs).toBe(3000);
  });

  test('has a speed while it glides, and none afterwards', () => {
    const clients = store();
    const [xs, ys] = [new Float64Array(1), new Float64Array(1)];
    clients.put(report('a', 0, 0), 0);
    clients.put(report('a', 0, 0.0036, 2), 0);
    clients.positions(1000, xs, ys);
    expect(clients.speed).toBeCloseTo(0.0036 / 360 / 2000, 15);
    clients.positions(2000, xs, ys);
    expect(clients.speed).toBe(0);
  });

  test('turns from where it is drawn if a report arrives while it glides', () => {
    const clients = store();
    clients.put(report('a', 0, 0), 0);
    clients.put(report('a', 0, 0.002, 2), 0);
    clients.put(report('a', 0.001, 0.001, 4), 1000);
    const [lat, lon] = drawn(clients, 'a', 1000);
    expect(lat).toBeCloseTo(0, 9);
    expect(lon).toBeCloseTo(0.001, 9);
  });

  test('jumps if it would have to be faster than anything', () => {
    const clients = store();
    clients.put(report('a', 34, -118), 0);
    clients.put(report('a', 48, 2, 1), 0);
    expect(drawn(clients, 'a', 0)[0]).toBeCloseTo(48, 6);
    expect(clients.glidingUntilMs).toBe(0);
  });

  test('never glides for long, however long it was silent', () => {
    const clients = store();
    clients.put(report('a', 0, 0), 0);
    clients.put(report('a', 0, 0.001, 3600), 0);
    expect(drawn(clients, 'a', GLIDE_MS_MAX)[1]).toBeCloseTo(0.001, 9);
  });

  test('jumps where little motion is wanted', () => {
    const clients = new ClientStore(() => 0, false);
    clients.put(report('a', 0, 0), 0);
    clients.put(report('a', 0, 0.001, 2), 0);
    expect(drawn(clients, 'a', 0)[1]).toBeCloseTo(0.001, 9);
  });

  test('crosses the antimeridian the short way', () => {
    const clients = store();
    clients.put(report('a', 0, 179.9999), 0);
    clients.put(report('a', 0, -179.9999, 2), 0);
    const [x] = clients.positionOf('a', 1000) ?? [0];
    expect(Math.abs(x - Math.round(x))).toBeLessThan(1e-9);
    expect(xOf(180)).toBe(1);
  });

  test('points in the direction in which it has moved, unless it reports one', () => {
    const clients = store();
    clients.put(report('a', 0, 0), 0);
    expect(clients.heading[0]).toBeNaN();
    clients.put(report('a', 0, 0.001, 2), 0);
    expect(clients.heading[0]).toBeCloseTo(Math.PI / 2, 5);
    clients.put(report('a', 0, 0.001, 4), 0);
    expect(clients.heading[0], 'standing still keeps the direction').toBeCloseTo(Math.PI / 2, 5);
    clients.put(report('a', 0, 0.002, 6, { attributes: { heading_deg: 180 } }), 0);
    expect(clients.heading[0]).toBeCloseTo(Math.PI, 5);
  });

  test('has the number of the server that took its newest report', () => {
    const clients = store();
    clients.put(report('a', 0, 0), 0);
    clients.put(report('a', 0, 0, 1, { server: 'Jaquez', at: 'AT Jaquez' }), 0);
    expect(clients.server[0]).toBe(6);
  });
});

describe('the store', () => {
  test('takes the same report only once', () => {
    const clients = store();
    expect(clients.put(report('a', 1, 2), 0)).toBe(true);
    expect(clients.put(report('a', 1, 2), 500)).toBe(false);
    expect(clients.put(report('a', 1, 2, 1), 500)).toBe(true);
  });

  test('forgets after a new state whoever is not in it, and keeps the others where they are', () => {
    const clients = store();
    for (const id of ['a', 'b', 'c', 'd']) clients.put(report(id, 1, id.charCodeAt(0)), 0);
    clients.beginState();
    clients.put(report('b', 1, 98), 10);
    clients.put(report('d', 1, 100), 10);
    expect(clients.count, 'nobody vanishes before the state is complete').toBe(4);
    clients.endState();
    expect(
      clients
        .all()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(['b', 'd']);
    for (const id of ['b', 'd']) {
      expect(clients.at(clients.slotOf(id) ?? -1)?.id).toBe(id);
      expect(drawn(clients, id, 10)[1]).toBeCloseTo(id.charCodeAt(0), 9);
    }
  });

  test('keeps its columns together when clients leave in any order', () => {
    const clients = store(5000);
    for (let at = 0; at < 3000; at += 1) clients.put(report(`c${at}`, 0, at / 100), 0);
    for (let at = 0; at < 3000; at += 3) clients.remove(`c${at}`);
    expect(clients.count).toBe(2000);
    for (let at = 0; at < 3000; at += 1) {
      if (at % 3 === 0) expect(clients.get(`c${at}`)).toBeUndefined();
      else expect(drawn(clients, `c${at}`, 0)[1]).toBeCloseTo(at / 100, 8);
    }
  });

  test('counts whoever finds no room, and still moves whom it has', () => {
    const clients = store(2);
    for (const id of ['a', 'b', 'c', 'd']) clients.put(report(id, 1, 2), 0);
    expect([clients.count, clients.leftOut]).toEqual([2, 2]);
    expect(clients.put(report('b', 1, 2.0001, 1), 0)).toBe(true);
    clients.beginState();
    expect(clients.leftOut).toBe(0);
  });
});
