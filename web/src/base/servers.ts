// A number for each server of the herd, by which the page gives each server its color. The numbers follow the order of
// names among the servers that are known from the start, so a server has the same color after the page is loaded again.
// A server that appears later gets the next number.

/** Maximum number of servers with a number of their own. Further servers share the last number. */
const NUMBERS_MAX = 256;

export class ServerNumbers {
  private readonly numbers = new Map<string, number>();

  /** Gives numbers to servers, in the order of their names. */
  know(names: readonly string[]): void {
    for (const name of [...names].sort()) this.of(name);
  }

  /** The number of a server, from 0 to 255. */
  of(name: string): number {
    let number = this.numbers.get(name);
    if (number === undefined) {
      number = Math.min(this.numbers.size, NUMBERS_MAX - 1);
      if (this.numbers.size < NUMBERS_MAX) this.numbers.set(name, number);
    }
    return number;
  }

  /** All servers with a number. */
  get names(): readonly string[] {
    return [...this.numbers.keys()];
  }
}
