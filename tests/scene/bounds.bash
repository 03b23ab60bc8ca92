# SPDX-License-Identifier: Apache-2.0
# bounds - every wait of a scene ends: a test that takes longer than BATS_TEST_TIMEOUT seconds fails, and so does what until_true
# waits for. Loaded by the scenes whose commands would wait for ever when something is broken.
export BATS_TEST_TIMEOUT=${BATS_TEST_TIMEOUT:-120} # hosts.bats has one that takes half of it on an idle machine

. "${BASH_SOURCE[0]%/*}/idle.bash"
. "${BASH_SOURCE[0]%/*}/left.bash"

until_true() { # COMMAND...: until it succeeds, at most 20 s in which the machine is not busy
    local - deadline idle pause=10
    set +T # bats notes where each command stands: not while one waits
    idle && deadline=$((idle + 20000))
    until "$@"; do
        idle
        [ $idle -lt $deadline ] || { echo "20 s went by, and still not: $*" >&2; return 1; }
        nap 0.0$pause
        [ $pause -ge 40 ] || pause=$((pause + 5))
    done
}

wait_code() { # PID STATUS: the process ends within 20 s, with this status
    local code=0
    until_true ended "$1" || { kill -KILL "$1"; return 1; }
    wait "$1" || code=$?
    [ "$code" = "$2" ] || { echo "process $1 ended with $code, not $2" >&2; return 1; }
}

ended() { # PID
    local stat=
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    [[ ${stat##*) } == [ZX]* ]]
}
