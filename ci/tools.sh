# shellcheck shell=bash
# The stage `tools` of ./test and ./soak: checks that the programs which the other stages run are there. As root on Debian,
# it installs missing ones and prints what it installs. Elsewhere it prints what to install, and fails.
#
# cargo-deny is installed in either case: into target/tools, or by cargo into the user's cargo directory. So are the
# clients of other projects with which tests send requests to a herd: into target/clients and target/outside.

stage_tools() {
    local advice=()
    want_c_compiler
    want_netcat
    want_curl
    want_openssl
    want_http2_clients
    want_python
    want_node
    want_browser
    want_nginx
    want_osmium
    want_promtool
    want_systemd_analyze
    want_network_tools
    want_faketime
    want_rust
    # The checks below run cargo.
    if ((${#advice[@]} == 0)); then
        want_rust_component rustfmt fmt
        want_rust_component clippy clippy
    fi
    if ((${#advice[@]})); then
        say 'These are missing:' "${advice[@]/#/  - }" >&2
        return 1
    fi
    want_cargo_deny
    want_google_clients
    want_python_clients
    want_web_packages
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

# The allocator is written in C, and Rust links with the C compiler.
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

# README, the book and the demo show commands with it, which tests run.
want_curl() {
    have curl && return
    if may_install; then
        say 'There is no curl.'
        apt_install curl
    else
        advice+=('curl (on Debian: curl)')
    fi
}

# The book shows commands with it, which tests run.
want_openssl() {
    have openssl && return
    if may_install; then
        say 'There is no openssl.'
        apt_install openssl
    else
        advice+=('openssl (on Debian: openssl)')
    fi
}

# Tests send HTTP/2 requests with them.
want_http2_clients() {
    have nghttp && have h2load && return
    if may_install; then
        say 'There is no nghttp.'
        apt_install nghttp2-client
    else
        advice+=('nghttp and h2load (on Debian: nghttp2-client)')
    fi
}

# Debian's python3 can't make virtual environments without another package.
want_python() {
    python3 -c 'import ensurepip, venv' 2>/dev/null && return
    if may_install; then
        say 'There is no Python 3 that can make virtual environments.'
        apt_install python3 python3-venv
    else
        advice+=('Python 3 with venv and pip (on Debian: python3 python3-venv)')
    fi
}

want_node() {
    have node && have npm && return
    if may_install; then
        say 'There is no Node.js with npm.'
        # Some packages of Node.js include npm and conflict with Debian's npm.
        have node || apt_install nodejs
        have npm || apt_install npm
    else
        advice+=('Node.js 18 or newer with npm (on Debian: nodejs npm)')
    fi
}

# A test runs a web page's script in it. Debian's chromium, which has a window, works as well.
want_browser() {
    have chromium-headless-shell && return
    have chromium && return
    if may_install; then
        say 'There is no Chromium.'
        apt_install chromium-headless-shell
    else
        say 'There is no Chromium (on Debian: chromium-headless-shell): the tests with a browser will be skipped.'
    fi
}

# A test puts it in front of a server. Debian starts it where there is an init system. Nothing here needs that one.
want_nginx() {
    have nginx && return
    if may_install; then
        say 'There is no nginx.'
        apt_install nginx-light
    else
        say 'There is no nginx (on Debian: nginx-light): the test with it will be skipped.'
    fi
}

# Tests compare the number of places in an extract with its count.
want_osmium() {
    have osmium && return
    if may_install; then
        say 'There is no osmium.'
        apt_install osmium-tool
    else
        advice+=('osmium (on Debian: osmium-tool)')
    fi
}

# A test checks a server's metrics with it. Its package also has the Prometheus server, which Debian starts where there is
# an init system. Nothing here needs that server.
want_promtool() {
    have promtool && return
    if may_install; then
        say 'There is no promtool.'
        apt_install prometheus
    else
        advice+=('promtool (on Debian: prometheus)')
    fi
}

# Tests check the unit of systemd with it. systemd itself does not have to run.
want_systemd_analyze() {
    have systemd-analyze && return
    if may_install; then
        say 'There is no systemd-analyze.'
        apt_install systemd
    else
        say 'There is no systemd-analyze (on Debian: systemd): the tests of the unit will be skipped.'
    fi
}

# Tests make network namespaces with them, which only root may do. For other users these tests are skipped.
want_network_tools() {
    have ip && have nft && return
    if may_install; then
        say 'There is no ip, or no nft.'
        apt_install iproute2 nftables
    elif [[ $EUID -eq 0 ]]; then
        advice+=('ip and nft (on Debian: iproute2 nftables)')
    else
        say 'There is no ip, or no nft (on Debian: iproute2 nftables): tests on networks of their own will be skipped.'
    fi
}

# Tests run servers with a wrong time with it.
want_faketime() {
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null && return
    if may_install; then
        say 'There is no libfaketime.'
        apt_install libfaketime
    else
        say 'There is no libfaketime (on Debian: libfaketime): tests of clocks that are off will be skipped.'
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

# want_rust_component COMPONENT COMMAND: COMMAND is the cargo command that the component provides.
want_rust_component() {
    cargo "$2" --version >/dev/null 2>&1 && return
    if may_install && have rustup; then
        announce rustup component add "$1"
    else
        advice+=("Rust's $1: rustup component add $1")
    fi
}

# A build takes minutes, so a built package is tried first.
want_cargo_deny() {
    cargo deny --version >/dev/null 2>&1 && return
    say 'There is no cargo-deny.'
    want_python_packages ci/requirements.txt "${target_dir:?}/tools" &&
        cargo deny --version >/dev/null 2>&1 && return
    say 'Building it takes about three minutes.'
    announce cargo install --locked cargo-deny
}

# Google's client libraries, in the versions that files beside the tests pin. Where they can't be installed, for example
# without a network, the tests with them are skipped; in CI the stage fails.
want_google_clients() {
    local pinned=crates/proxyherd/tests/clients into="${target_dir:?}/clients"
    mkdir -p "$into"
    want_python_packages "$pinned/requirements.txt" "$into/python" &&
        want_node_client "$pinned" "$into/node" && return
    say "Google's client libraries are not installed; tests with them will be skipped." >&2
    [[ ${CI:-} != true ]]
}

# requests, websockets and Schemathesis, in the versions that a file beside the tests pins. Where they can't be installed, the tests
# with them are skipped; in CI the stage fails.
want_python_clients() {
    want_python_packages crates/proxyherd/tests/outside/requirements.txt "${target_dir:?}/outside" && return
    say "Python's requests, websockets and Schemathesis are not installed; tests with them will be skipped." >&2
    [[ ${CI:-} != true ]]
}

# The packages with which the pages are built, and with which tests use them in a browser, in the versions that
# web/package-lock.json pins, into web/node_modules. Where they can't be installed, the tests with them are skipped; in CI
# the stage fails.
want_web_packages() {
    cmp -s web/package-lock.json "$web_installed" && return
    # `npm ci` deletes what is installed.
    announce npm ci --prefix web --ignore-scripts --no-audit --no-fund --loglevel=error &&
        cp web/package-lock.json "$web_installed" && return
    say 'The packages of the web pages are not installed; tests with them will be skipped.' >&2
    [[ ${CI:-} != true ]]
}

# The lock file that was installed last.
web_installed=web/node_modules/.installed-lock.json

# want_python_packages REQUIREMENTS FOLDER: installs the packages into a virtual environment in FOLDER, unless the same
# file installed it.
want_python_packages() {
    [[ -x $2/bin/python ]] && cmp -s "$1" "$2/installed" && return
    announce python3 -m venv --clear "$2" &&
        announce "$2/bin/python" -m pip install --quiet --disable-pip-version-check -r "$1" &&
        cp "$1" "$2/installed"
}

# want_node_client PINNED FOLDER: installs the packages that the files in PINNED name, unless the same files installed them.
want_node_client() {
    [[ -d $2/node_modules ]] && cmp -s "$1/package-lock.json" "$2/installed" && return
    mkdir -p "$2" && cp "$1"/package.json "$1"/package-lock.json "$1"/.npmrc "$2" &&
        announce npm ci --prefix "$2" --ignore-scripts --no-audit --no-fund --loglevel=error &&
        cp "$1/package-lock.json" "$2/installed"
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

# Updates the package lists, which a new machine lacks, once in the stage.
apt_update_once() {
    [[ -n ${apt_updated:-} ]] && return
    export DEBIAN_FRONTEND=noninteractive
    announce apt-get update -q
    apt_updated=yes
}

# announce COMMAND…: prints a command that changes the machine, and runs it.
announce() {
    say "Running: $*"
    "$@"
}
