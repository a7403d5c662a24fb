// How the pages are built and served while somebody works on them. `web/build.sh` runs the build.
//
// Every URL in the pages is relative, so a server can stand behind a proxy under any path. Pages are in the root of the
// output, and all files that they load are in `map/`, with a hash of their content in their names. The output depends
// on nothing but the sources and the locked packages. No style and no script is inline, so the pages need no exception
// from their content security policy.
//
// `npm run dev` serves the sources, and `npx vite preview` what was built, with the same content security policy as a
// server. Both pass requests on to the server at `PROXYHERD_URL`.

import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

const server = process.env.PROXYHERD_URL ?? 'http://127.0.0.1:8000';
const toServer = { target: server, changeOrigin: true, ws: true };
const pages = ['index', 'share'].filter((page) => existsSync(new URL(`${page}.html`, import.meta.url)));

const csp = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "worker-src 'self'",
  "connect-src 'self'",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The name of a file with a hash. A browser runs modules only with the type of `.js`, which every server knows. */
function hashed(name: string): string {
  const file = name.slice(name.lastIndexOf('/') + 1);
  const dot = file.lastIndexOf('.');
  const end = file.slice(dot + 1);
  return `map/${file.slice(0, dot)}-[hash].${end === 'mjs' ? 'js' : end}`;
}

export default defineConfig({
  base: './',
  publicDir: false,
  server: { proxy: { '/v1': toServer, '/maps': toServer } },
  preview: { proxy: { '/v1': toServer, '/maps': toServer }, headers: { 'Content-Security-Policy': csp } },
  build: {
    target: 'es2022',
    assetsDir: 'map',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
    rolldownOptions: {
      input: Object.fromEntries(pages.map((page) => [page, `${page}.html`])),
      output: {
        entryFileNames: 'map/[name]-[hash].js',
        chunkFileNames: 'map/[name]-[hash].js',
        assetFileNames: (asset) => hashed(asset.names[0] ?? 'file.bin'),
      },
    },
  },
  test: {
    include: ['src/**/*.test.ts'],
    environment: 'node',
    // One thread is started quickly on a busy machine, too.
    pool: 'threads',
    fileParallelism: false,
    // No test waits for time to pass, but a busy machine may be slow.
    testTimeout: 60_000,
  },
});
