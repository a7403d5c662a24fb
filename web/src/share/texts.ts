// The texts of a share's page: durations, lengths, directions, and the facts about the shared client. Pure: the present
// time is an argument.

import type { Fact } from '../base/facts';
import { direction, distance, millis, short, turned } from '../base/format';

/** The shared client, as the server tells it. */
export interface SharedClient {
  readonly id: string;
  readonly lat: number;
  readonly lon: number;
  readonly time: string;
  readonly received: string;
  readonly at: string;
  readonly attributes?: Readonly<Record<string, string | number>>;
}

/** A client's clock may be wrong by this much before the page says when the server got the report, milliseconds. */
export const LATE_MS = 60_000;

/** When the client was there. A time in the future comes from a wrong clock, so the time of receipt counts then. */
export function whenMs(client: SharedClient): number {
  const time = millis(client.time);
  const received = millis(client.received);
  return time > received + LATE_MS ? received : time;
}

/** A duration in its two largest units. From ten minutes on, without seconds. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const units: [string, number][] = [
    ['day', 86400],
    ['hour', 3600],
    ['minute', 60],
  ];
  if (seconds < 600) units.push(['second', 1]);
  const first = units.findIndex(([, length]) => seconds >= length);
  if (first < 0) return '0 seconds';
  const parts: string[] = [];
  let rest = seconds;
  for (const [name, length] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0) parts.push(`${count} ${name}${count === 1 ? '' : 's'}`);
  }
  return parts.join(' ');
}

/** How long ago something was. */
export function ago(ms: number): string {
  return ms < 2000 ? 'just now' : `${duration(ms)} ago`;
}

/** Coordinates, as a text. */
export function coordinates({ lat, lon }: { readonly lat: number; readonly lon: number }): string {
  const degrees = (value: number) => `${short(Math.abs(value), 6)}°\u00a0`;
  return `${degrees(lat)}${lat < 0 ? 'S' : 'N'}, ${degrees(lon)}${lon < 0 ? 'W' : 'E'}`;
}

/** The number of an attribute. `null`: there is none. */
export function attribute(client: SharedClient, name: string): number | null {
  const value = client.attributes?.[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** The radius within which the client is, meters. 0: unknown. */
export function accuracyM(client: SharedClient): number {
  return Math.abs(attribute(client, 'accuracy_m') ?? 0);
}

/** What the page says about a client. `local` writes a time in the place and the language of the reader. */
export function facts(client: SharedClient, local: (ms: number) => string): Fact[] {
  const found: Fact[] = [['Where', coordinates(client)]];
  const add = (name: string, key: string, text: (value: number) => string) => {
    const value = attribute(client, key);
    if (value !== null) found.push([name, text(value)]);
  };
  add('Accuracy', 'accuracy_m', (value) => `within ${distance(Math.abs(value))}`);
  add('Speed', 'speed_mps', (value) => `${short(value * 3.6, 1)} km/h`);
  add('Heading', 'heading_deg', (value) => `${direction(value)} (${short(turned(value), 0)}°)`);
  add('Altitude', 'altitude_m', (value) => `${short(value, 0)} m`);
  add('Battery', 'battery_pct', (value) => `${short(value, 0)} %`);
  const note = client.attributes?.note;
  if (note !== undefined) found.push(['Note', String(note)]);
  const when = whenMs(client);
  found.push(['Time', local(when)]);
  const received = millis(client.received);
  if (received - when > LATE_MS) found.push(['Received', local(received)]);
  return found;
}

/** The position as a sentence, for whoever sees no picture. */
export function positionText(client: SharedClient): string {
  const accuracy = accuracyM(client);
  const size = accuracy > 0 ? `, within ${distance(accuracy)}` : '';
  return `${client.id} is at ${coordinates(client)}${size}. North is above.`;
}
