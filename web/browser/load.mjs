// Measures the script time a frame of the map page, while many clients move:
//
//   node web/browser/load.mjs [--modules FOLDER] URL CLIENTS [SECONDS]
//
// URL is a server of a herd in which that many clients move, such as `proxyherd demo --clients 10000`. The script waits
// until the page shows all of them, and then measures for so many seconds (10): how long the page's main thread ran
// scripts, by the browser's own account (Performance.getMetrics, in time of the processor), how many frames there were,
// and what came through the stream. Drawing by software, which takes most of the time here, is no script time, but it
// makes frames rarer. So the result also has the script time a second, which does not depend on the number of frames.
//
// Then the script opens a small part of the map, in which few clients are, and measures the stream again.

import { ask, DESKTOP, eventually, Page, parameters, run } from './lib.mjs';

const [url, clientsText, secondsText = '10'] = parameters;
if (!url || !clientsText) {
  console.error('usage: node load.mjs URL CLIENTS [SECONDS]');
  process.exit(2);
}
const [clients, seconds] = [Number(clientsText), Number(secondsText)];
/** A part of the map around the middle of the demo's area, in which few of its clients are. */
const PART = '#map=15/34.06893/-118.44513';

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

/** Counts what comes through the WebSockets of a page. */
function countStream(page) {
  const counts = { events: 0, bytes: 0 };
  page.tools.on('Network.webSocketFrameReceived', ({ response }) => {
    counts.bytes += response.payloadData.length;
    if (response.payloadData.includes('"event":"location"')) counts.events += 1;
  });
  return counts;
}

/** Opens the map and waits until the page holds as many clients as `isEnough` wants. */
async function open(browser, fragment, isEnough) {
  const page = await Page.open(browser, url + fragment, [url], { viewport: DESKTOP });
  await page.until('the stream is live', () => document.getElementById('connection')?.dataset.state === 'live');
  let held = 0;
  await eventually('the map shows the clients', async () => {
    const text = await page.evaluate(() => document.getElementById('count')?.textContent ?? '');
    held = Number(text.replaceAll(/[^0-9]/g, ''));
    return isEnough(held) || Promise.reject(new Error(`${held} clients`));
  });
  return { page, held };
}

await run(async (browser) => {
  await eventually(`the server knows ${clients} clients`, async () => {
    const { records } = await ask(url, '/v1/status');
    return records >= clients;
  });
  const { page, held } = await open(browser, '', (held) => held >= clients * 0.9);
  await page.tools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const stream = countStream(page);
  const before = await metrics(page.tools);
  const { frames, ms, longest } = await countFrames(page.page, seconds * 1000);
  const after = await metrics(page.tools);
  const whole = { ...stream };
  const spent = (name) => (after[name] - before[name]) * 1000;
  const errors = page.unexpected();
  await page.close();

  const part = await open(browser, PART, (held) => held > 0);
  const small = countStream(part.page);
  const { ms: smallMs } = await countFrames(part.page.page, seconds * 1000);
  return {
    clients: held,
    seconds: ms / 1000,
    frames,
    script_ms_per_frame: spent('ScriptDuration') / frames,
    script_ms_per_s: (spent('ScriptDuration') * 1000) / ms,
    layout_ms_per_frame: (spent('LayoutDuration') + spent('RecalcStyleDuration')) / frames,
    task_ms_per_frame: spent('TaskDuration') / frames,
    longest_frame_ms: longest,
    heap_mb: after.JSHeapUsedSize / 1e6,
    events_per_s: (whole.events * 1000) / ms,
    stream_bytes_per_s: (whole.bytes * 1000) / ms,
    part: {
      clients: part.held,
      events_per_s: (small.events * 1000) / smallMs,
      stream_bytes_per_s: (small.bytes * 1000) / smallMs,
    },
    errors: [...errors, ...part.page.unexpected()],
  };
});
