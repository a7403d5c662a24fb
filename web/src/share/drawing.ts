// The small drawing of a share's page: the position in the middle of its surroundings, to scale. `grid` computes what
// this module draws. The drawing needs no WebGL, so it is there also where the map is not.

import { setText } from '../base/dom';
import { distance } from '../base/format';
import { change, svg } from '../base/svg';
import { gridAround, HALF_HEIGHT, HALF_WIDTH, niceBelow, unitsPerMeter } from './grid';
import { Mark } from './mark';
import { accuracyM, attribute, positionText, type SharedClient } from './texts';

/** The elements of the drawing. */
export interface DrawingElements {
  readonly title: Element;
  readonly grid: Element;
  readonly mark: Element;
  readonly scale: Element;
  readonly scaleText: Element;
}

export class Drawing {
  private readonly mark: Mark;
  /** What the grid was drawn for. */
  private drawn = '';

  constructor(private readonly elements: DrawingElements) {
    this.mark = new Mark(elements.mark);
  }

  show(client: SharedClient): void {
    const accuracy = accuracyM(client);
    const scale = unitsPerMeter(accuracy);
    const drawn = [client.lat, client.lon, scale].join(' ');
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.drawGrid(client, scale);
    }
    this.mark.show(accuracy * scale, attribute(client, 'heading_deg'));
    const bar = niceBelow(100 / scale);
    change(this.elements.scale, { d: `M${150 - bar * scale} 90 v4 H150 v-4` });
    setText(this.elements.scaleText, distance(bar));
    setText(this.elements.title, positionText(client));
  }

  private drawGrid({ lat, lon }: SharedClient, scale: number): void {
    const { lines, names } = gridAround(lat, lon, scale);
    const paths = lines.map(({ isLatitude, offset }) => {
      const d = isLatitude
        ? `M${-HALF_WIDTH} ${-offset} H${HALF_WIDTH}`
        : `M${offset} ${-HALF_HEIGHT} V${HALF_HEIGHT}`;
      return svg('path', { class: 'line', d });
    });
    const texts = names.map(({ text, x, y, isAtEnd }) => {
      const made = svg('text', { class: 'label', x, y, 'text-anchor': isAtEnd ? 'end' : 'start' });
      made.textContent = text;
      return made;
    });
    this.elements.grid.replaceChildren(...paths, ...texts);
  }
}
