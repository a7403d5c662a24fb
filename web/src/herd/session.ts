// What the herd panel needs from the page that shows it. The map page passes its session to `mountHerd`; tests pass a
// fake. The panel never sees a token: the session adds the token to each request.

/** The page, as the herd panel sees it. */
export interface HerdSession {
  /** Whether the page belongs to `proxyherd demo`, so that the panel may cut links and kill servers. */
  readonly isDemo: boolean;
  /**
   * Sends a request to the server of the page, with the page's token. If that server does not answer, the session asks
   * another server of the herd. Rejects only if no server answers.
   */
  request(path: string, init?: RequestInit): Promise<Response>;
  /** Sends a request to the server at the base URL `base`, and to no other, with the page's token. */
  requestAt(base: string, path: string, init?: RequestInit): Promise<Response>;
  /** The base URLs of a server that the page may use, of all that the herd names. The best one comes first. */
  doorsOf(server: { readonly name: string; readonly http: readonly string[] }): readonly string[];
  /**
   * Calls `listener` with the name of the server that took a report, for each report that the page's stream tells as
   * news. Returns a function that ends this.
   */
  onReport(listener: (server: string) => void): () => void;
}
