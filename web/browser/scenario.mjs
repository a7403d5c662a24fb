// Uses the map of a demo as a person does, and prints as JSON what was seen:
//
//   node web/browser/scenario.mjs [--shots FOLDER] [--modules FOLDER] URL URL…
//
// The URLs are the HTTP doors of all servers of one running `proxyherd demo`, at least two. The page is opened at the
// first URL. The script fails, with the reason, if the page does not show what it must. With `--shots`, it writes
// pictures into the folder.
//
// The demo is as it was when the script ends: links are healed and servers run.

import { ask, DESKTOP, eventually, PHONE, Page, parameters, run, shots } from './lib.mjs';

const urls = parameters.map((url) => url.replace(/\/*$/, '/'));
if (urls.length < 2) {
  console.error('usage: node scenario.mjs [--shots FOLDER] [--modules FOLDER] URL URL…');
  process.exit(2);
}
const [home, other] = urls;

/** The client of the classic examples, which always walks in the demo. */
const WALKER = 'kiwi.cs.ucla.edu';
/** The client that this script reports. */
const OWN = `browser-${process.pid}`;

/** Errors of the network, which a browser writes to its console when a server was killed. */
const SERVER_GONE = [/net::ERR_CONNECTION_REFUSED/, /net::ERR_CONNECTION_RESET/, /WebSocket connection to/, /net::ERR_EMPTY_RESPONSE/];

/** Reports a position of this script's client. */
function report(base, lat, lon, more = {}) {
  return ask(base, `/v1/clients/${OWN}/location`, { method: 'PUT', body: { lat, lon, accuracy_m: 25, heading_deg: 45, ...more } });
}

/** Waits until the page follows its server's stream. */
function live(page, server = '') {
  return page.until(
    `the page is live from ${server || 'any server'}`,
    (server) => {
      const text = document.getElementById('connection-text')?.textContent ?? '';
      return document.getElementById('connection')?.dataset.state === 'live' && text.includes(server) ? text : false;
    },
    server,
  );
}

/** Finds a client by the search and shows its panel. */
async function choose(page, id) {
  await page.page.focus('#query');
  await page.page.$eval('#query', (field) => {
    field.value = '';
  });
  await page.page.keyboard.type(id);
  await page.page.keyboard.press('Enter');
  await page.until(`the panel of ${id}`, (id) => document.getElementById('panel-title')?.textContent === id, id);
}

/** The AT line in the client's panel. */
const atLine = () => document.querySelector('#panel .at-line')?.textContent ?? '';

// ---- the parts of the scenario, each returns what it saw

async function begins(page) {
  const text = await live(page);
  const count = await page.until('clients are in view', () => Number(document.getElementById('count')?.textContent));
  await page.until('outlines and labels have come', () => document.querySelector('.maplibregl-canvas') !== null);
  return { connection: text, clients: count, transferred: page.transferred };
}

async function clientsMove(page) {
  await choose(page, WALKER);
  const first = await page.until('an AT line', atLine);
  const second = await page.until('the client moves', (first) => {
    const line = document.querySelector('#panel .at-line')?.textContent ?? '';
    return line !== '' && line !== first ? line : false;
  }, first);
  return { first, second };
}

async function reportElsewhereIsSeenHere(page) {
  const taken = await report(other, 34.05, -118.4, { note: 'from another server' });
  await eventually('this server knows the report', () => ask(home, `/v1/clients/${OWN}`).then(() => true));
  await choose(page, OWN);
  await page.shows('34.05000° N', '#panel-body');
  await page.shows('from another server', '#panel-body');
  // The next report comes over the page's stream.
  await report(other, 34.06, -118.39);
  await page.shows('34.06000° N', '#panel-body');
  return { taken_by: taken.server, page_of: (await ask(home, '/v1/map')).server };
}

async function openHerd(page) {
  if (await page.evaluate(() => document.getElementById('herd').hidden)) await page.page.click('#show-herd');
  await summary(page, (text) => text.startsWith('5 of 5 servers up · 6 of 6 links up'));
}

/** Waits until the summary of the herd is as it should be. */
function summary(page, isSo) {
  return page.untilText('#herd .herd-summary', isSo);
}

/** Waits until an element of the graph has a state. */
function graphSays(page, name) {
  return page.until(
    `the graph says ${name}`,
    (name) => [...document.querySelectorAll('#herd [role="button"]')].some((button) => button.getAttribute('aria-label')?.startsWith(name)),
    name,
  );
}

async function chooseInGraph(page, kind, key) {
  const selector = `#herd [data-kind="${kind}"][data-key="${key}"]`;
  const pressed = await page.page.$eval(selector, (element) => element.getAttribute('aria-pressed'));
  if (pressed === 'true') return;
  await page.page.$eval(selector, (element) => element.dispatchEvent(new MouseEvent('click', { bubbles: true })));
}

async function pulsesTravel(page) {
  const ways = await page.until('dots move along links', () => {
    const dots = [...document.querySelectorAll('#herd .herd-dot:not([visibility])')];
    return dots.length > 0 ? dots.length : false;
  });
  return { dots: ways };
}

async function linkIsCutAndHealed(page) {
  await chooseInGraph(page, 'link', 'Jaquez Riley');
  const name = await page.page.$eval('#herd .herd-title', (title) => title.textContent);
  await page.press('button', `Cut the link ${name}`);
  const cut = await summary(page, (text) => text.includes('5 of 6 links up'));
  await graphSays(page, `Link ${name}, down`);
  const told = await page.page.$eval('#herd .herd-news', (news) => news.textContent);
  await page.screenshot('desktop-light-cut');
  // Updates go around the cut link.
  await report(home, 34.07, -118.38);
  for (const url of urls) {
    await eventually(`${url} knows the report`, async () => (await ask(url, `/v1/clients/${OWN}`)).lat === 34.07);
  }
  await page.press('button', `Heal the link ${name}`);
  const healed = await summary(page, (text) => text.includes('6 of 6 links up'));
  return { cut, told, healed };
}

async function serverIsKilledAndStarted(page, name, survivor) {
  const records = (await ask(survivor, '/v1/status')).records;
  await chooseInGraph(page, 'server', name);
  await page.press('button', `Kill ${name}`);
  const killed = await summary(page, (text) => text.startsWith('4 of 5 servers up'));
  await graphSays(page, `Server ${name}, away`);
  const start = await page.named('button', `Start ${name} again`);
  await page.screenshot(`desktop-light-killed-${name}`);
  const connection = await live(page);
  await start.evaluate((button) => button.click());
  await graphSays(page, `Server ${name}, up`);
  const started = await summary(page, (text) => text.startsWith('5 of 5 servers up · 6 of 6 links up'));
  return { killed, connection, started, records };
}

/** Waits until the map of a share is drawn as a whole, in a theme. */
function mapIsDrawn(page, scheme) {
  const look = (scheme) => document.getElementById('map-view').dataset.drawn === scheme;
  return page.until(`the map of the share is drawn in ${scheme}`, look, scheme);
}

async function clientIsShared(page, browser) {
  await choose(page, OWN);
  await page.press('button', 'Share for');
  const link = await page.until('the link of the share', () => document.querySelector('#panel .share-result input')?.value);
  const shared = await Page.open(browser, link, urls, { viewport: PHONE, scheme: 'dark' });
  await shared.shows('34.07° N', 'main');
  await shared.shows('changes show at once');
  await report(other, 34.08, -118.37);
  await shared.shows('34.08° N', 'main');
  await mapIsDrawn(shared, 'dark');
  const fits = await shared.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
  const found = { dark: await shared.axe() };
  await shared.screenshot('phone-dark-share');
  await shared.setScheme('light');
  await mapIsDrawn(shared, 'light');
  found.light = await shared.axe();
  await shared.screenshot('phone-light-share');
  const { transferred } = shared;
  // A page that is not on a phone any more is loaded again.
  await shared.page.setViewport(DESKTOP);
  await shared.shows('34.08° N', 'main');
  await mapIsDrawn(shared, 'light');
  await shared.screenshot('desktop-light-share');
  await shared.setScheme('dark');
  await mapIsDrawn(shared, 'dark');
  await shared.screenshot('desktop-dark-share');
  const { errors, strangers } = shared;
  await shared.close();
  return { shares: new URL(link).pathname === '/share', fits, axe: found, errors, strangers, transferred };
}

async function axeOfAllPanels(page) {
  const found = {};
  for (const scheme of ['light', 'dark']) {
    await page.setScheme(scheme);
    for (const [name, open] of [
      ['client', () => choose(page, WALKER)],
      ['list', () => page.page.click('#show-list')],
      ['herd', () => openHerd(page)],
    ]) {
      await open();
      found[`${scheme} ${name}`] = await page.axe();
    }
    await page.page.$eval('#herd details', (details) => {
      details.open = true;
    });
    await page.until('a row of a table', () => document.querySelector('#herd tbody tr') !== null);
    found[`${scheme} tables`] = await page.axe();
    await page.page.click('#herd-close');
    await page.page.keyboard.press('Escape');
  }
  await page.setScheme('light');
  return found;
}

/** Reaches everything with the keyboard alone. Returns the number of presses of Tab for each. */
async function keyboardReachesAll(browser) {
  const page = await Page.open(browser, home, urls);
  await live(page);
  const { keyboard } = page.page;
  const presses = {};
  presses.search = await page.tabTo('the search', ({ id }) => id === 'query');
  await keyboard.type(WALKER);
  await keyboard.press('Enter');
  await page.until('the panel of the client', (id) => document.getElementById('panel-title')?.textContent === id, WALKER);
  presses.client = await page.tabTo('the client', ({ inPanel, tag }) => inPanel && tag === 'button');
  await keyboard.press('Escape');
  presses.herd = await page.tabTo('the button of the herd', ({ id }) => id === 'show-herd');
  // On a wide screen, the herd of a demo is open from the start.
  if (await page.evaluate(() => document.getElementById('herd').hidden)) await keyboard.press('Enter');
  await summary(page, (text) => text.startsWith('5 of 5'));
  presses.graph = await page.tabTo('the graph', ({ inHerd, name }) => inHerd && name.startsWith('Server '));
  await keyboard.press('End');
  await keyboard.press('Enter');
  presses.demo = await page.tabTo('a button of the demo', ({ inHerd, name }) => inHerd && name.startsWith('Cut the link'));
  const button = (await page.focused()).name;
  await keyboard.press('Enter');
  await summary(page, (text) => text.includes('5 of 6 links up'));
  // The button that was pressed heals now, and has the focus still.
  await page.until('the button heals', () => document.activeElement?.textContent?.startsWith('Heal the link'));
  await keyboard.press('Space');
  await summary(page, (text) => text.includes('6 of 6 links up'));
  await page.close();
  return { presses, button };
}

async function pictures(browser) {
  if (!shots) return;
  for (const [size, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
    for (const scheme of ['light', 'dark']) {
      const page = await Page.open(browser, home, urls, { viewport, scheme });
      await live(page);
      await page.until('clients are in view', () => Number(document.getElementById('count')?.textContent));
      await page.until('the map has come to rest', () => document.querySelector('.maplibregl-canvas') !== null);
      await page.evaluate(() => new Promise((resolve) => requestIdleCallback(resolve, { timeout: 3000 })));
      await page.screenshot(`${size}-${scheme}-map`);
      await choose(page, WALKER);
      await page.until('an AT line', atLine);
      await page.screenshot(`${size}-${scheme}-client`);
      await page.page.keyboard.press('Escape');
      await openHerd(page);
      await chooseInGraph(page, 'link', 'Jaquez Riley');
      await page.untilText('#herd .herd-facts', (text) => /sends\d.*sends\d/.test(text));
      await page.screenshot(`${size}-${scheme}-herd`);
      await page.close();
    }
  }
}

await run(async (browser) => {
  const page = await Page.open(browser, home, urls);
  const seen = {};
  seen.begins = await begins(page);
  seen.moves = await clientsMove(page);
  seen.elsewhere = await reportElsewhereIsSeenHere(page);
  await openHerd(page);
  seen.pulses = await pulsesTravel(page);
  seen.link = await linkIsCutAndHealed(page);
  // Until here no server was gone, so the console has nothing to say.
  seen.errors = page.unexpected();
  seen.axe = await axeOfAllPanels(page);
  seen.share = await clientIsShared(page, browser);
  await openHerd(page);
  const homeName = (await ask(home, '/v1/map')).server;
  const names = (await ask(home, '/v1/herd')).servers.map(({ name }) => name);
  const neighbor = names.find((name) => name !== homeName);
  seen.killed = await serverIsKilledAndStarted(page, neighbor, home);
  seen.killed_own = await serverIsKilledAndStarted(page, homeName, other);
  seen.errors_after_kills = page.unexpected(...SERVER_GONE);
  seen.strangers = page.strangers;
  await page.close();
  seen.keyboard = await keyboardReachesAll(browser);
  await pictures(browser);
  return seen;
});
