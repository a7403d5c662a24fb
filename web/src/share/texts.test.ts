import { expect, test } from 'vitest';

import { endOf, INCOMPLETE, isToken } from './ends';
import { ago, coordinates, duration, facts, positionText, type SharedClient, whenMs } from './texts';

const CLIENT: SharedClient = {
  id: 'kiwi',
  lat: 34.06893,
  lon: -118.445127,
  time: '2026-11-30T12:00:00.123456789Z',
  received: '2026-11-30T12:00:01Z',
  at: 'AT Riley +0.1 kiwi +34.06893-118.445127 1',
};
const utc = (ms: number) => new Date(ms).toISOString();

test('durations have two units, and no seconds from ten minutes on', () => {
  for (const [ms, expected] of [
    [0, '0 seconds'],
    [1000, '1 second'],
    [61_000, '1 minute 1 second'],
    [599_000, '9 minutes 59 seconds'],
    [659_000, '10 minutes'],
    [3_600_000, '1 hour'],
    [90_061_000, '1 day 1 hour'],
    [-5, '0 seconds'],
  ] as const) {
    expect(duration(ms)).toBe(expected);
  }
  expect([ago(1999), ago(2000)]).toEqual(['just now', '2 seconds ago']);
});

test('coordinates read like words', () => {
  expect(coordinates(CLIENT)).toBe('34.06893°\u00a0N, 118.445127°\u00a0W');
  expect(coordinates({ lat: -0.5, lon: 0 })).toBe('0.5°\u00a0S, 0°\u00a0E');
});

test('a client is described by what it reports', () => {
  const attributes = { accuracy_m: 12, heading_deg: 90, speed_mps: 2.5, battery_pct: 55.4, note: '<b>', other: 1 };
  expect(facts({ ...CLIENT, attributes }, utc)).toEqual([
    ['Where', '34.06893°\u00a0N, 118.445127°\u00a0W'],
    ['Accuracy', 'within 12 m'],
    ['Speed', '9 km/h'],
    ['Heading', 'east (90°)'],
    ['Battery', '55 %'],
    ['Note', '<b>'],
    ['Time', '2026-11-30T12:00:00.123Z'],
  ]);
  expect(positionText({ ...CLIENT, attributes })).toContain(', within 12 m. North is above.');
  expect(facts({ ...CLIENT, attributes: { accuracy_m: 'wide' } }, utc).map(([name]) => name)).toEqual(['Where', 'Time']);
});

test('a report that came late says when, and a time in the future is not believed', () => {
  const late = { ...CLIENT, received: '2026-11-30T12:01:01Z' };
  expect(facts(late, utc).at(-1)).toEqual(['Received', '2026-11-30T12:01:01.000Z']);
  const ahead = { ...CLIENT, time: '2026-11-30T12:01:02Z' };
  expect(utc(whenMs(ahead))).toBe('2026-11-30T12:00:01.000Z');
});

test('a refusal tells the reason', () => {
  expect(endOf('Bearer error="invalid_token", error_description="share revoked"').what).toBe('This share was revoked.');
  expect(endOf('Bearer error="invalid_token", error_description="share ended"').why).toContain('Its time is over');
  for (const other of [null, 'Bearer', 'Bearer error_description="constructor"']) {
    expect(endOf(other).what).toBe('There is no such share.');
  }
});

test('only a whole token is a token', () => {
  expect(isToken(`phd_k1w1_${'0'.repeat(64)}`)).toBe(true);
  for (const text of ['', 'phd_', `phd_k1w1_${'0'.repeat(63)}`, `phd_K_${'0'.repeat(64)}`]) expect(isToken(text)).toBe(false);
  expect(INCOMPLETE.what).toContain('not complete');
});
