// The small drawing of a share's page, as numbers: a position in the middle of a grid of latitudes and longitudes, with
// a scale. A map without streets is blank at this scale, and the grid still says how far things are. Pure.

/** Half of the drawing's width, in its units. */
export const HALF_WIDTH = 160;
/** Half of the drawing's height, in its units. */
export const HALF_HEIGHT = 100;

const METERS_PER_DEGREE = 111_195;
/** The greatest width of a character of a name in the grid. */
const LABEL_CHARACTER = 6;
/** The smallest and the greatest distance from the middle to the upper edge, meters. */
const REACH_M_MIN = 250;
const REACH_M_MAX = 5e6;

/** A line of the grid: at this distance above the middle, or to its right. */
export interface GridLine {
  readonly isLatitude: boolean;
  readonly offset: number;
}

/** A name of a line. */
export interface GridName {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly isAtEnd: boolean;
}

/** A grid. Names are drawn after all lines, so that no line crosses a name. */
export interface Grid {
  readonly lines: readonly GridLine[];
  readonly names: readonly GridName[];
}

/** The number of units of a meter. The circle of the accuracy fills at most about half of the drawing's height. */
export function unitsPerMeter(accuracyM: number): number {
  return HALF_HEIGHT / Math.min(Math.max(accuracyM * 1.8, REACH_M_MIN), REACH_M_MAX);
}

/** The greatest of 1, 2, 5, 10, 20, 50 … that is not above the value. */
export function niceBelow(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([5, 2, 1].find((factor) => factor * power <= value) ?? 1) * power;
}

/** The least of them that is not below the value. */
export function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((factor) => factor * power >= value) ?? 10) * power;
}

/** The grid around a position. */
export function gridAround(lat: number, lon: number, unitsPerM: number): Grid {
  const unitsPerLat = METERS_PER_DEGREE * unitsPerM;
  const unitsPerLon = unitsPerLat * Math.max(Math.cos((lat * Math.PI) / 180), 1e-3);
  const lines: GridLine[] = [];
  const names: GridName[] = [];
  for (const { offset, value, digits } of ticks(lat, unitsPerLat, 40, HALF_HEIGHT, 90)) {
    lines.push({ isLatitude: true, offset });
    // The names of longitudes are at the upper edge.
    if (offset > HALF_HEIGHT - 27) continue;
    const text = `${Math.abs(value).toFixed(digits)}°${value < 0 ? 'S' : 'N'}`;
    names.push({ text, x: -HALF_WIDTH + 4, y: -offset - 3, isAtEnd: false });
  }
  for (const tick of ticks(lon, unitsPerLon, 65, HALF_WIDTH, 540)) {
    lines.push({ isLatitude: false, offset: tick.offset });
    const name = longitudeName(tick);
    if (name) names.push(name);
  }
  return { lines, names };
}

interface Tick {
  readonly offset: number;
  readonly value: number;
  readonly digits: number;
  readonly spacing: number;
}

/** The lines of one direction that are in the drawing. */
function ticks(center: number, unitsPerDegree: number, spacing: number, half: number, limit: number): Tick[] {
  const step = niceAbove(spacing / unitsPerDegree);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found: Tick[] = [];
  const last = center + half / unitsPerDegree;
  for (let index = Math.ceil((center - half / unitsPerDegree) / step); index * step <= last; index += 1) {
    const value = index * step;
    if (Math.abs(value) > limit) continue;
    found.push({ offset: (value - center) * unitsPerDegree, value, digits, spacing: step * unitsPerDegree });
  }
  return found;
}

function longitudeName({ offset, value, digits, spacing }: Tick): GridName | null {
  // Beyond 180 degrees, longitudes go on from the other side.
  const around = ((((value + 540) % 360) + 360) % 360) - 180;
  const side = Math.abs(around) === 180 ? '' : around < 0 ? 'W' : 'E';
  const text = `${Math.abs(around).toFixed(digits)}°${side}`;
  const y = -HALF_HEIGHT + 11;
  const width = text.length * LABEL_CHARACTER + 6;
  if (offset + width <= HALF_WIDTH) return { text, x: offset + 3, y, isAtEnd: false };
  // To the left of its line, the name would meet the name of the line before.
  return spacing < 2 * width ? null : { text, x: offset - 3, y, isAtEnd: true };
}
