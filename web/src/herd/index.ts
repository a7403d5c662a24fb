// The herd panel, for the map page.

export { type HerdPanel, mountHerd } from './panel';
export type { HerdSession } from './session';
