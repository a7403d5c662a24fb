// What a server answers when it does not do what was asked: problem details (RFC 9457), as an error with a text that a
// person can read.

/** The answer of a server that refuses a request. */
export class Problem extends Error {
  override readonly name = 'Problem';
  constructor(
    readonly status: number,
    /** What the server says. */
    readonly detail: string,
  ) {
    super(detail);
  }

  /** Whether the token is missing, wrong or past its end. */
  get needsToken(): boolean {
    return this.status === 401;
  }

  /** Whether the token does not allow the request. */
  get isForbidden(): boolean {
    return this.status === 403;
  }

  /** Reads the problem details of a response. A response that has none gets a plain text. */
  static async of(response: Response): Promise<Problem> {
    let detail = '';
    try {
      const body: unknown = await response.json();
      if (body !== null && typeof body === 'object') {
        const { detail: told, title } = body as { detail?: unknown; title?: unknown };
        detail = typeof told === 'string' ? told : typeof title === 'string' ? title : '';
      }
    } catch {
      // Not every program between this page and the server writes JSON.
    }
    return new Problem(response.status, detail || `the server answered with the code ${response.status}`);
  }
}

/** No server of the herd answers. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
  constructor() {
    super('no server answers');
  }
}

/** Any error as a sentence. */
export function textOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
