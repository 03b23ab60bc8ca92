#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# crew.bats - a stage that no process serves any more, and a run whose checkpoint is complete although a stage ended badly.
bats_require_minimum_version 1.5.0
# bats file_tags=fire
load bounds
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    narrow_model "$M" 4
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    mkdir sockets
    export XDG_RUNTIME_DIR=$PWD/sockets
}

teardown() {
    end_left
    [ ! -e log ] || cat log
}

start() { # RECIPE MORE...: in the background, until it is at work
    ptq run "$@" --model "$M" --data "$M/calib.jsonl" --out out --tokens 1024 --length 128 --workers forward=1 \
        --forward.fault delay:100 >log 2>&1 3>&- & # not faster than what is done to it
    run_pid=$!
    until_true test -e out/.ptqflow/control
}

finish() { # STATUS
    wait_code "$run_pid" "$1" || { cat log; return 1; }
    [ -z "$(ls "$XDG_RUNTIME_DIR")" ]
}

mine() { # COMMAND: gptq.pipe with another program that solves
    sed "s#ptq-solve #$1 #" "$ROOT/pipelines/gptq.pipe" >mine.pipe
}

script() { # NAME, its lines on stdin
    { echo '#!/bin/sh'; cat; } >"$1"
    chmod +x "$1"
}

pid_of() { # NAME
    ptq ctl --out out --json status | jq -r --arg n "$1" '.processes[] | select(.name == $n) | .pid'
}

@test "a run whose only solver leaves by SIGTERM gets another" {
    start gptq
    kill -TERM "$(pid_of solve)"
    finish 0
    grep -q 'solve is gone: exit code 0; another is started in its place' log
}

@test "a swap to what never says hello has not joined, and a program that is not ours can" {
    script idle <<<'exec sleep 1000'
    script other <<<'exec ptq-solve "$@"'
    start gptq
    kill -STOP "$(pid_of forward)" # so that the run is still there
    run -111 ptq ctl --out out swap solve /bin/true
    [[ $output == *"did not join (exit code 0); the run goes on as before" ]]
    run -111 ptq ctl --out out --wait 1 swap solve ./idle
    [[ $output == *"did not join within 1 s: it has said hello at 0 of the 2 endpoints it was given"* ]]
    run -0 ptq ctl --out out swap solve ./other
    [[ $output == *"1 new of stage 'solve' joined"* ]]
    run -100 ptq ctl --out out --wait never swap solve ./other
    kill -CONT "$(pid_of forward)"
    finish 0
}

@test "replacements that die before they join: three, then the run says so" {
    script flaky <<'END'
[ ! -e used ] || exit 111
echo >used
exec ptq-solve "$@"
END
    mine ./flaky
    start mine.pipe
    kill -KILL "$(pid_of solve)"
    finish 111
    grep -q "fatal: stage 'solve' has no process left: solve.4 ended with exit code 111; 3 that were started" log
    rm -rf out
    mine /bin/true
    start mine.pipe
    finish 111
    grep -q "fatal: stage 'solve' has no process left: solve.4 ended with exit code 0; 3 that were started" log
}

@test "a stage that ends badly when all is with the writer is said, and no failure" {
    script ptq-reduce <<<"$(command -v ptq-reduce) \"\$@\"; exit 1"
    sed 's#ptq-reduce #./ptq-reduce #' "$ROOT/pipelines/gptq.pipe" >mine.pipe
    start mine.pipe
    finish 0
    grep -q 'reduce ended badly, but the writer has all of its work' log
    [ -e out/model.safetensors ]
    # what goes out by tcp goes to another stage as well
    proxy=$(dirname "${PTQ_SHIMS:-$ROOT/build/shim}")/chaos/proxy
    [ -x "$proxy" ] || skip "no $proxy: make unit-tests builds it"
    sed -i "s#%problems#tcp://127.0.0.1:$("$proxy" --ports 1)#" mine.pipe
    rm -rf out
    start mine.pipe
    finish 0
    grep -q 'reduce ended badly, but the writer has all of its work' log
}

@test "a worker's solver that never meets its problems does not keep a run whose checkpoint is published" {
    mkdir host
    for program in "${PTQ_BIN:-$ROOT/bin}"/*; do
        ln -s "$program" host
    done
    rm host/ptq host/ptq-solve
    cp "${PTQ_BIN:-$ROOT/bin}/ptq" host # processes are looked for beside it
    cat >host/ptq-solve <<EOF
#!/bin/bash
args=("\$@")
for i in "\${!args[@]}"; do
    [ "\${args[i]}" != --in ] || args[i + 1]=tcp://127.0.0.1:9
done
exec "${PTQ_BIN:-$ROOT/bin}/ptq-solve" "\${args[@]}"
EOF
    chmod +x host/ptq-solve
    ptq run gptq --model "$M" --data "$M/calib.jsonl" --out out --tokens 1024 --length 128 --workers forward=1 --forward.fault delay:100 \
        --listen 'tcp://127.0.0.1:*' --hosts 1 >log 2>&1 3>&- &
    run_pid=$!
    until_true grep -q 'THIS-HOST:[0-9]' log
    port=$(grep -o 'THIS-HOST:[0-9]*' log)
    host/ptq worker "tcp://127.0.0.1:${port#*:}" --forward 0 2>worker.txt 3>&- &
    worker=$!
    finish 0
    wait_code "$worker" 0 || { cat worker.txt; false; }
    grep -q 'for 127.0.0.1:9' log # so it was there
}

@test "a stage that somebody stops before that ends the run as a failure of the system, where it may not begin again" {
    start gptq --restarts 0
    until_true test -e out/.ptqflow/parts/00003.ptq
    kill -TERM "$(pid_of reduce)"
    finish 111
    grep -q "fatal: stage 'reduce' failed with exit code 111: asked to stop before the end of the stream" log
    [ ! -e out/model.safetensors ]
}

@test "a command without a program, a folder as program and a solver without its second stream are refused at once" {
    printf 'option opt = # o\na: ${opt}\n' >a.pipe
    printf 'flag f = # f\na: --x ${f}\n' >b.pipe
    printf 'option opt = # o\na: --x ${opt}\n' >c.pipe
    for r in a b c; do
        run -100 ptq run $r.pipe
        [[ $output == *"stage 'a': "* ]]
    done
    mkdir ptq-folder
    printf 'a: ./ptq-folder\n' >d.pipe
    run -100 ptq run d.pipe
    [[ $output == *"cannot execute './ptq-folder': a folder" ]]
    run -100 ptq run gptq --model "$M" --data "$M/calib.jsonl" --out out --solver gptaq
    [[ $output == *"--solver gptaq, or an --override, needs the full-precision inputs"*"use 'ptq run gptaq', or add --dual" ]]
    run -0 timeout 50 ptq run gptq --model "$M" --data "$M/calib.jsonl" --out out --solver gptaq --dual --tokens 256 --length 128
}
