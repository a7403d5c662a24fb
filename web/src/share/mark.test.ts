// @vitest-environment happy-dom
import { expect, test } from 'vitest';
import { Mark } from './mark';

test('the arrow turns by a number that SVG can read, whatever heading a client reports', () => {
  const group = document.createElementNS('http://www.w3.org/2000/svg', 'g');
  const mark = new Mark(group);
  for (const heading of [0, 359.96, -45, 1e9, 1e300, -1e300]) {
    mark.show(1, heading);
    const turn = group.querySelector('path')?.getAttribute('transform') ?? '';
    expect(turn, String(heading)).toMatch(/^rotate\(\d{1,3}\.\d\)$/);
  }
});
