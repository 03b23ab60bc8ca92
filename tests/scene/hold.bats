#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hold.bats - a run that is paused for longer than any of its limits, whose processes die and are exchanged meanwhile.
bats_require_minimum_version 1.5.0
load bounds.bash
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    narrow_model "$M" 3
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

job() { # OUT MORE...
    local out=$1
    shift
    exec ptq run gptq --model "$M" --data "$M/calib.jsonl" --out "$out" --tokens 1024 --length 128 --chunk-tokens 128 --group 64 --seed 1 --workers forward=2 "$@"
}

state() { # FILTER: what ptq ctl says of the run, through jq
    ptq ctl --out paused --json status | jq -re "$1"
}

sites() {
    cat paused/.ptqflow/journal.jsonl 2>/dev/null | grep -c '"record": *"site"' || true
}

some_sites() {
    [ "$(sites)" -ge "$1" ]
}

forward_pid() {
    state '[.processes[] | select(.stage == "forward" and .state != "ended") | .pid] | max'
}

all_rest() {
    state '[.processes[] | select((.stage == "forward" or .stage == "solve") and .state != "ended")] | length == 3 and all(.status.paused)' >/dev/null
}

new_rests() { # PID: of the one that is gone
    [ "$(forward_pid)" != "$1" ] && all_rest
}

paused_for() { # SECONDS
    state ".paused_s > $1" >/dev/null
}

same_bytes() {
    local dir
    for dir in alone paused; do
        (cd $dir && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum) >$dir.sums
    done
    diff alone.sums paused.sums
}

@test "paused: nothing is begun or given up, who takes a lost one's place rests too, solvers are exchanged; then the same bytes" {
    (job alone --quiet)
    job paused --stall 2 >log 2>&1 3>&- &
    run_pid=$!
    until_true some_sites 2
    [ "$(ptq ctl --out paused pause)" = "paused: 3 processes rest behind what is in hand; ptq ctl resume" ]
    until_true all_rest
    lost=$(forward_pid)
    kill -KILL "$lost"
    until_true new_rests "$lost"
    ptq ctl --out paused swap solve "ptq-solve --solver gptq"
    until_true all_rest
    n=$(sites)
    [ "$n" -lt 12 ]
    until_true paused_for 2.5
    [ "$(sites)" = "$n" ]
    ptq ctl --out paused status | grep -q ', paused since [0-9][0-9]:'
    ptq ctl --out paused pause | grep -q 'it has been paused for [0-9]* s'
    ptq ctl --out paused resume | grep -q 'goes on after a pause of [0-9]* s'
    state '.paused_s == 0 and .seconds > 0' >/dev/null
    wait_code $run_pid 0
    run ! grep 'no progress' log
    same_bytes
}

@test "a paused run that is stopped ends" {
    job paused --verbose >log 2>&1 3>&- &
    run_pid=$!
    until_true some_sites 1
    ptq ctl --out paused pause
    until_true all_rest
    ptq ctl --out paused stop
    wait_code $run_pid 111
}
