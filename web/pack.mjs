// Packs the built pages: each file of `dist` becomes `NAME.gz` in `crates/proxyherd-web/assets`. With `--check`,
// nothing is written, and the program fails if the packed files hold something else than `dist`.
//
// The check compares unpacked bytes, because two versions of zlib may compress the same bytes in different ways.

import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { constants, gunzipSync, gzipSync } from 'node:zlib';

/** Maximum number of bytes that a browser transfers for all pages together. */
const TRANSFERRED_LEN_MAX = 1_000_000;

const here = dirname(fileURLToPath(import.meta.url));
const built = join(here, 'dist');
const assets = join(here, '../crates/proxyherd-web/assets');

function namesIn(folder) {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = names
    .filter((name) => name.isFile())
    .map((file) => relative(folder, join(file.parentPath, file.name)));
  return files.sort();
}

function fail(text) {
  console.error(`web/build.sh: ${text}`);
  process.exit(1);
}

function packed(bytes) {
  const options = { level: constants.Z_BEST_COMPRESSION, memLevel: 9 };
  const result = gzipSync(bytes, options);
  // The header has no time and no system, so that the bytes do not depend on the machine.
  result.fill(0, 4, 8);
  result[9] = 255;
  return result;
}

function check(names) {
  const expected = names.map((name) => `${name}.gz`);
  const found = namesIn(assets);
  const other = [
    ...expected.filter((name) => !found.includes(name)),
    ...found.filter((name) => !expected.includes(name)),
  ];
  if (other.length > 0) fail(`these files are only in one of dist and assets: ${other.join(', ')}; run web/build.sh`);
  for (const name of names) {
    const bytes = readFileSync(join(built, name));
    if (!bytes.equals(gunzipSync(readFileSync(join(assets, `${name}.gz`))))) {
      fail(`${name}.gz is not what the sources build; run web/build.sh`);
    }
  }
}

function write(names) {
  rmSync(assets, { recursive: true, force: true });
  for (const name of names) {
    const path = join(assets, `${name}.gz`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, packed(readFileSync(join(built, name))));
  }
}

const names = namesIn(built);
const isCheck = process.argv.includes('--check');
if (isCheck) check(names);
else write(names);
const len = names.reduce((sum, name) => sum + statSync(join(assets, `${name}.gz`)).size, 0);
if (len > TRANSFERRED_LEN_MAX)
  fail(`the packed files have ${len} bytes, and at most ${TRANSFERRED_LEN_MAX} are allowed`);
console.log(`${isCheck ? 'checked' : 'packed'} ${names.length} files, ${len} bytes`);
