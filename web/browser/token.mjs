// Uses the map of a herd with tokens as a person does, and prints as JSON what was seen:
//
//   node web/browser/token.mjs [--modules FOLDER] OPERATOR READER URL URL…
//
// The URLs are the HTTP doors of all servers of the herd. The page is opened at the first URL, with `localhost` as its
// host, although herd.toml says 127.0.0.1. OPERATOR is the operator's token, and READER a token that may only read. The
// script revokes the reader's token.

import { Page, parameters, run } from './lib.mjs';

const [operator, reader, ...doors] = parameters;
const urls = doors.map((url) => url.replace(/\/*$/, '/'));
if (urls.length < 1) {
  console.error('usage: node token.mjs [--modules FOLDER] OPERATOR READER URL URL…');
  process.exit(2);
}
const home = new URL(urls[0]);
home.hostname = 'localhost';

/** What a browser writes to its console about a token that is not valid. */
const UNAUTHORIZED = /status of 401/;

/** Enters a token. The dialog is open. */
async function enter(page, token) {
  await page.until('the dialog is open', () => document.getElementById('token').open);
  await page.page.focus('#token input');
  await page.page.keyboard.type(token);
  await page.page.keyboard.press('Enter');
}

/** Waits until the page has taken a token, and returns the IDs of the buttons that it shows. */
async function taken(page) {
  await page.until('the dialog is closed', () => !document.getElementById('token').open);
  await page.until('the page is live', () => document.getElementById('connection').dataset.state === 'live');
  return page.evaluate(() => [...document.querySelectorAll('.tools button:not([hidden])')].map(({ id }) => id));
}

/** Revokes the reader's token. Its ID is the part between the two underscores. */
async function revokeReader() {
  const id = reader.split('_')[1];
  const headers = { Authorization: `Bearer ${operator}` };
  const response = await fetch(new URL(`v1/tokens/${id}`, urls[0]), { method: 'DELETE', headers });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
}

await run(async (browser) => {
  const page = await Page.open(browser, home.href, [home.href, ...urls]);
  const seen = {};
  await enter(page, reader);
  seen.reader = await taken(page);
  seen.reader_errors = page.unexpected();
  await page.page.click('#show-token');
  await enter(page, `${operator.slice(0, -1)}${operator.endsWith('0') ? '1' : '0'}`);
  seen.wrong = await page.untilText('#token .problem', (text) => text !== '');
  // The earlier token still counts, until it is revoked.
  seen.still = await page.evaluate(() => document.getElementById('connection').dataset.state);
  await page.page.keyboard.press('Escape');
  await revokeReader();
  seen.revoked = await page.untilText('#token .problem', (text) => text.includes('any more'));
  await enter(page, operator);
  seen.operator = await taken(page);
  await page.page.click('#show-herd');
  const all = `${urls.length} of ${urls.length} servers up`;
  seen.herd = await page.untilText('#herd .herd-summary', (text) => text.startsWith(all));
  seen.errors = page.unexpected(UNAUTHORIZED);
  seen.kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href]));
  seen.strangers = page.strangers;
  seen.told = page.addresses.filter((url) => url.includes('phd_'));
  await page.close();
  return seen;
});
