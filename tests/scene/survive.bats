#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# survive.bats - kill -9 of any process at any phase: the run begins again by itself and makes the bytes of one that lost nobody; what would fail again ends it.
bats_require_minimum_version 1.5.0
load bounds.bash
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    cut_model "$M" 3
    cd "$BATS_FILE_TMPDIR"
    job gptq whole --quiet
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    whole=$BATS_FILE_TMPDIR/whole
}

job() { # RECIPE OUT MORE...
    local recipe=$1 out=$2
    shift 2
    ptq run "$recipe" --model "$M" --data "$M/calib.jsonl" --out "$out" --tokens 512 --length 128 --chunk-tokens 128 --group 64 "$@"
}

start() { # RECIPE OUT MORE...: each solution takes a while, so that there is something to lose
    (exec bash -c "$(declare -f job); job \"\$@\"" bash "$@" --solve.fault delay:200) >log 2>&1 3>&- &
    run=$!
}

finish() { # CODE
    local code=0
    wait "$run" || code=$? # the time of a test is bounded
    [ "$code" = "$1" ] || { echo "exit code $code"; cat log; return 1; }
}

sums() { # DIR: of everything but the folder of what varies
    (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
}

pids_in() { # STAGE STATUS
    jq -r --arg stage "$1" '.processes[] | select(.stage == $stage and .state != "ended") | .pid' <<<"$2"
}

pids() { # STAGE OUT: of the processes that are there
    pids_in "$1" "$(ptq ctl --out "$2" --json status)"
}

await() { # OUT N: the N-th site is there
    local part
    printf -v part '%05d.ptq' $(($2 - 1))
    until_true test -e "$1/.ptqflow/parts/$part"
}

kill_at() { # OUT N STAGE...: one process of each stage
    local stage status lost=()
    await "$1" "$2"
    status=$(ptq ctl --out "$1" --json status)
    for stage in "${@:3}"; do
        lost+=("$(pids_in "$stage" "$status" | head -n 1)")
    done
    kill -KILL "${lost[@]}"
}

program() { # NAME LINE...: a script in place of one of the programs, $real, from here on
    local real
    real=$(dirname "$(command -v ptq)")
    if [ ! -e bin ]; then
        mkdir bin
        ln -s "$ROOT/pipelines" .
        ln -s "$real"/ptq-* bin
        cp "$real/ptq" bin
        PATH=$PWD/bin:$PATH
    else
        real=$(dirname "$(readlink bin/ptq-sample)")
    fi
    rm "bin/$1"
    printf '%s\n' '#!/bin/sh' "real=$real/$1" "${@:2}" >"bin/$1"
    chmod +x "bin/$1"
}

begun() { # how often it began again
    grep -c 'the stages begin again behind site' log || true
}

each_site_once() { # OUT
    jq -r 'select(.record == "site") | .order' "$1/.ptqflow/journal.jsonl" | sort -n | diff - <(seq 0 11)
}

replaced() { # how many took the place of one that was lost
    grep -c '^ptq: warning: .*takes its place behind site' log || true
}

@test "a forward worker that is lost is replaced alone, its successor too, the last one from kept states" {
    start gptq out --workers forward=2 --save-state --forward.verbose
    await out 1
    others=$(pids reduce out; pids solve out; pids write out)
    lost=$(pids forward out | head -n 1)
    other=$(pids forward out | tail -n 1)
    kill -KILL "$lost"
    until_true grep -q "warning: forward.1 was ended by signal 9 (Killed); forward.3 takes its place behind site [0-9]* of 12, with lanes \(0,2\|1,3\) (time 1 of 3)" log
    await out 5
    kill -KILL "$(pids forward out | grep -vx "$other")"
    until_true grep -q "warning: forward.3 was ended by signal 9 (Killed); forward.4 takes its place" log
    [ "$(pids reduce out; pids solve out; pids write out)" = "$others" ]
    pids forward out | grep -qx "$other"
    finish 0
    [ "$(begun) $(replaced)" = "0 2" ]
    grep -q "^forward.4: 2 of 2 chunks go on from kept hidden states, the first at block [12]" log
    grep -q "^forward.*link out .*/acts: .* raw, [1-9][0-9]* in memory" log # which both read when one was killed
    each_site_once out
    diff <(sums "$whole") <(sums out)
}

@test "reducer, writer, and several at once, each at another phase: replaced alone, the same bytes" {
    start gptq out --workers forward=2
    await out 1
    others=$(pids forward out; pids solve out)
    kill_at out 1 reduce
    until_true grep -q "warning: reduce was ended by signal 9 (Killed); reduce.2 takes its place behind site [0-9]* of 12 (time 1 of 3)" log
    kill -STOP "$(pids solve out)" # the run is not over before the rest is lost
    kill_at out 1 write
    until_true grep -q "warning: write was ended by signal 9 (Killed); write.2 takes its place" log
    [ "$(pids forward out; pids solve out)" = "$others" ]
    kill_at out 1 solve forward write reduce
    until_true grep -q "write.3 takes its place" log
    until_true eval '[ -e out/.ptqflow/assemble ] || [ -e out/config.json ]'
    kill -KILL "$(pids write out)" || [ -e out/config.json ]
    finish 0
    [ "$(replaced)" -ge 5 ]
    [ "$(begun)" -le 1 ] # at the end of all there is nobody left who could tell a writer anything
    each_site_once out
    diff <(sums "$whole") <(sums out)
}

@test "the sampler is replaced alone: before it has dealt a chunk, over an earlier output, and in the middle" {
    cp -r "$whole" out
    mkfifo go
    program ptq-forward '[ -e killed ] || read -r word <go' 'exec "$real" "$@"'
    start gptq out --overwrite --workers forward=1
    until_true test -e out/.ptqflow/control
    stage=$(pids sample out)
    kill -KILL "$stage"
    until_true grep -q "warning: sample was ended by signal 9 (Killed); sample.2 takes its place behind site 0 of 12" log
    echo >go
    finish 0
    [ "$(begun) $(replaced)" = "0 1" ]
    [ "$(jq -r .recipe out/.ptqflow/job.json)" != null ] # the writer clears that of the earlier output
    each_site_once out
    diff <(sums "$whole") <(sums out)
    touch killed # from here on no worker waits
    start gptq middle --workers forward=2 --sample.fault "die:3,once:$PWD/once"
    finish 0
    [ "$(begun) $(replaced)" = "0 1" ]
    each_site_once middle
    diff <(sums "$whole") <(sums middle)
}

@test "one of several reducers, and who collects their problems: replaced with those around them, the same bytes" {
    start sharded out --workers forward=2,reduce=2
    await out 1
    others=$(pids sample out; pids forward out; pids solve out; pids write out)
    kill_at out 1 reduce
    until_true grep -q "warning: reduce.1 was ended by signal 9 (Killed); reduce.3 takes its place behind site [0-9]* of 12 (time 1 of 3)" log
    until_true grep -q "warning: gather has to go with it; gather.2 takes its place" log
    kill_at out 5 gather
    until_true grep -q "warning: gather.2 was ended by signal 9 (Killed); gather.3 takes its place" log
    [ "$(pids sample out; pids forward out; pids solve out; pids write out)" = "$others" ]
    finish 0
    [ "$(begun) $(replaced)" = "0 8" ]
    each_site_once out
    diff <(sums "$whole") <(sums out)
}

@test "solvers that were swapped and scaled are so again, and who asks is answered all along" {
    # a worker whose chunks come through another stage is not replaced alone
    sed 's|^sample:.*|sample: ptq-sample --out %dealt\nhand: ptq-cat --in @%dealt --out @%chunks --peers-out ${forward.count}|' "$ROOT/pipelines/gptq.pipe" >handed.pipe
    start ./handed.pipe out
    await out 3
    ptq ctl --out out swap solve "ptq-solve --solver rtn --fault delay:200" # as slow, so that the run lasts
    ptq ctl --out out scale solve 2
    kill_at out 6 forward
    until_true grep -q 'the stages begin again behind site' log
    [ "$(pids solve out | wc -l)" = 2 ]
    ptq ctl --out out --json status | jq -e '[.processes[] | select(.stage == "hand")] | length == 1' # the lost are forgotten
    stopped=$(pids solve out)
    kill -STOP $stopped # the run is not over before the rest is lost
    kill_at out 6 reduce
    until_true grep -q 'warning: reduce.2 was ended by .*; reduce.3 takes its place' log # which its neighbours know by the name of the first
    kill -CONT $stopped
    finish 0
    [ "$(begun)" = 1 ]
    [ "$(jq -r 'select(.record == "site" and .order > 8) | .solver' out/.ptqflow/journal.jsonl | sort -u)" = rtn ]
    each_site_once out
}

@test "what fails again is given up after so many times, what is wrong at once" {
    program ptq-reduce '[ ! -e out/.ptqflow/parts/00004.ptq ] || { echo "ptq-reduce: fatal: no luck" >&2; exit 111; }' 'exec "$real" "$@"'
    start gptq out --restarts 1
    kill_at out 5 reduce
    finish 111
    [ "$(begun) $(replaced)" = "0 1" ]
    grep -q "fatal: stage 'reduce.*' failed with exit code 111: no luck; begun again 1 time without a further site" log
    program ptq-reduce 'echo "ptq-reduce: fatal: bad luck" >&2' 'exit 100'
    start gptq out
    finish 100
    [ "$(begun)" = 0 ]
}

damage() { # FILE: a byte of a tensor
    printf x | dd of="out/.ptqflow/state/$1" bs=1 seek=5000 conv=notrunc status=none
}

@test "hidden states that were kept: it goes on inside a block, by other workers; damaged ones are not used" {
    one=(gptq out --save-state --restarts 0 --solve.fault "die:13,once:$PWD/once")
    run -111 job "${one[@]}" --workers forward=2 # with the rows of site 7 its solver was lost
    [ "$(jq -s 'map(select(.record == "site")) | length' out/.ptqflow/journal.jsonl)" = 6 ]
    cp -r out torn
    cp -r out lost
    one+=(--workers forward=1)
    job "${one[@]}" 2>log
    grep -q "ptq: going on with 'out' behind site 6 of 12, from the hidden states that were kept" log
    grep -q "forward: 4 of 4 chunks go on from kept hidden states, the first at block 1, mlp.up$" log
    [ ! -e out/.ptqflow/state ]
    diff <(sums "$whole") <(sums out)
    rm -r out
    mv torn out
    damage 00001.stop
    job "${one[@]}" 2>log
    grep -q "warning: a kept state is not used, its chunks go on from one before it or start from their tokens: out/.ptqflow/state/00001.stop: .* is damaged" log
    grep -q "forward: 4 of 4 chunks go on from kept hidden states, the first at block 1$" log
    diff <(sums "$whole") <(sums out)
    rm -r out
    mv lost out
    damage 00001.stop
    damage 00001.ptq
    job "${one[@]}" 2>log
    grep -q "forward: 3 of 4 chunks go on from kept hidden states, the first at block 0$" log
    diff <(sums "$whole") <(sums out)
}

written() { # OUT MORE...: the writer by itself, from $solutions
    local out=$1
    shift
    ptq-write --quiet --model "$tiny" "$@" "$out" <solutions.ptq
}

stopped() { # N OUT MORE...: as kill -9 at its N-th call that changes files
    local n=$1 code=0
    shift
    STOP_AT=$n LD_PRELOAD=$shim ASAN_OPTIONS=verify_asan_link_order=0 written "$@" 2>/dev/null || code=$?
    [ "$code" = 137 ]
}

gone_on() { # OUT: behind the sites that its journal has, to the bytes of out
    local from=0 journal=$1/.ptqflow/journal.jsonl
    [ ! -e "$journal" ] || from=$(jq -nR '[inputs | fromjson? | select(.record == "site") | .order] | unique | length' "$journal") # the last line may be cut
    if [ ! -e "$journal" ] || ! grep -q '"record": *"done"' "$journal"; then
        [ ! -e "$1/config.json" ] || [ "$from" = 16 ]
        written "$1" $([ "$from" = 0 ] || echo "--from-site $from") 2>log || { cat log; return 1; }
    fi
    diff <(sums out) <(sums "$1")
}

@test "the writer killed at any of its calls that change files, also when it goes on: the same bytes" {
    tiny=$ROOT/tests/golden/conformance/llama3
    shim=${PTQ_SHIMS:-$ROOT/build/shim}/stop_at.so
    [ -e "$shim" ] || skip "no $shim: make unit-tests builds it"
    awk 'BEGIN { for (i = 0; i < 4; i++) { printf "{\"input_ids\": ["; for (t = 0; t < 64; t++) printf "%s%d", t ? "," : "", (t * t * 7 + i * 31) % 300 + 3; print "]}" } }' >ids.jsonl
    ptq-sample --quiet --model "$tiny" --data ids.jsonl --tokens 256 --length 64 |
        ptq-forward --quiet --model "$tiny" --inputs full | ptq-reduce --quiet | ptq-solve --quiet --group 32 2>log >solutions.ptq
    STOP_COUNT=count LD_PRELOAD=$shim ASAN_OPTIONS=verify_asan_link_order=0 written out
    count=$(cat count)
    [ "$count" -ge 200 ]
    for n in 2 $(seq 41 71 "$count") $((count - 17)) $((count - 8)) $((count - 1)); do
        rm -rf half
        stopped "$n" half
        gone_on half || { echo "stopped at call $n of $count"; return 1; }
    done
    stopped 150 half2
    for n in 1 4 9; do
        rm -rf half
        cp -r half2 half
        stopped "$n" half --from-site 3
        gone_on half || { echo "going on stopped at call $n"; return 1; }
    done
}

@test "text from a pipe cannot be read again, and a record would miss what was committed: the run ends, and says so" {
    mkfifo text
    cat "$M/calib.jsonl" >text 3>&- &
    (exec ptq run gptq --model "$M" --data text --out out --tokens 512 --length 128 --chunk-tokens 128 --group 64 --solve.fault delay:200) >log 2>&1 3>&- &
    run=$!
    kill_at out 1 forward
    finish 111
    grep -q "fatal: stage 'forward.*' was ended by signal 9.*; it cannot begin again: --data is a pipe, which was read" log
    # what is finished can be had
    ptq write --quiet --from-parts --model "$M" out 2>log
    grep -Eq "write: warning: [0-9]+ of 12 sites have no finished part and stay at full precision" log
    grep -Eq "ended early: [0-9]+ of 12 sites" out/README.md
    ptq check --quiet out
    run -100 ptq write --quiet --from-parts --model "$M" out
    [[ $output == *"'out' holds no parts of a run"* ]]
    start gptq kept --record problems.ptq
    kill_at kept 1 reduce
    finish 111
    grep -q "it cannot begin again: --record would miss the [0-9]* sites that are committed" log
}
