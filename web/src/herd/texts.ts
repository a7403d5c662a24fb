// The texts of the herd panel: numbers as people read them, and the states of servers and links in words. The graph,
// the table and the announcements use the same texts, so that nothing depends on a color or a shape alone.

import type { HerdView, LinkView, ServerView } from './model';

/** What stands where a number is not known. */
export const UNKNOWN = '–';
/** Maximum number of characters of a server's name in the graph. The tables have whole names. */
const NAME_LEN_MAX = 11;

/** A whole number with separators: `12,345`. */
export function countText(count: number | null): string {
  return count === null ? UNKNOWN : Math.round(count).toLocaleString('en-US');
}

/** A rate, short: `0`, `0.4`, `12`, `3,400`. */
export function rateText(perSecond: number | null): string {
  if (perSecond === null) return UNKNOWN;
  if (perSecond === 0) return '0';
  if (perSecond < 0.1) return '< 0.1';
  return perSecond < 9.95 ? String(Number(perSecond.toFixed(1))) : Math.round(perSecond).toLocaleString('en-US');
}

/** A lag. Below a tenth of a second, nothing waits long enough to matter. */
export function lagText(seconds: number | null): string {
  if (seconds === null) return UNKNOWN;
  if (seconds < 0.1) return 'none';
  return seconds < 10 ? `${seconds.toFixed(1)} s` : durationText(seconds);
}

/** A duration in its largest unit or two: `42 s`, `3 min 20 s`, `5 h 12 min`, `3 d 4 h`. */
export function durationText(seconds: number | null): string {
  if (seconds === null) return UNKNOWN;
  const whole = Math.max(0, Math.floor(seconds));
  const units: readonly [string, number][] = [
    ['d', 86400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ];
  const first = units.findIndex(([, length]) => whole >= length);
  if (first < 0) return '0 s';
  let rest = whole;
  const parts: string[] = [];
  for (const [unit, length] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.join(' ');
}

/** The state of a server in a word or two. */
export function serverStateText(server: ServerView): string {
  switch (server.state) {
    case 'up':
      return server.troubles.length > 0 ? 'up, not ready' : 'up';
    case 'draining':
      return 'stopping';
    case 'hidden':
      return 'up, out of reach';
    case 'away':
      return 'away';
    case 'asked':
      return 'not known yet';
  }
}

/** The state of a link in a word or two. */
export function linkStateText(link: LinkView): string {
  switch (link.state) {
    case 'up':
      return link.eager ? 'up, in the tree' : 'up, spare';
    case 'down':
      return 'down';
    case 'mixed':
      return 'changing';
    case 'unknown':
      return 'not known yet';
  }
}

/** The name of a link: `Riley – Jaquez`. */
export function linkName(link: { readonly a: string; readonly b: string }): string {
  return `${link.a} – ${link.b}`;
}

/** The whole herd in one line. */
export function summaryText(view: HerdView): string {
  const isThere = (server: ServerView) => server.state !== 'away' && server.state !== 'asked';
  const there = view.servers.filter(isThere).length;
  const up = view.links.filter((link) => link.state === 'up').length;
  const rates = view.servers.flatMap((server) => (server.reportsPerS === null ? [] : [server.reportsPerS]));
  const sum = rates.length > 0 ? rates.reduce((all, rate) => all + rate, 0) : null;
  const parts = [
    `${there} of ${plural(view.servers.length, 'server')} up`,
    `${up} of ${plural(view.links.length, 'link')} up`,
  ];
  if (sum !== null) parts.push(`${rateText(sum)} reports/s`);
  return parts.join(' · ');
}

/** A number with its noun: `1 server`, `5 servers`. */
export function plural(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}

/** A name that leaves room for the other texts. Names of servers often differ at their ends, so both ends stay. */
export function shortName(name: string): string {
  const half = (NAME_LEN_MAX - 1) / 2;
  return name.length <= NAME_LEN_MAX ? name : `${name.slice(0, Math.ceil(half))}…${name.slice(-Math.floor(half))}`;
}
