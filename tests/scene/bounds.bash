# SPDX-License-Identifier: Apache-2.0
# bounds - every wait of a scene ends: a test that takes longer than BATS_TEST_TIMEOUT seconds fails, and so does what until_true
# waits for. Loaded by the scenes whose commands would wait for ever when something is broken.
export BATS_TEST_TIMEOUT=${BATS_TEST_TIMEOUT:-60}

. "${BASH_SOURCE[0]%/*}/idle.bash"

until_true() { # COMMAND...: until it succeeds, at most 20 s in which the machine is not busy
    local - deadline idle
    set +T # bats notes where each command stands: not while one waits
    idle && deadline=$((idle + 20000))
    until "$@"; do
        idle
        [ $idle -lt $deadline ] || { echo "20 s went by, and still not: $*" >&2; return 1; }
        sleep 0.02
    done
}

wait_code() { # PID STATUS: the process ends within 20 s, with this status
    local code=0
    until_true ended "$1" || { kill -KILL "$1"; return 1; }
    wait "$1" || code=$?
    [ "$code" = "$2" ] || { echo "process $1 ended with $code, not $2" >&2; return 1; }
}

ended() { # PID
    case $(cut -d ' ' -f 3 "/proc/$1/stat" 2>/dev/null || echo Z) in Z | X) ;; *) return 1 ;; esac
}
