#!/usr/bin/env bash
# Stands in for systemd where the texts are tested: `systemctl start|stop|restart|reload proxyherd@Riley …`, and
# `systemctl kill -s SIGNAL proxyherd@Riley`. It runs the command of the unit in the directory of the herd, and returns when systemd would: once the server has said that it is
# ready, or has ended. The packages' own tests start the real unit.

cd -- "$(dirname -- "${BASH_SOURCE[0]}")" || exit 1

runs() { [[ -r $1.pid && -r /proc/$(<"$1.pid")/stat && $(</proc/"$(<"$1.pid")"/stat) != *') Z '* ]]; }

start() {
    ./proxyherd serve --name "$1" </dev/null >"$1.out" 2>&1 &
    echo $! >"$1.pid"
    until grep -q '^ready' "$1.out"; do
        runs "$1" || { cat "$1.out"; return 1; }
        sleep 0.02
    done
}

stop() {
    runs "$1" && kill -TERM "$(<"$1.pid")"
    while runs "$1"; do sleep 0.02; done
}

if [[ $1 == kill ]]; then
    kill -s "$3" "$(<"${4#proxyherd@}.pid")"
    exit
fi

for unit in "${@:2}"; do
    name="${unit#proxyherd@}"
    case $1 in
        start) start "$name" ;;
        stop) stop "$name" ;;
        restart) stop "$name" && start "$name" ;;
        reload) kill -HUP "$(<"$name.pid")" ;;
        *) echo "systemctl: $1 is not for this stand-in" && false ;;
    esac || exit
done
