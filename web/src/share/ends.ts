// Why a share shows nothing any more. The server says the reason in the header `WWW-Authenticate` of its refusal
// (RFC 6750, `error_description`).

/** An end of a share: what happened, and what that means for whoever opened the link. */
export interface End {
  readonly what: string;
  readonly why: string;
}

const UNKNOWN: End = {
  what: 'There is no such share.',
  why: 'It has ended some time ago, it was never made, or the link was not copied as a whole.',
};

const ENDS: Readonly<Record<string, End>> = {
  'share ended': { what: 'This share has ended.', why: 'Its time is over. Ask for a new link.' },
  'share revoked': { what: 'This share was revoked.', why: 'Whoever made it has ended it before its time.' },
  'share maker ended': {
    what: 'This share has ended.',
    why: 'Whoever made it may not see this position any more.',
  },
  'share unknown': UNKNOWN,
};

/** The end of a link that has no token. */
export const INCOMPLETE: End = {
  what: 'This link is not complete.',
  why: 'Open the whole link, with everything after the # sign.',
};

/** Whether a text has the form of a token. */
export function isToken(text: string): boolean {
  return /^phd_[a-z0-9]+_[0-9a-f]{64}$/.test(text);
}

/** The end that a refusal tells. */
export function endOf(challenge: string | null): End {
  const told = /error_description="([^"]*)"/.exec(challenge ?? '')?.[1];
  return (told !== undefined && Object.hasOwn(ENDS, told) && ENDS[told]) || UNKNOWN;
}
