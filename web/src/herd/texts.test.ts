import { expect, test } from 'vitest';

import type { LinkView, ServerView } from './model';
import { countText, durationText, lagText, linkStateText, rateText, serverStateText, shortName, summaryText, UNKNOWN } from './texts';

const SERVER: ServerView = {
  name: 'Riley',
  state: 'up',
  records: 10,
  reportsPerS: 1.5,
  connections: 2,
  uptimeS: 10,
  version: '1',
  troubles: [],
  url: null,
};
const LINK: LinkView = {
  key: 'a b',
  a: 'a',
  b: 'b',
  state: 'up',
  eager: true,
  fromA: 1,
  fromB: 1,
  lagS: 0,
  troubles: [],
};

test('numbers are short, and unknown ones are a dash', () => {
  for (const [text, expected] of [
    [countText(1234567), '1,234,567'],
    [countText(null), UNKNOWN],
    [rateText(0), '0'],
    [rateText(0.04), '< 0.1'],
    [rateText(3.14), '3.1'],
    [rateText(9.97), '10'],
    [rateText(12345.6), '12,346'],
    [rateText(null), UNKNOWN],
    [lagText(0), 'none'],
    [lagText(1.25), '1.3 s'],
    [lagText(75), '1 min 15 s'],
    [durationText(0.4), '0 s'],
    [durationText(3600), '1 h'],
    [durationText(93784), '1 d 2 h'],
  ] as const) {
    expect(text).toBe(expected);
  }
});

test('no two states of a server, and no two of a link, have the same text', () => {
  const states = ['up', 'draining', 'hidden', 'away', 'asked'] as const;
  const servers = [...states.map((state) => ({ ...SERVER, state })), { ...SERVER, troubles: ['stuck'] }];
  expect(new Set(servers.map(serverStateText)).size).toBe(servers.length);
  const links = (['up', 'down', 'mixed', 'unknown'] as const).map((state) => ({ ...LINK, state }));
  expect(new Set([...links, { ...LINK, eager: false }].map(linkStateText)).size).toBe(5);
});

test('the summary counts what is there', () => {
  const away: ServerView = { ...SERVER, name: 'Bernard', state: 'away', reportsPerS: null };
  const view = { servers: [SERVER, away], links: [{ ...LINK, state: 'down' as const }] };
  expect(summaryText(view)).toBe('1 of 2 servers up · 0 of 1 link up · 1.5 reports/s');
});

test('a long name is shortened in its middle', () => {
  expect([shortName('Riley'), shortName('eleven-char')]).toEqual(['Riley', 'eleven-char']);
  expect(shortName('herd-eu-central-host-01')).toBe('herd-…st-01');
});
