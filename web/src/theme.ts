// Light and dark. The page follows the system until somebody chooses. The choice is kept in the browser's storage: it
// is the only thing that the page keeps, and says nothing about anybody.
//
// The attribute `data-theme` of the root element is always `light` or `dark`; the style sheets know no other source.
// The colors of the map and of the points are here, because they are drawn by WebGL and not by CSS.

import { Signal } from './base/signal';

export type ThemeName = 'light' | 'dark';
/** What somebody has chosen. */
export type ThemeChoice = ThemeName | 'system';

/** Colors of what WebGL draws, as `#rrggbb`. */
export interface MapColors {
  readonly water: string;
  readonly land: string;
  readonly coast: string;
  readonly border: string;
  readonly grid: string;
  readonly label: string;
  readonly halo: string;
  readonly cluster: string;
  readonly clusterText: string;
  readonly edge: string;
  readonly selected: string;
  /** One color for each server, which is used again after the last one. Told apart with color blindness, too. */
  readonly servers: readonly string[];
}

const LIGHT: MapColors = {
  water: '#dce6ec',
  land: '#f7f6f2',
  coast: '#b9c8d1',
  border: '#cdd0cf',
  grid: '#c3ced5',
  label: '#46525c',
  halo: '#f9f8f5',
  cluster: '#243746',
  clusterText: '#ffffff',
  edge: '#ffffff',
  selected: '#0f2a3d',
  servers: ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7a5195', '#6b6b00'],
};

const DARK: MapColors = {
  water: '#0e151b',
  land: '#1a232b',
  coast: '#33434f',
  border: '#303c46',
  grid: '#26333d',
  label: '#a9b8c4',
  halo: '#131b22',
  cluster: '#dfe9f0',
  clusterText: '#10202b',
  edge: '#0e151b',
  selected: '#ffffff',
  servers: ['#4aa8e0', '#f08a4b', '#2fc296', '#e29cc4', '#f2bb4a', '#8dd2f7', '#b596d6', '#c9c65a'],
};

const KEY = 'proxyherd-theme';
const CHOICES: readonly ThemeChoice[] = ['system', 'light', 'dark'];

export class Theme {
  readonly changed = new Signal<ThemeName>();
  private readonly system = matchMedia('(prefers-color-scheme: dark)');
  private chosen: ThemeChoice;

  constructor(private readonly storage: Pick<Storage, 'getItem' | 'setItem'> | null = storageOfPage()) {
    const kept = this.storage?.getItem(KEY);
    this.chosen = CHOICES.find((choice) => choice === kept) ?? 'system';
    this.apply();
    this.system.addEventListener('change', () => this.apply());
  }

  get choice(): ThemeChoice {
    return this.chosen;
  }

  get name(): ThemeName {
    if (this.chosen !== 'system') return this.chosen;
    return this.system.matches ? 'dark' : 'light';
  }

  get colors(): MapColors {
    return this.name === 'dark' ? DARK : LIGHT;
  }

  /** Takes the next choice. */
  next(): void {
    this.chosen = CHOICES[(CHOICES.indexOf(this.chosen) + 1) % CHOICES.length] ?? 'system';
    this.apply();
    try {
      this.storage?.setItem(KEY, this.chosen);
    } catch {
      // Some browsers have a storage that takes nothing. The choice then lasts as long as the page.
    }
  }

  private apply(): void {
    const { name } = this;
    if (document.documentElement.dataset.theme === name) return;
    document.documentElement.dataset.theme = name;
    this.changed.emit(name);
  }
}

/** A browser may forbid storage, which is no reason to have no map. */
function storageOfPage(): Storage | null {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}

/** Whether the system asks for little movement. */
export function wantsLittleMotion(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
