# shellcheck shell=bash
# What ./test and ./soak share: running stages one after another, measuring their time, and counting tests.
#
# A script sources this file and sets `stages` to the names of its stages in order, and `testing` to the stage whose tests
# are counted. It defines a function `stage_NAME` for each stage and calls `run_stages "$@"`.
#
# After a stage that fails the others run too, so that one run shows everything that is wrong. The exception is the stage
# `tools`, without which nothing can run.

set -uo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit 1

# A stage returns this if it can't run on this machine and is skipped.
readonly NOTHING_TO_DO=77

# Without HOME neither cargo nor rustup finds its files. The shell can look it up in the user's entry.
export HOME="${HOME:-$(cd ~ 2>/dev/null && pwd)}"

target_dir="${CARGO_TARGET_DIR:-target}"
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH:$(realpath -m -- "$target_dir")/tools/bin"
program="$(basename -- "$0")"
log="$target_dir/$program.log"

bold='' green='' red='' yellow='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' yellow=$'\e[33m' plain=$'\e[0m'
    # The tests' output goes through a pipe, so cargo can't see that it ends at a terminal.
    export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-always}"
fi

# say TEXT…: prints each argument on a line of its own.
say() { printf '%s\n' "$@"; }
have() { command -v "$1" >/dev/null 2>&1; }

# ---- Stages ----

# run_stages [STAGE…]: runs the named stages, or all of them, prints the table and the count, and exits.
run_stages() {
    local chosen=("$@") name started_us
    ((${#chosen[@]})) || chosen=("${stages[@]:?}")
    for name in "${chosen[@]}"; do among "$name" "${stages[@]}" || usage "$name"; done

    exec </dev/null
    mkdir -p "$target_dir" && : >"$log" || exit 1
    table='' failures=()
    started_us="$(now_us)"
    for name in "${chosen[@]}"; do
        run_stage "$name"
        [[ $name == tools && ${#failures[@]} -gt 0 ]] && break
    done
    printf '\n%s%-10s %-8s%8s s\n' "$table" total '' "$(seconds_since "$started_us")"
    # A run without tests, such as `./test format`, has nothing to count.
    among "${testing:?}" "${chosen[@]}" && count_tests
    ((${#failures[@]} == 0))
    exit
}

run_stage() {
    local name="$1" status result color took_s from_us
    say "${bold}== $name${plain}"
    from_us="$(now_us)"
    # This is not the condition of an `if` or `||`, because there bash would ignore the `set -e` inside.
    (
        set -e
        "stage_$name"
    )
    status=$?
    took_s="$(seconds_since "$from_us")"
    case $status in
        0) result=ok color="$green" ;;
        "$NOTHING_TO_DO") result=skipped color="$yellow" ;;
        *) result=FAILED color="$red" failures+=("$name") ;;
    esac
    say "${color}-- $name: $result${plain} after $took_s s"
    table+="$(printf '%-10s %s%-8s%s%8s s' "$name" "$color" "$result" "$plain" "$took_s")"$'\n'
}

usage() {
    local message="Usage: ./$program [STAGE…]    The stages, in their order: ${stages[*]}"
    if [[ $1 == -h || $1 == --help ]]; then
        say "$message"
        exit 0
    fi
    say "There is no stage \"$1\"." "$message" >&2
    exit 2
}

# among WORD LIST…: whether WORD is one of the words after it.
among() {
    local wanted="$1" word
    shift
    for word; do [[ $word == "$wanted" ]] && return 0; done
    return 1
}

# Microseconds since the epoch. Before bash 5 the precision is a second.
now_us() {
    local now="${EPOCHREALTIME:-$(date +%s).000000}"
    say "${now//[!0-9]/}"
}

seconds_since() {
    local took_us="$(($(now_us) - $1))"
    printf '%d.%d' "$((took_us / 1000000))" "$((took_us / 100000 % 10))"
}

# ---- Tests ----

# counted COMMAND…: runs a `cargo test` whose results are counted. The output of passing tests goes only to the log, except
# for lines that say that a test was skipped.
counted() {
    "$@" 2>&1 | tee -a "$log" |
        sed -u -E '/^successes:$/,/^(failures:|test result: )/ { /^(failures:|test result: )|skipped: /!d; }'
}

# Prints what failed. The last line is for other programs: `N passed, N failed`, and `, N skipped` if there are any.
count_tests() {
    local passed failed skipped
    read -r passed failed skipped < <(sum_results)
    # A test program that crashes or does not build prints no result. It counts as one failure.
    among "$testing" "${failures[@]}" && ((failed == 0)) && failed=1
    if ((passed + failed == 0)); then
        say 'No test ran.'
        ((${#failures[@]})) || failures=("$testing")
    fi
    ((${#failures[@]})) && say "${red}Failed: ${failures[*]}${plain}. The tests' whole output is in $log."
    if ((skipped)); then
        say "$passed passed, $failed failed, $skipped skipped"
    else
        say "$passed passed, $failed failed"
    fi
}

# A test that lacks something it needs prints `skipped: …` and returns. Cargo counts it as passed; here it counts as skipped,
# like tests that are marked as ignored.
sum_results() {
    sed 's/\x1b\[[0-9;]*m//g' "$log" | awk '
        /^test result: (ok|FAILED)\. / { passed += $4; failed += $6; ignored += $8 }
        /(^|\.\.\. )skipped: / { skipped++ }
        END { print passed - skipped, failed + 0, ignored + skipped }'
}
