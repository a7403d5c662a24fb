#!/usr/bin/env bash
# Builds the pages of a server and packs them into crates/proxyherd-web/assets, from where cargo builds them into the
# program.
#
#   web/build.sh           build, and replace the packed files
#   web/build.sh --check   build, and fail if the packed files are not what these sources build
#
# Needs Node.js 20.19 or newer. Packages are installed if they are not there yet; the lock file says which.
set -euo pipefail
cd "$(dirname "$0")"

# The same mark as in ci/tools.sh: the lock file that was installed last.
installed=node_modules/.installed-lock.json
if ! cmp -s package-lock.json "$installed"; then
  npm ci --ignore-scripts --no-audit --no-fund
  cp package-lock.json "$installed"
fi
rm -rf dist
npx --no-install vite build --logLevel warn
node pack.mjs "$@"
