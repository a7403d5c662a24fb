import { expect, test } from 'vitest';
import { TRAIL_POINTS_MAX, Trails } from './trails';

test('a trail has its points in order, and none twice in a row', () => {
  const trails = new Trails();
  trails.add('a', 0.1, 0.2);
  trails.add('a', 0.1, 0.2);
  trails.add('a', 0.3, 0.4);
  expect(trails.of('a')).toEqual([0.1, 0.2, 0.3, 0.4]);
  expect(trails.of('b')).toEqual([]);
  expect(trails.length).toBe(2);
});

test('a long trail loses every second point and keeps the newest', () => {
  const trails = new Trails();
  const count = TRAIL_POINTS_MAX * 3;
  for (let at = 0; at < count; at += 1) trails.add('a', at, -at);
  const trail = trails.of('a');
  expect(trail.length / 2).toBeLessThanOrEqual(TRAIL_POINTS_MAX);
  expect(trail.length / 2).toBe(trails.length);
  expect(trail.slice(-2)).toEqual([count - 1, -(count - 1)]);
  for (let at = 2; at < trail.length; at += 2) expect(trail[at]).toBeGreaterThan(trail[at - 2] ?? 0);
});

test('all trails together have a bound', () => {
  const trails = new Trails(100);
  for (let step = 0; step < 50; step += 1) {
    for (const id of ['a', 'b', 'c', 'd', 'e']) trails.add(id, step, step);
    expect(trails.length).toBeLessThanOrEqual(100);
  }
  for (const id of ['a', 'b', 'c', 'd', 'e']) expect(trails.of(id).slice(-1)).toEqual([49]);
});

test('a forgotten client has no trail', () => {
  const trails = new Trails();
  trails.add('a', 1, 1);
  trails.remove('a');
  expect([trails.of('a').length, trails.length]).toEqual([0, 0]);
});
