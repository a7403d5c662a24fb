// Values as texts for people: coordinates, distances, durations, attributes. Pure functions.

const POINTS = ['north', 'northeast', 'east', 'southeast', 'south', 'southwest', 'west', 'northwest'];

/** A number without zeros at its end. */
export function short(value: number, places: number): string {
  return String(Number(value.toFixed(places)));
}

/** A whole number with a separator for thousands. */
export function whole(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

export function coordinates(lat: number, lon: number): string {
  const degrees = (value: number) => `${Math.abs(value).toFixed(5)}°`;
  return `${degrees(lat)} ${lat < 0 ? 'S' : 'N'}, ${degrees(lon)} ${lon < 0 ? 'W' : 'E'}`;
}

export function distance(meters: number): string {
  if (meters < 1000) return `${short(meters, 0)} m`;
  return `${short(meters / 1000, meters < 10_000 ? 1 : 0)} km`;
}

/** A duration in its largest unit, such as `3 min`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  const days = Math.floor(seconds / 86_400);
  return `${days} day${days === 1 ? '' : 's'}`;
}

/** The milliseconds of an RFC 3339 time, which may have more digits than dates have here. */
export function millis(time: string): number {
  return Date.parse(time.replace(/(\.\d{3})\d+/, '$1'));
}

/** How long ago something was. */
export function ago(ms: number): string {
  return ms < 1500 ? 'just now' : `${duration(ms)} ago`;
}

/** The same direction between 0 and 360 degrees. Clients may report any number. */
export function turned(degrees: number): number {
  return ((degrees % 360) + 360) % 360;
}

/** The point of the compass that is nearest to a heading. */
export function direction(degrees: number): string {
  return POINTS[Math.round(turned(degrees) / 45) % 8] ?? 'north';
}

/** A count in few characters: 950, 1.2k, 34k, 5.6M. */
export function compact(count: number): string {
  if (count < 1000) return String(count);
  const [unit, letter] = count < 999_500 ? [1000, 'k'] : [1_000_000, 'M'];
  return `${short(count / unit, count < 9.95 * unit ? 1 : 0)}${letter}`;
}

/** A well-known attribute: its name and its value as texts. `null`: the attribute is shown as it is. */
export function attribute(name: string, value: number | string): readonly [string, string] | null {
  if (typeof value !== 'number') return name === 'note' ? ['Note', value] : null;
  switch (name) {
    case 'accuracy_m':
      return ['Accuracy', `within ${distance(Math.abs(value))}`];
    case 'altitude_m':
      return ['Altitude', `${short(value, 0)} m`];
    case 'battery_pct':
      return ['Battery', `${short(value, 0)} %`];
    case 'heading_deg':
      return ['Heading', `${direction(value)} (${short(turned(value), 0)}°)`];
    case 'speed_mps':
      return ['Speed', `${short(value * 3.6, 1)} km/h`];
    default:
      return null;
  }
}

/** A type of places as a word. */
export function kindOfPlace(kind: string): string {
  return kind.replaceAll('_', ' ');
}
