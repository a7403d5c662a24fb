import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** The folders, the lowest first. A module imports from its own folder and from folders below; types from anywhere. */
const FLOORS = ['base', 'api', 'clients', '.', 'map', 'panel', 'search', 'herd', 'share'];
/** Modules at the top, which connect all others. */
const TOP = ['main.ts', 'app.ts'];

const root = dirname(fileURLToPath(import.meta.url));

function modules(): string[] {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
}

test('modules import only from floors below', () => {
  let imports = 0;
  for (const name of modules()) {
    if (TOP.includes(name)) continue;
    const floor = FLOORS.indexOf(dirname(name));
    expect(floor, `${name} has a floor`).toBeGreaterThanOrEqual(0);
    for (const [, names = '', from = ''] of readFileSync(join(root, name), 'utf8').matchAll(
      /^import ((?:[^'](?!^import))*?)from '(\.[^']*)';$/gm,
    )) {
      if (names.startsWith('type ')) continue;
      imports += 1;
      const other = relative(root, dirname(join(root, dirname(name), `${from}.ts`))) || '.';
      expect(FLOORS.indexOf(other), `${name} imports ${from}`).toBeLessThanOrEqual(floor);
    }
  }
  expect(imports).toBeGreaterThan(50);
});
