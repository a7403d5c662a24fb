import { expect, test } from 'vitest';
import { parseQuery, pathOf } from './query';

function path(text: string): string | null {
  const query = parseQuery(text);
  return query && decodeURIComponent(pathOf(query, 5)).replaceAll('+', ' ');
}

test('an ID is searched as an ID and as the beginning of IDs', () => {
  expect(path(' courier-01 ')).toBe('v1/clients?ids=courier-01&ids=courier-01*&limit=5');
  expect(path('a, b*')).toBe('v1/clients?ids=a&ids=a*&ids=b*&limit=5');
});

test('a comparison is a filter', () => {
  expect(path('battery_pct < 20')).toBe('v1/clients?where=battery_pct < 20&limit=5');
  expect(path('where note="on my way" and battery_pct>=5')).toBe(
    'v1/clients?where=note="on my way" and battery_pct>=5&limit=5',
  );
});

test('a beginning of IDs and a filter narrow each other', () => {
  expect(path('courier-* battery_pct<20')).toBe('v1/clients?ids=courier-*&where=battery_pct<20&limit=5');
  expect(path('courier-* and battery_pct<20')).toBe('v1/clients?ids=courier-*&where=battery_pct<20&limit=5');
});

test('nothing is no search', () => {
  expect(parseQuery('  ')).toBeNull();
});

test('characters of URLs in an ID are escaped', () => {
  const query = parseQuery('a&limit=1/é');
  expect(query).toEqual({ kind: 'where', where: 'a&limit=1/é' });
  expect(pathOf({ kind: 'ids', ids: ['a&b=c#d/é*'] })).toBe('v1/clients?ids=a%26b%3Dc%23d%2F%C3%A9*&limit=50');
});
