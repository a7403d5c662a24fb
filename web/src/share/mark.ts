// The mark of the shared client, for the drawing and for the map: a circle as large as the accuracy, and in its middle
// a dot, or an arrow if the heading is known.

import { turned } from '../base/format';
import { change, svg } from '../base/svg';

/** The mark, in an SVG group. */
export class Mark {
  private readonly circle = svg('circle', { class: 'accuracy' });
  private readonly arrow = svg('path', { class: 'heading', d: 'M0 -13 L9 10 L0 5 L-9 10 Z' });
  private readonly dot = svg('circle', { class: 'dot', r: 6 });

  constructor(group: Element) {
    group.append(this.circle, this.arrow, this.dot);
  }

  /** Shows an accuracy, in units of the drawing, and a heading in degrees. `null`: unknown. */
  show(radius: number, heading: number | null): void {
    change(this.circle, { r: radius.toFixed(1) });
    this.arrow.classList.toggle('none', heading === null);
    this.dot.classList.toggle('none', heading !== null);
    if (heading !== null) change(this.arrow, { transform: `rotate(${turned(heading).toFixed(1)})` });
  }
}
