// What somebody has typed into the search, as parameters of `/v1/clients`. A text with a comparison is a filter by
// attributes; a text with `*` at its end is the beginning of IDs; any other text is an ID or the beginning of one.

/** Maximum number of clients that the search lists. */
export const RESULTS_MAX = 50;

/** A search. */
export type Query =
  | { readonly kind: 'ids'; readonly ids: readonly string[] }
  | { readonly kind: 'where'; readonly where: string }
  /** IDs that match a pattern, and a filter. */
  | { readonly kind: 'both'; readonly ids: readonly string[]; readonly where: string };

const COMPARISON = /[\w.-]+\s*(<=|>=|!=|=|<|>)/;

/** Reads a text. `null`: there is nothing to search for. */
export function parseQuery(text: string): Query | null {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  const [first = '', ...rest] = trimmed.split(/\s+/);
  if (!COMPARISON.test(trimmed)) return first === '' ? null : { kind: 'ids', ids: patterns(trimmed) };
  const where = rest.join(' ').replace(/^(where|and)\s+/i, '');
  if (first.endsWith('*') && where !== '') return { kind: 'both', ids: [first], where };
  return { kind: 'where', where: trimmed.replace(/^where\s+/i, '') };
}

/** Each word is an ID or a pattern. An ID is also taken for the beginning of IDs, because people type beginnings. */
function patterns(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .slice(0, 16)
    .flatMap((word) => (word.endsWith('*') ? [word] : [word, `${word}*`]));
}

/** The path of the search. */
export function pathOf(query: Query, limit = RESULTS_MAX): string {
  const parameters = new URLSearchParams();
  if (query.kind !== 'where') for (const id of query.ids) parameters.append('ids', id);
  if (query.kind !== 'ids') parameters.set('where', query.where);
  parameters.set('limit', String(limit));
  return `v1/clients?${parameters}`;
}
