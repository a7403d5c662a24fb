// A list of names and values, such as what is known about a client. The elements stay the same while the names do, so
// that nobody loses a place or a selection when a value changes.

import { setText } from './dom';

/** A name and a value. */
export type Fact = readonly [name: string, value: string];

/** Shows facts in a list (`dl`). */
export class FactList {
  private names = '';

  constructor(private readonly list: Element) {}

  show(facts: readonly Fact[]): void {
    const names = JSON.stringify(facts.map(([name]) => name));
    if (names !== this.names) {
      this.names = names;
      this.list.replaceChildren(
        ...facts.flatMap(([name]) => {
          const term = document.createElement('dt');
          term.textContent = name;
          return [term, document.createElement('dd')];
        }),
      );
    }
    const values = this.list.querySelectorAll('dd');
    facts.forEach(([, text], at) => {
      const value = values[at];
      if (value) setText(value, text);
    });
  }
}
