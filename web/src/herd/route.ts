// How an update travels: from the server that took the report, over the links of the spanning tree, to all servers that
// these links reach. Servers pass an update on in the same way: each sends it over all its tree links except the one
// that brought it. So the number of hops to a server is its distance in the tree.
//
// The tree is the herd's own: this module only follows the links that servers call eager. If servers do not agree for a
// moment, these links may form a cycle, or leave servers out. An update is shown at each server once at most.

/** One step of an update, over one link. */
export interface Hop {
  readonly from: string;
  readonly to: string;
  /** Number of hops before this one. */
  readonly depth: number;
}

/** A link over which updates travel. */
export interface TreeLink {
  readonly a: string;
  readonly b: string;
}

/** The hops of all updates, by the server at which they begin. Make a new one when the tree has changed. */
export class Routes {
  private readonly neighbors = new Map<string, string[]>();
  private readonly known = new Map<string, readonly Hop[]>();

  constructor(links: readonly TreeLink[]) {
    for (const { a, b } of links) {
      this.add(a, b);
      this.add(b, a);
    }
  }

  /** The hops of an update that begins at this server, the nearest first. Empty: no link leads on from there. */
  from(server: string): readonly Hop[] {
    const known = this.known.get(server);
    if (known) return known;
    const hops: Hop[] = [];
    const reached = new Set([server]);
    let edge = [server];
    for (let depth = 0; edge.length > 0; depth += 1) {
      const next: string[] = [];
      for (const from of edge) {
        for (const to of this.neighbors.get(from) ?? []) {
          if (reached.has(to)) continue;
          reached.add(to);
          next.push(to);
          hops.push({ from, to, depth });
        }
      }
      edge = next;
    }
    this.known.set(server, hops);
    return hops;
  }

  private add(from: string, to: string): void {
    const list = this.neighbors.get(from);
    if (list) list.push(to);
    else this.neighbors.set(from, [to]);
  }
}
