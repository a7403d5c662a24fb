import { expect, test } from 'vitest';
import type { Client } from '../api/wire';
import { placesPath } from './client';

test('no ID leads to a path other than its own', () => {
  const pathname = (id: string) => new URL(placesPath({ id, lat: 1, lon: 2 } as Client), 'http://h/').pathname;
  for (const id of ['kiwi', 'a/b?c#d', '...', '%2e%2e']) {
    expect(pathname(id)).toBe(`/v1/clients/${encodeURIComponent(id)}/places`);
  }
  for (const id of ['.', '..']) expect(pathname(id)).toBe('/maps/api/place/nearbysearch/json');
});
