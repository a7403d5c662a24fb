#!/usr/bin/env bash
# Builds what is shipped, into target/ship: the program with all features (profile `dist`), its manual pages, and the
# completions of shells. The container image and the Debian package contain these files.
#
#   packaging/build.sh         the program, its pages and completions
#   packaging/build.sh --deb   and the Debian package, in target/ship
#
# The program is linked statically with musl where Rust's target and a C compiler for it are installed
# (`rustup target add x86_64-unknown-linux-musl`, and on Debian `apt-get install musl-tools`). Elsewhere the script says so
# and links with the C library of this machine: such a program needs the same or a newer C library where it runs.
# PROXYHERD_LIBC=musl or PROXYHERD_LIBC=gnu names one of the two; then a missing target is an error.
#
# PROXYHERD_PROFILE names another profile of cargo, and PROXYHERD_BINARY a program that is there already, which is then
# not built. Both are for tests of the packages. PROXYHERD_VERSION is the version of the package.
#
# DEBFULLNAME and DEBEMAIL name the maintainer of the package, as for Debian's own tools: whoever builds the package and
# answers for it. Without them the address ends in `.invalid`, which no mail can reach.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

target_dir="$(realpath -m -- "${CARGO_TARGET_DIR:-target}")"
# Here even if cargo builds elsewhere: the description of the package in crates/proxyherd/Cargo.toml names this folder.
ship="$PWD/target/ship"
profile="${PROXYHERD_PROFILE:-dist}"
machine="$(uname -m)"
export PATH="$PATH:$target_dir/tools/bin"

maintainer="${DEBFULLNAME:-proxyherd maintainers} <${DEBEMAIL:-maintainers@proxyherd.invalid}>"

say() { printf '%s\n' "$@" >&2; }

# Whether a program for musl can be built here. Prints what is missing.
has_musl() {
    local target="$machine-unknown-linux-musl"
    if [[ ! -d "$(rustc --print target-libdir --target "$target" 2>/dev/null)" ]]; then
        say "Rust's target $target is not installed (rustup target add $target)."
        return 1
    fi
    # The allocator and the cryptography are written in C.
    if ! command -v musl-gcc >/dev/null && ! command -v "$machine-linux-musl-gcc" >/dev/null; then
        say 'There is no C compiler for musl (on Debian: apt-get install musl-tools).'
        return 1
    fi
}

# Prints the target of Rust for which the program is built.
chosen_target() {
    case "${PROXYHERD_LIBC:-}" in
        gnu) ;;
        musl) has_musl || return 1 ;;
        '') has_musl || say 'So the program is linked with the C library of this machine.' ;;
        *)
            say "PROXYHERD_LIBC is musl or gnu, not $PROXYHERD_LIBC."
            return 1
            ;;
    esac
    if [[ ${PROXYHERD_LIBC:-musl} == musl ]] && has_musl 2>/dev/null; then
        say "Building for $machine-unknown-linux-musl, linked statically."
        printf '%s\n' "$machine-unknown-linux-musl"
    else
        printf '%s\n' "$machine-unknown-linux-gnu"
    fi
}

# Puts the program into target/ship.
make_program() {
    local built="${PROXYHERD_BINARY:-}" target
    if [[ -z $built ]]; then
        target="$(chosen_target)"
        cargo build --locked --package proxyherd --all-features --profile "$profile" --target "$target"
        built="$target_dir/$target/$([[ $profile == dev ]] && echo debug || echo "$profile")/proxyherd"
    fi
    # Without the tables of lines, which only a debugger reads.
    strip --strip-debug -o "$ship/proxyherd" "$built"
}

# Makes the pages and completions by the program itself.
make_documents() {
    local shell
    "$ship/proxyherd" man "$ship/man" >/dev/null
    gzip --best --no-name "$ship"/man/*.1
    for shell in bash zsh fish; do
        "$ship/proxyherd" completions "$shell" >"$ship/completions/proxyherd.$shell"
    done
}

# Debian wants the changelog of a package in its own form, compressed.
make_debian_changelog() {
    local version="$1"
    printf 'proxyherd (%s) stable; urgency=medium\n\n  * See /usr/share/doc/proxyherd/CHANGELOG.md.gz.\n\n -- %s  %s\n' \
        "$version" "$maintainer" "$(date --utc --date="@${SOURCE_DATE_EPOCH:-$(date +%s)}" -R)" |
        gzip --best --no-name >"$ship/changelog.gz"
    gzip --best --no-name --stdout CHANGELOG.md >"$ship/CHANGELOG.md.gz"
}

make_deb() {
    local version="${PROXYHERD_VERSION:-$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)-1}"
    if ! command -v cargo-deb >/dev/null; then
        say "There is no cargo-deb (cargo install --locked --root $target_dir/tools cargo-deb)."
        return 1
    fi
    make_debian_changelog "$version"
    cargo deb --locked --package proxyherd --no-build --no-strip --profile "$profile" --deb-version "$version" \
        --maintainer "$maintainer" --output "$ship"
}

rm -rf "$ship/man" "$ship/completions"
mkdir -p "$ship/man" "$ship/completions"
case "$*" in
    '') make_program && make_documents ;;
    --deb) make_program && make_documents && make_deb ;;
    *)
        say 'Usage: packaging/build.sh [--deb]'
        exit 2
        ;;
esac
