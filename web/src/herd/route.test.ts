import { expect, test } from 'vitest';

import { Routes } from './route';

const TREE = [
  { a: 'Riley', b: 'Jaquez' },
  { a: 'Riley', b: 'Juzang' },
  { a: 'Juzang', b: 'Bernard' },
  { a: 'Bernard', b: 'Campbell' },
];

test('an update goes over the tree from where it began to all others, the nearest first', () => {
  expect(new Routes(TREE).from('Juzang')).toEqual([
    { from: 'Juzang', to: 'Riley', depth: 0 },
    { from: 'Juzang', to: 'Bernard', depth: 0 },
    { from: 'Riley', to: 'Jaquez', depth: 1 },
    { from: 'Bernard', to: 'Campbell', depth: 1 },
  ]);
});

test('each server gets an update once, also where links form a cycle', () => {
  const hops = new Routes([...TREE, { a: 'Campbell', b: 'Jaquez' }]).from('Riley');
  expect(hops.map(({ to }) => to).sort()).toEqual(['Bernard', 'Campbell', 'Jaquez', 'Juzang']);
});

test('an update does not reach servers to which no link leads', () => {
  const routes = new Routes([...TREE.slice(0, 1), { a: 'Bernard', b: 'Campbell' }]);
  expect(routes.from('Riley')).toEqual([{ from: 'Riley', to: 'Jaquez', depth: 0 }]);
  expect(routes.from('Juzang')).toEqual([]);
  expect(routes.from('Nobody')).toEqual([]);
});
