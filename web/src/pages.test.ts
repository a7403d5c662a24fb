import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test('no two buttons of a page have the same name', () => {
  for (const page of ['index.html', 'share.html']) {
    const html = readFileSync(new URL(`../${page}`, import.meta.url), 'utf8');
    const names = [...html.matchAll(/<button([^>]*)>(.*?)<\/button>/gs)].map(([, attributes = '', content = '']) => {
      const label = /aria-label="([^"]*)"/.exec(attributes)?.[1];
      return label ?? content.replace(/<[^>]*>/g, '').trim();
    });
    expect(names.length, page).toBeGreaterThan(0);
    expect(new Set(names).size, names.join()).toBe(names.length);
  }
});
