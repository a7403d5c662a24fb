// What the browser scripts share: a Chromium that shows a page of the herd, and everything that the page did which a
// test must know: errors, requests to other machines, and bytes.
//
// All scripts take `--modules FOLDER`, the folder with `node_modules`, which is usually `web`, and `--shots FOLDER`.
//
// Nothing here waits for time to pass. `Page.until` looks at the page again and again until it shows what it must, and
// otherwise fails with what it showed last.

import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join, resolve } from 'node:path';

const words = process.argv.slice(2);

/** Takes an option and its value out of the arguments. */
function option(name, usual) {
  const at = words.indexOf(name);
  return at < 0 ? usual : words.splice(at, 2)[1];
}

/** The folder in which the packages of web/package-lock.json are installed. */
const modules = option('--modules', join(import.meta.dirname, '..'));
/** The folder for pictures. `null`: none are taken. */
export const shots = option('--shots', null);
/** All other arguments of the script. */
export const parameters = words;
if (shots) mkdirSync(shots, { recursive: true });

const require = createRequire(resolve(modules, 'package.json'));

/** Maximum time that a script waits for anything, milliseconds. Far longer than anything needs. */
export const PATIENCE_MS = 60_000;

export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

/** Programs that are Chromium, the one without a window first. */
const BROWSERS = ['chromium-headless-shell', 'chromium'];

/** The path of a browser's program in PATH. */
function findBrowser() {
  for (const name of BROWSERS) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // The next folder may have it.
      }
    }
  }
  throw new Error(`none of ${BROWSERS.join(', ')} is in PATH`);
}

/** Starts a browser whose pages reach this machine alone. */
export async function startBrowser() {
  const puppeteer = require('puppeteer-core');
  return puppeteer.launch({
    executablePath: findBrowser(),
    headless: true,
    protocolTimeout: 4 * PATIENCE_MS,
    args: [
      // Root may not use the browser's sandbox. The pages are the herd's.
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--use-angle=swiftshader',
      '--enable-unsafe-swiftshader',
      '--ignore-gpu-blocklist',
      '--hide-scrollbars',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
    ],
  });
}

/** A page, and what it did. */
export class Page {
  /** Messages of the console that are errors or warnings, exceptions, and requests that were refused by the policy. */
  errors = [];
  /** URLs of requests to origins that are not of the herd. */
  strangers = [];
  /** All URLs that were requested. */
  addresses = [];
  /** Bytes that came over the network, compressed as they were. Streams do not count. */
  transferred = 0;

  constructor(page, origins) {
    this.page = page;
    this.origins = new Set(origins.map((url) => new URL(url).host));
  }

  /** Opens a page of a herd in a context of its own. `origins`: the base URLs of all servers. */
  static async open(browser, url, origins, { viewport = DESKTOP, scheme = 'light', still = false } = {}) {
    const context = await browser.createBrowserContext();
    const made = new Page(await context.newPage(), origins);
    made.context = context;
    await made.listen();
    await made.page.setViewport(viewport);
    await made.page.emulateMediaFeatures([
      { name: 'prefers-color-scheme', value: scheme },
      { name: 'prefers-reduced-motion', value: still ? 'reduce' : 'no-preference' },
    ]);
    await made.page.goto(url, { waitUntil: 'load', timeout: PATIENCE_MS });
    return made;
  }

  async listen() {
    const { page } = this;
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('console', (message) => {
      if (['error', 'warn', 'assert'].includes(message.type())) {
        this.errors.push(`${message.type()}: ${message.text()} (${message.location().url ?? 'no address'})`);
      }
    });
    page.on('pageerror', (error) => this.errors.push(`exception: ${error.stack ?? error.message ?? error}`));
    const tools = await page.createCDPSession();
    this.tools = tools;
    await tools.send('Network.enable');
    const noteUrl = (url) => {
      this.addresses.push(url);
      const { protocol, host } = new URL(url);
      if (!['blob:', 'data:'].includes(protocol) && !this.origins.has(host)) this.strangers.push(url);
    };
    tools.on('Network.requestWillBeSent', ({ request }) => noteUrl(request.url));
    tools.on('Network.webSocketCreated', ({ url }) => noteUrl(url));
    tools.on('Network.loadingFinished', ({ encodedDataLength }) => {
      this.transferred += encodedDataLength;
    });
  }

  /** Errors that were not to be expected. Each of `expected` is a regular expression. */
  unexpected(...expected) {
    return this.errors.filter((error) => !expected.some((known) => known.test(error)));
  }

  evaluate(act, ...values) {
    return this.page.evaluate(act, ...values);
  }

  /**
   * Waits until `look`, which runs in the page, returns something true, and returns that. The page's policy allows no
   * script from a text, so this asks again and again from outside, as puppeteer's own waiting cannot.
   */
  async until(what, look, ...values) {
    try {
      return await eventually(what, () => this.page.evaluate(look, ...values));
    } catch (error) {
      const shown = await this.page.evaluate(() => document.body?.innerText ?? '').catch(() => '');
      const text = shown.replaceAll(/\s+/g, ' ').slice(0, 2000);
      throw new Error(`${error.message}; the page shows: ${text}; ${this.errors.join('; ')}`, { cause: error });
    }
  }

  /** Waits until the text of an element is as it should be, and returns the text. */
  async untilText(selector, isSo) {
    const what = `the text of ${selector} is so: ${isSo}`;
    const look = (selector) => document.querySelector(selector)?.textContent ?? '';
    return this.until(what, look, selector).then(async () => {
      let text = '';
      await eventually(what, async () => {
        text = await this.page.evaluate(look, selector);
        return isSo(text) || Promise.reject(new Error(text));
      });
      return text;
    });
  }

  /** Waits until an element has a text. */
  shows(text, selector = 'body') {
    return this.until(
      `${JSON.stringify(text)} in ${selector}`,
      (text, selector) =>
        (document.querySelector(selector)?.innerText ?? '').replaceAll('\u00a0', ' ').includes(text),
      text,
      selector,
    );
  }

  /** The handle of the element with this role and accessible name, by the browser's own tree of accessibility. */
  named(role, name) {
    const selector = `::-p-aria([name="${name}"][role="${role}"])`;
    return eventually(`there is a ${role} ${name}`, () => this.page.$(selector));
  }

  /** Presses the element with this role and name, as a pointer or a keyboard does. */
  async press(role, name) {
    const handle = await this.named(role, name);
    await handle.evaluate((element) => element.scrollIntoView({ block: 'nearest' }));
    await handle.evaluate((element) => element.dispatchEvent(new MouseEvent('click', { bubbles: true })));
    await handle.dispose();
  }

  /** What axe finds that is serious or critical: one text for each rule that is broken. */
  async axe() {
    if (!(await this.page.evaluate(() => 'axe' in globalThis))) {
      await this.page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
    }
    const { violations } = await this.page.evaluate(() =>
      globalThis.axe.run(document, { resultTypes: ['violations'], elementRef: false }),
    );
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, help, nodes }) => {
        const found = nodes.slice(0, 5).map((node) => `${node.target.join(' ')} (${node.any[0]?.message ?? ''})`);
        return `${id}: ${help}: ${found.join('; ')}`;
      });
  }

  /** Takes a picture, if pictures are wanted. */
  async screenshot(name) {
    if (!shots) return;
    await this.page.bringToFront();
    await this.page.screenshot({ path: join(shots, `${name}.png`), optimizeForSpeed: true });
  }

  async setScheme(scheme) {
    await this.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await this.until(`the ${scheme} theme`, (scheme) => document.documentElement.dataset.theme === scheme, scheme);
  }

  /** What has the focus: its role, name and text. */
  focused() {
    return this.page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      return {
        id: element.id,
        tag: element.tagName.toLowerCase(),
        name: element.getAttribute('aria-label') ?? element.textContent?.trim().replaceAll(/\s+/g, ' ') ?? '',
        inHerd: element.closest('#herd') !== null,
        inPanel: element.closest('#panel') !== null,
      };
    });
  }

  /** Presses Tab until `isThere` says that the focus is where it should be. Returns the number of presses. */
  async tabTo(what, isThere, limit = 120) {
    for (let presses = 1; presses <= limit; presses += 1) {
      await this.page.keyboard.press('Tab');
      const focus = await this.focused();
      if (focus && isThere(focus)) return presses;
    }
    throw new Error(`the Tab key does not reach ${what}`);
  }

  async close() {
    await this.context.close();
  }
}

/** Sends a request to a server. Returns the answer's JSON. Fails if the server refuses. */
export async function ask(base, path, { method = 'GET', body } = {}) {
  const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
  const init = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
  const response = await fetch(new URL(path, base), init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} at ${base}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** Asks until the answer is as it should be. Each question waits for the answer to the one before. */
export async function eventually(what, look) {
  const until = Date.now() + PATIENCE_MS;
  let last;
  while (Date.now() < until) {
    try {
      last = await look();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`not so: ${what}; instead: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
}

/** Runs a script's main function: prints its result as JSON, or the reason why there is none. */
export async function run(main) {
  const browser = await startBrowser();
  try {
    console.log(JSON.stringify(await main(browser), null, 2));
  } catch (error) {
    console.error(error instanceof Error ? (error.stack ?? error.message) : error);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}
