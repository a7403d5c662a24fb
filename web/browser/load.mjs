// Measures the script time a frame of the map page, while many clients move:
//
//   node web/browser/load.mjs [--modules FOLDER] URL CLIENTS [SECONDS]
//
// URL is a server of a herd in which that many clients move, such as `proxyherd demo --clients 10000`. The page shows
// all of them. The script waits until the map holds the clients, and then measures for so many seconds (10): how long
// the page's main thread ran scripts, by the browser's own account (Performance.getMetrics), and how many frames there
// were. Drawing by software, which takes most of the time here, is no script time, but it makes frames rarer. So the
// result also has the script time a second, which does not depend on the number of frames.

import { ask, DESKTOP, eventually, Page, parameters, run } from './lib.mjs';

const [url, clientsText, secondsText = '10'] = parameters;
if (!url || !clientsText) {
  console.error('usage: node load.mjs URL CLIENTS [SECONDS]');
  process.exit(2);
}
const [clients, seconds] = [Number(clientsText), Number(secondsText)];

/** The page's own account of its main thread, seconds. */
async function metrics(tools) {
  const { metrics } = await tools.send('Performance.getMetrics');
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}

/** Counts frames in the page for a time. Returns the count and the longest time between two frames. */
function countFrames(page, ms) {
  return page.evaluate(
    (ms) =>
      new Promise((resolve) => {
        const begun = performance.now();
        let [frames, last, longest] = [0, begun, 0];
        const frame = () => {
          const now = performance.now();
          frames += 1;
          longest = Math.max(longest, now - last);
          last = now;
          if (now - begun < ms) requestAnimationFrame(frame);
          else resolve({ frames, ms: now - begun, longest });
        };
        requestAnimationFrame(frame);
      }),
    ms,
  );
}

await run(async (browser) => {
  await eventually(`the server knows ${clients} clients`, async () => {
    const { records } = await ask(url, '/v1/status');
    return records >= clients;
  });
  const page = await Page.open(browser, url, [url], { viewport: DESKTOP });
  const digits = (text) => Number(text.replaceAll(/[^0-9]/g, ''));
  const shown = await page.until(
    `the map holds ${clients} clients`,
    (clients) => {
      const count = document.getElementById('count');
      const held = Number(count?.dataset.count ?? count?.textContent?.replaceAll(/[^0-9]/g, '') ?? 0);
      return held >= clients * 0.9 ? String(held) : false;
    },
    clients,
  );
  await page.tools.send('Performance.enable', { timeDomain: 'threadTicks' }).catch(() => {
    return page.tools.send('Performance.enable');
  });
  const before = await metrics(page.tools);
  const { frames, ms, longest } = await countFrames(page.page, seconds * 1000);
  const after = await metrics(page.tools);
  const spent = (name) => (after[name] - before[name]) * 1000;
  return {
    clients: digits(shown),
    seconds: ms / 1000,
    frames,
    script_ms_per_frame: spent('ScriptDuration') / frames,
    script_ms_per_s: (spent('ScriptDuration') * 1000) / ms,
    layout_ms_per_frame: (spent('LayoutDuration') + spent('RecalcStyleDuration')) / frames,
    task_ms_per_frame: spent('TaskDuration') / frames,
    longest_frame_ms: longest,
    heap_mb: after.JSHeapUsedSize / 1e6,
    errors: page.unexpected(),
  };
});
