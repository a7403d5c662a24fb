import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Pace, WAIT_MS_MAX, waitMs } from './pace';

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('requestAnimationFrame', (draw: () => void) => setTimeout(draw, 16));
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test('slow clients need few frames, and fast ones a frame at each refresh', () => {
  expect(waitMs(0)).toBe(WAIT_MS_MAX);
  expect(waitMs(0.0001)).toBe(WAIT_MS_MAX);
  expect(waitMs(0.002)).toBeCloseTo(100, 9);
  expect(waitMs(0.1)).toBe(0);
});

test('the next frame comes at the earliest time that anybody has asked for, and only once', () => {
  let frames = 0;
  const pace = new Pace(() => {
    frames += 1;
  });
  pace.ask(200);
  pace.ask(100);
  pace.ask(150);
  vi.advanceTimersByTime(90);
  expect(frames).toBe(0);
  vi.advanceTimersByTime(40);
  expect(frames).toBe(1);
  vi.advanceTimersByTime(1000);
  expect(frames).toBe(1);
  pace.ask(200);
  pace.ask();
  pace.ask();
  vi.advanceTimersByTime(20);
  expect(frames).toBe(2);
});

test('whoever draws may ask for the next frame', () => {
  let frames = 0;
  const pace = new Pace(() => {
    frames += 1;
    if (frames < 5) pace.ask();
  });
  pace.ask();
  vi.advanceTimersByTime(500);
  expect(frames).toBe(5);
});
