import { describe, expect, test, vi } from 'vitest';
import { mayUse } from './doors';
import { ago, attribute, compact, coordinates, direction, distance, duration, short } from './format';
import { latOf, lonOf, metersPerUnit, wrapped, xOf, yOf } from './mercator';
import { ServerNumbers } from './servers';
import { Signal } from './signal';

test('a page uses doors on loopback only if it is there, too, and leaves TLS for none', () => {
  for (const [page, door, expected] of [
    ['http://127.0.0.1:8000/', 'http://127.0.0.1:8001', true],
    ['http://localhost:8000/', 'http://127.0.0.1:8001', true],
    ['http://[::1]:8000/', 'http://localhost:8001', true],
    ['http://127.0.0.1:8000/', 'http://10.0.0.1:8000', true],
    ['http://10.0.0.1:8000/', 'http://10.0.0.2:8000', true],
    ['http://10.0.0.1:8000/', 'http://127.0.0.1:8000', false],
    ['https://herd.example/', 'https://localhost:8443', false],
    ['https://herd.example/', 'https://[::1]:8443', false],
    ['https://herd.example/', 'https://other.example', true],
    ['https://herd.example/', 'http://other.example', false],
    ['http://herd.example/', 'https://127.0.0.1.example', true],
    ['http://herd.example/', 'ftp://other.example', false],
    ['http://herd.example/', 'not a URL', false],
  ] as const) {
    expect(mayUse(page, door), `${page} ${door}`).toBe(expected);
  }
});

describe('the projection', () => {
  test('finds every position again', () => {
    for (const lat of [-85, -33.4, 0, 0.000001, 51.5, 85]) expect(latOf(yOf(lat))).toBeCloseTo(lat, 9);
    for (const lon of [-179.9, -118.4, 0, 2.35, 179.9]) expect(lonOf(xOf(lon))).toBeCloseTo(lon, 9);
  });

  test('has its corners where the world ends', () => {
    expect(xOf(-180)).toBe(0);
    expect(yOf(90)).toBeCloseTo(0, 6);
    expect(yOf(-90)).toBeCloseTo(1, 6);
    expect(yOf(0)).toBeCloseTo(0.5, 12);
  });

  test('has half the meters at 60 degrees', () => {
    expect(metersPerUnit(yOf(60)) / metersPerUnit(yOf(0))).toBeCloseTo(0.5, 6);
  });

  test('takes the nearest of the worlds side by side', () => {
    expect(wrapped(0.01, 0.99)).toBeCloseTo(1.01, 12);
    expect(wrapped(0.99, 0.01)).toBeCloseTo(-0.01, 12);
    expect(wrapped(0.4, 0.6)).toBe(0.4);
  });
});

describe('texts', () => {
  test('of values read as people write them', () => {
    expect(short(1.5, 2)).toBe('1.5');
    expect(coordinates(34.0689, -118.4451)).toBe('34.06890° N, 118.44510° W');
    expect([distance(12.4), distance(1534), distance(25_300)]).toEqual(['12 m', '1.5 km', '25 km']);
    expect([duration(59_999), duration(61_000), duration(7.3e6), duration(9e7)]).toEqual([
      '59 s',
      '1 min',
      '2 h',
      '1 day',
    ]);
    expect([ago(200), ago(5000)]).toEqual(['just now', '5 s ago']);
    const points = ['north', 'northwest', 'north', 'northeast', 'west', 'north'];
    expect([0, -45, 359, 22.6, -90, 720].map(direction)).toEqual(points);
    expect([999, 1000, 1234, 9960, 34_567].map(compact)).toEqual(['999', '1k', '1.2k', '10k', '35k']);
    expect([999_499, 999_500, 1.24e6, 10_000_000].map(compact)).toEqual(['999k', '1M', '1.2M', '10M']);
  });

  test('of attributes: the well-known ones have units, and all others stay as they are', () => {
    expect(attribute('battery_pct', 19.6)).toEqual(['Battery', '20 %']);
    expect(attribute('speed_mps', 10)).toEqual(['Speed', '36 km/h']);
    expect(attribute('heading_deg', -720 - 45)).toEqual(['Heading', 'northwest (315°)']);
    expect(attribute('note', '<b>')).toEqual(['Note', '<b>']);
    expect(attribute('battery_pct', 'low')).toBeNull();
    expect(attribute('color', 3)).toBeNull();
  });
});

describe('server numbers', () => {
  test('follow the order of names, and later servers get the next ones', () => {
    const numbers = new ServerNumbers();
    numbers.know(['Riley', 'Bernard']);
    expect([numbers.of('Bernard'), numbers.of('Riley'), numbers.of('Aaron'), numbers.of('Riley')]).toEqual([
      0, 1, 2, 1,
    ]);
  });

  test('never exceed a byte', () => {
    const numbers = new ServerNumbers();
    for (let at = 0; at < 400; at += 1) expect(numbers.of(`s${at}`)).toBe(Math.min(at, 255));
    expect(numbers.names.length).toBe(256);
  });
});

describe('a signal', () => {
  test('tells everybody who listens, and nobody who has ended it', () => {
    const signal = new Signal<number>();
    const heard: number[] = [];
    const end = signal.listen((value) => heard.push(value));
    signal.emit(1);
    end();
    signal.emit(2);
    expect(heard).toEqual([1]);
    expect(signal.isHeard).toBe(false);
  });

  test('tells the others although one listener throws', () => {
    vi.stubGlobal('reportError', vi.fn());
    const signal = new Signal<number>();
    const heard: number[] = [];
    signal.listen(() => {
      throw new Error('no');
    });
    signal.listen((value) => heard.push(value));
    signal.emit(7);
    expect(heard).toEqual([7]);
    expect(reportError).toHaveBeenCalledOnce();
    vi.unstubAllGlobals();
  });
});
