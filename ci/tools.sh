# shellcheck shell=bash
# The stage `tools` of ./test and ./soak: sees that what the other stages run is there. On Debian, as root, it
# installs what is missing and says so; elsewhere it names what to install, and fails. cargo-deny is installed by
# cargo in either case: that touches nothing but the user's own cargo directory.

stage_tools() {
    local advice=()
    want_c_compiler
    want_netcat
    want_rust
    # Without Rust, the ones below have nobody to ask.
    if ((${#advice[@]} == 0)); then
        want_rust_component rustfmt fmt
        want_rust_component clippy clippy
    fi
    if ((${#advice[@]})); then
        say 'These are missing:' "${advice[@]/#/  - }" >&2
        return 1
    fi
    want_cargo_deny
}

want_c_compiler() {
    compiles_c && return
    if may_install; then
        say 'There is no working C compiler.'
        apt_install gcc libc6-dev
    else
        advice+=("a C compiler and the C library's headers (on Debian: gcc libc6-dev)")
    fi
}

# The allocator is C, and Rust links by way of the C compiler.
compiles_c() {
    printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
        cc -x c -o "${target_dir:?}/.compiles-c" - >/dev/null 2>&1
}

want_netcat() {
    have nc && return
    if may_install; then
        say 'There is no nc.'
        apt_install netcat-openbsd
    else
        advice+=('nc (on Debian: netcat-openbsd)')
    fi
}

want_rust() {
    local wanted
    wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
    rust_is_at_least "$wanted" && return
    if may_install && { have rustup || apt_offers rustup; }; then
        say "There is no Rust $wanted or newer."
        have rustup || apt_install ca-certificates rustup
        announce rustup toolchain install stable --profile minimal --component clippy,rustfmt
        announce rustup default stable
        rust_is_at_least "$wanted" && return
    fi
    advice+=("Rust: install Rust $wanted or newer with rustup")
}

rust_is_at_least() {
    local found
    have cargo && found="$(rustc --version 2>/dev/null)" || return 1
    found="${found#rustc }"
    printf '%s\n%s\n' "$1" "${found%%[ -]*}" | sort -V -C
}

# want_rust_component COMPONENT COMMAND: the component, by the cargo command that it brings.
want_rust_component() {
    cargo "$2" --version >/dev/null 2>&1 && return
    if may_install && have rustup; then
        announce rustup component add "$1"
    else
        advice+=("Rust's $1: rustup component add $1")
    fi
}

want_cargo_deny() {
    cargo deny --version >/dev/null 2>&1 && return
    say 'There is no cargo-deny. Building it takes about three minutes.'
    announce cargo install --locked cargo-deny
}

may_install() {
    [[ $EUID -eq 0 ]] && have apt-get && grep -qsE '^ID(_LIKE)?=.*debian' /etc/os-release
}

apt_install() {
    apt_update_once
    announce apt-get install -y --no-install-recommends "$@"
}

apt_offers() {
    apt_update_once
    apt-cache policy "$1" | grep -q 'Candidate: [0-9]'
}

# A fresh machine has no package lists. The flag lives as long as the stage.
apt_update_once() {
    [[ -n ${apt_updated:-} ]] && return
    export DEBIAN_FRONTEND=noninteractive
    announce apt-get update -q
    apt_updated=yes
}

# announce COMMAND…: says what is about to be done to the machine, then does it.
announce() {
    say "Running: $*"
    "$@"
}
