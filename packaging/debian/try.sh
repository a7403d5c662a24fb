#!/usr/bin/env bash
# Tries the Debian package on this machine, as root: builds it twice, installs it, starts its server as systemd would,
# upgrades it while the server has clients, restores a backup, removes it and purges it. Each step is checked. The stage
# `package` of ./soak runs this script.
#
# systemd does not have to run. The server is started by the command of the installed unit, as the unit's user, with a
# socket for what it tells systemd.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

etc=/etc/proxyherd lib=/var/lib/proxyherd log=/var/log/proxyherd
unit=/lib/systemd/system/proxyherd@.service
work="$(mktemp -d)"
server='' listener=''
had_user="$(getent passwd proxyherd || true)"

say() { printf '%s\n' "$@"; }

fail() {
    say "FAILED: $*" >&2
    cat "$work/told" "$work/out" "$log"/*.log >&2 2>/dev/null || true
    exit 1
}

clean() {
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    [[ -z $listener ]] || kill "$listener" 2>/dev/null || true
    dpkg --purge proxyherd >/dev/null 2>&1 || true
    # The package leaves its user. Here it was made for this test alone.
    [[ -n $had_user ]] || deluser --quiet proxyherd 2>/dev/null || true
    rm -rf "$work"
}

# within SECONDS COMMAND…: waits until the command succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >"$work/out" 2>&1; do
        ((SECONDS < end)) || fail "$*"
        sleep 0.1
    done
}

# Writes what servers tell systemd into $work/told.
listen() {
    python3 -u -c '
import os, socket, sys
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
while True:
    print(told.recv(4096).decode(), end="")' "$work/notify" >"$work/told" &
    listener=$!
    chmod 755 "$work"
    within 10 test -S "$work/notify"
}

# Starts Riley by the command of the unit, and waits until it has told that it is ready.
start() {
    local command user
    command="$(sed -n 's/^ExecStart=//p' "$unit")" user="$(sed -n 's/^User=//p' "$unit")"
    : >"$work/told"
    # shellcheck disable=SC2086 # The command has several words.
    (cd / && exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --bounding-set=-all \
        env -i PATH=/usr/bin:/bin NOTIFY_SOCKET="$work/notify" WATCHDOG_USEC=30000000 ${command//%i/Riley}) &
    server=$!
    within 20 grep -q READY=1 "$work/told"
    within 20 proxyherd health --config "$etc/herd.toml" --name Riley --wait-s 20
}

stop() {
    kill -TERM "$server"
    wait "$server" || fail "the server ended with $?"
    server=''
    within 10 grep -q STOPPING=1 "$work/told"
}

# Whether Riley knows the client.
knows_kiwi() { curl --silent --fail "http://$http/v1/clients/kiwi" | grep -q '"id":"kiwi"'; }

# Whether the installed package has this version.
is_version() { [[ $(dpkg-query --show --showformat='${Version} ${db:Status-Status}' proxyherd) == "$1 installed" ]]; }

dpkg-query --show proxyherd >/dev/null 2>&1 && fail 'a package proxyherd is installed on this machine'
for dir in "$etc" "$lib" "$log"; do [[ ! -e $dir ]] || fail "$dir is there already"; done
trap clean EXIT

say 'Building two versions of the package'
version="$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)"
PROXYHERD_VERSION="$version-1" packaging/build.sh --deb
cp target/ship/proxyherd "$work/program"
PROXYHERD_VERSION="$version-2" PROXYHERD_BINARY="$work/program" packaging/build.sh --deb
first="$(ls target/ship/proxyherd_"$version-1"_*.deb)" second="$(ls target/ship/proxyherd_"$version-2"_*.deb)"
[[ -f $first && -f $second ]] || fail 'the packages are not there'
# On a static program dpkg-shlibdeps finds no library; otherwise the package names the C library.
dpkg-deb --field "$first" Depends Version Architecture

say 'Installing'
command -v adduser >/dev/null || apt-get install --yes --no-install-recommends adduser
dpkg --install "$first"
is_version "$version-1" || fail 'the version is wrong'
[[ $(stat -c '%U:%G %a' "$etc") == 'root:proxyherd 750' ]] || fail "$etc has the wrong mode"
[[ $(stat -c '%U:%G %a' "$lib") == 'proxyherd:proxyherd 750' ]] || fail "$lib has the wrong mode"
proxyherd --version | grep -q "$version" || fail 'the program does not run'
for installed in "$unit" /usr/share/man/man1/proxyherd-serve.1.gz /usr/share/bash-completion/completions/proxyherd \
    /usr/share/doc/proxyherd/copyright /usr/share/doc/proxyherd/changelog.Debian.gz; do
    dpkg --listfiles proxyherd | grep -qx "$installed" || fail "$installed is not in the package"
done

say 'Starting'
# Ports that nobody has here. The changed file is also what an upgrade must keep.
read -r line_port http_port < <(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[one.getsockname()[1] for one in sockets])')
http="127.0.0.1:$http_port"
sed -i "s/127.0.0.1:12000/127.0.0.1:$line_port/; s/127.0.0.1:8000/$http/" "$etc/herd.toml"
before="$(sha256sum "$etc/herd.toml")"
proxyherd check --config "$etc/herd.toml"
listen
start
curl --silent --fail --request PUT --json '{"lat": 34.07, "lon": -118.44}' "http://$http/v1/clients/kiwi/location" >/dev/null
knows_kiwi || fail 'the server does not know its client'
within 10 grep -q 'STATUS=1 record' "$work/told"
within 10 grep -q WATCHDOG=1 "$work/told"

say 'Upgrading'
dpkg --install "$second"
is_version "$version-2" || fail 'the version is wrong'
[[ $(sha256sum "$etc/herd.toml") == "$before" ]] || fail 'the upgrade has changed the configuration'
knows_kiwi || fail 'the upgrade has stopped the server'
stop
start
knows_kiwi || fail 'the new version does not find the client of the old one'

say 'Restoring a backup'
proxyherd data dump --config "$etc/herd.toml" --name Riley --out "$work/riley.dump"
stop
proxyherd data restore "$work/riley.dump" --config "$etc/herd.toml" --name Riley --force >"$work/out" 2>&1 &&
    fail 'root has made a store that the server cannot read'
grep -q 'belongs to proxyherd' "$work/out" || fail 'root was refused for another reason'
runuser --user proxyherd -- proxyherd data restore - --config "$etc/herd.toml" --name Riley --force <"$work/riley.dump"
start
knows_kiwi || fail 'the restored store does not have the client'

say 'Removing'
stop
dpkg --remove proxyherd
[[ ! -e /usr/bin/proxyherd && ! -e $unit ]] || fail 'the program is still there'
[[ $(sha256sum "$etc/herd.toml") == "$before" && -d $lib/Riley/journal && -f $log/Riley.log ]] ||
    fail 'removing has not kept configuration, journal and log'

say 'Installing again, with what was kept'
dpkg --install "$second"
start
knows_kiwi || fail 'the client is gone'
stop

say 'Purging'
dpkg --purge proxyherd
for dir in "$etc" "$lib" "$log"; do [[ ! -e $dir ]] || fail "$dir is still there"; done
say 'The package can be installed, started, upgraded, removed and purged.'
