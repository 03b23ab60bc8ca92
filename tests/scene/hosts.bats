#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hosts.bats - a run and its workers: whoever joins, leaves, is killed or may not come, the bytes are those of the run alone, and what is lost is leased again alone.
# Head and workers are two network namespaces where these may be made, else one host.
bats_require_minimum_version 1.5.0
load bounds.bash
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    cd "$BATS_FILE_TMPDIR"
    export M=$PWD/model
    narrow_model "$M" 6
    ptq keys --quiet keys --worker a --worker b
    export KEYS=$PWD/keys HEAD_AT=127.0.0.1 WORKER_AT=127.0.0.1 NET=
    two_networks 2>networks.log || { one_network; echo "# one host: $(tail -n 1 networks.log)" >&3; }
    job alone --quiet
}

teardown_file() {
    one_network
}

two_networks() {
    export NET=ptq$$
    ip netns add $NET-h && ip netns add $NET-w && ip link add name veth-h netns $NET-h type veth peer name veth-w netns $NET-w &&
        ip -n $NET-h addr add 10.77.0.1/24 dev veth-h && ip -n $NET-w addr add 10.77.0.2/24 dev veth-w && ip -n $NET-h link set veth-h up &&
        ip -n $NET-w link set veth-w up && ip -n $NET-h link set lo up && ip -n $NET-w link set lo up || return 1
    export HEAD_AT=10.77.0.1 WORKER_AT=10.77.0.2
}

one_network() {
    [ -z "$NET" ] || for end in h w; do ip netns del $NET-$end 2>/dev/null || true; done
    export HEAD_AT=127.0.0.1 WORKER_AT=127.0.0.1 NET=
}

on() { # h|w COMMAND...: as the head's host or the worker's
    local end=$1
    shift
    if [ -n "$NET" ]; then exec ip netns exec $NET-$end "$@"; else exec "$@"; fi
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    alone=$BATS_FILE_TMPDIR/alone
}

job() { # OUT MORE...
    local out=$1
    shift
    ptq run "${RECIPE:-gptq}" --model "$M" --data "$M/calib.jsonl" --out "$out" --tokens 512 --length 128 --chunk-tokens 128 --group 64 "$@"
}

start_head() { # MORE...: a run in out that listens; $at is its address for workers
    (on h bash -c "$(declare -f job); job out --listen 'tcp://$HEAD_AT:*' \"\$@\"" bash "$@") >head.log 2>&1 3>&- &
    head=$!
    until_true grep -q 'workers join by' head.log
    at=tcp://$HEAD_AT:$(sed -n 's/.*workers join by: ptq worker .*:\([0-9]*\)\( --keys DIR .*\)*$/\1/p' head.log)
}

start_worker() { # MORE...
    (on w ptq worker "$at" "$@") >worker.log 2>&1 3>&- &
    worker=$!
}

start_second() { # MORE...
    (on w ptq worker "$at" "$@") >second.log 2>&1 3>&- &
    second=$!
}

held() { # NAME COMMAND...: while the run rests, the worker joins
    local name=$1
    shift
    ptq ctl --out out pause
    "$@"
    until_true grep -q "worker '$name' has joined" head.log
    ptq ctl --out out resume
}

finish() { # PID CODE LOG
    local code=0
    wait "$1" || code=$? # the time of a test is bounded
    [ "$code" = "$2" ] || { echo "exit code $code"; cat "$3"; return 1; }
}

sums() { # DIR: of everything but the folder of what varies
    (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
}

counted() { # N TEXT: so many lines of the head's log say so
    [ "$(grep -c "$2" head.log)" = "$1" ] || { cat head.log; return 1; }
}

same_bytes() {
    diff <(sums "$alone") <(sums out)
}

served() { # LOG: a solver of the worker took problems from the head
    grep -qE 'link in tcp://[^ ]*: [1-9][0-9]* message' "$1"
}

await() { # N: the N-th site is there
    local part
    printf -v part '%05d.ptq' $(($1 - 1))
    until_true test -e "out/.ptqflow/parts/$part"
}

@test "keys that could not be written whole are not there, and can be made again" {
    run ! bash -c "trap '' XFSZ; ulimit -f 0; exec ptq keys full"
    [ ! -e full/head/head.key ]
    ptq keys --quiet full --worker a
    run ! bash -c "trap '' XFSZ; ulimit -f 0; exec ptq keys full --worker b"
    [ ! -e full/b ]
    ptq keys --quiet full --worker b
    grep -q '^b ' full/head/allowed
}

@test "a head without keys opens nothing beyond loopback; a worker says what it reached" {
    run -100 job out --listen 'tcp://0.0.0.0:*'
    [[ $output == *"--keys DIR"* ]]
    run -100 job out --listen nowhere
    [[ $output == *"say tcp://ADDRESS:PORT"* ]]
    run -100 job out --hosts 2
    [[ $output == *"--hosts goes with --listen"* ]]
    run -100 ptq worker ipc:///tmp/x
    [[ $output == *"say tcp://HEAD:PORT"* ]]
    run -100 ptq worker tcp://127.0.0.1:70000
    [[ $output == *"a port is a number up to 65535"* ]]
    run -100 ptq worker tcp://127.0.0.1:9 --name 'a b'
    [[ $output == *"--name 'a b': a name is at most 63 letters"* ]]
    run -111 ptq worker tcp://127.0.0.1:9 --wait 2
    [ "$(grep -c 'warning: nobody answers at tcp://127.0.0.1:9: waiting, --wait is 2 s' <<<"$output")" = 1 ]
    [ ! -e out ]
}

of_head() { # STAGE
    ptq ctl --out out --json status | jq -r --arg stage "$1" '.processes[] | select(.stage == $stage and .state != "ended") | .pid'
}

@test "lost one after another: a worker's solver, forward process, reducer, the head's forward process, writer, the worker, the next: lanes are leased again alone, the same bytes" {
    mkdir elsewhere
    cp -r "$M" elsewhere/model
    start_head --keys "$KEYS/head" --hosts 1 --workers forward=1 --write.fault delay:300
    start_worker --keys "$KEYS/a" --forward 2 --threads $((2 * $(nproc))) --model "$PWD/elsewhere/model" --name first
    await 2
    grep -q 'takes part with 2 forward processes' head.log
    grep -q 'forward: 1 chunk, 128 tokens' worker.log
    until_true pkill -KILL -P $worker -f ptq-solve
    until_true pkill -KILL -P $worker -f w1.forward.1/0
    until_true grep -q "worker 'first' has lost a process: forward.*Killed; worker 'first' takes its lanes 1,2 behind site" head.log
    await 5
    until_true pkill -KILL -P $worker -f w1.reduce/1
    until_true grep -q "worker 'first' has lost a process: reduce.*Killed; worker 'first' takes its lanes" head.log
    await 8
    kill -KILL "$(of_head forward)"
    until_true grep -q 'forward was ended by signal 9 (Killed); forward.2 takes its place behind site .*, with lanes 0,3' head.log
    await 10
    kill -KILL "$(of_head write)"
    until_true grep -q 'write.2 takes its place' head.log
    await 14 # from here on it does not gain to begin again with more
    (on w ptq worker "$at" --keys "$KEYS/b" --forward 1 --solve 0 --name second) >second.log 2>&1 3>&- &
    second=$!
    until_true grep -q "'second' has joined" head.log
    kill -KILL $worker
    wait $worker || true
    until_true grep -q "worker 'first' has lost its connection; worker 'second' takes its lanes 1,2 behind site" head.log
    await 16
    kill -TERM $second
    finish $second 0 second.log
    until_true grep -q "worker 'second' has left: it was asked to leave; this host takes its lanes 1-2 behind site" head.log
    await 18
    kill -KILL "$(of_head forward | tail -n 1)" # who stands in for them
    until_true grep -q 'takes its place behind site .*, with lanes 1-2' head.log
    finish $head 0 head.log
    run -1 grep 'begin again' head.log
    same_bytes
    # and for whom the workers' processes waited stands beside the head's own
    jq -e '[.processes[] | select(.name | test("^[^ ]+ forward[.][0-9]")) | .waited | map(.seconds) | add > 0] | any' out/.ptqflow/waits.json
    jq -e '[.processes[] | select(.stage == "forward" and (.name | contains(" ") | not))] | length > 0' out/.ptqflow/waits.json
}

@test "the reducer to which workers send is lost: all begins again with them; a worker that was cut off is refused when it comes back: the same bytes" {
    start_head --keys "$KEYS/head" --hosts 1 --workers forward=1 --write.fault delay:300
    start_worker --keys "$KEYS/a" --forward 1 --solve 0
    await 2
    kill -KILL "$(of_head reduce)"
    until_true grep -q "reduce.*was ended by signal 9.*; the stages begin again behind site" head.log
    until_true counted 2 'takes part with 1 forward'
    await 6
    lost=$(pgrep -P $worker -f ptq-reduce)
    kill -STOP "$lost"
    until_true pkill -KILL -P $worker -f ptq-forward # its lanes are leased again: the next reducer has the place of this one
    until_true counted 1 'takes its lanes'
    until_true eval '[ "$(pgrep -P $worker -fc ptq-reduce)" = 2 ]'
    await 9
    kill -CONT "$lost"
    finish $head 0 head.log
    finish $worker 0 worker.log
    counted 1 'begin again'
    same_bytes
}

@test "TLQ: a worker weighs the tokens of its own lanes; lost one after another: who weighs them, its forward process, the worker: the bytes of one process each" {
    export RECIPE=tlq
    job one --quiet --workers importance=1,forward=1
    start_head --keys "$KEYS/head" --hosts 1 --workers importance=2,forward=1 --write.fault delay:200 --sample.fault delay:500
    start_worker --keys "$KEYS/a" --forward 2 --solve 1 --name first
    until_true pkill -KILL -P $worker -f w1.weigh.1/0 # it has no lanes yet
    until_true grep -q "worker 'first' has lost a process: importance.*Killed; the stages begin again behind site 0" head.log
    await 2
    until_true pkill -KILL -P $worker -f w1.forward.1/1
    until_true grep -q "worker 'first' has lost a process: forward.*Killed; worker 'first' takes its lanes" head.log
    await 4
    [ "$(grep -c 'importance.*: 1 chunk' worker.log)" -ge 4 ] # both, twice
    kill -KILL $worker
    wait $worker || true
    until_true grep -q "worker 'first' has lost its connection; this host takes its lanes" head.log
    finish $head 0 head.log
    counted 1 'begin again'
    alone=one same_bytes
    [ "$(sums one)" != "$(sums "$BATS_FILE_TMPDIR/alone")" ]
}

@test "a worker that joins a run on its way takes lanes at once, one that joins near its end does not: the same bytes" {
    start_head --keys "$KEYS/head" --workers forward=1 --write.fault delay:250 # so that half of it is not over 2 s after it goes on
    await 1
    held early start_worker --keys "$KEYS/a" --forward 1 --solve 0 --name early
    until_true grep -q "worker 'early' has come: 2 in place of 4 lanes for each forward process; the stages begin again behind site" head.log
    await 21 # of 24: less than a lane of work for each, whoever has how many
    held late start_second --keys "$KEYS/b" --forward 2 --solve 0 --name late
    finish $head 0 head.log
    finish $worker 0 worker.log
    finish $second 0 second.log
    grep -Eq 'forward: [1-3] chunks?, ' worker.log # two, where both are as fast
    run ! grep -q 'forward' second.log
    counted 1 'begin again'
    same_bytes
}

@test "a worker without the model gets a copy of it, and goes on with one that was cut short when its disk was full: the same bytes" {
    mkdir far
    cp -r "$M" model
    M=model start_head --keys "$KEYS/head" --hosts 1 --workers forward=1
    code=0
    (cd far && ulimit -f $(($(stat -c %s ../model/model.safetensors) * 2 / 5 / 1024)) && on w timeout 20 ptq worker "$at" --keys "$KEYS/a" --name small --cache "$PWD/cache") >worker.log 2>&1 3>&- || code=$?
    [ $code = 111 ]
    grep -q "fatal: the model: the copy of the model in '.*[.]part', [0-9.]* [KM]iB of [0-9.]* [KM]iB: cannot write .*: File too large" worker.log
    until_true grep -q "worker 'small' has left: the model: the copy of the model in" head.log
    [ ! -e out/.ptqflow/parts ]
    (cd far && on w ptq worker "$at" --keys "$KEYS/b" --forward 1 --cache "$PWD/cache") >second.log 2>&1 3>&- &
    second=$!
    finish $head 0 head.log
    finish $second 0 second.log
    grep -q 'the copy of the model is whole, [0-9.]* [KM]iB of [0-9.]* [KM]iB came now: ' second.log
    grep -q 'forward: [1-9] chunk' second.log
    [ "$(ls far/cache | wc -l)" = 1 ]
    diff -r far/cache/* model | grep -v '^Only in model: ' && return 1
    same_bytes
}

@test "a run whose worker is awaited says so; paused, all of it rests; drained, the worker leaves: the same bytes" {
    job out --verbose --listen "tcp://127.0.0.1:*" --hosts 1 --workers forward=1 --write.fault delay:200 >head.log 2>&1 3>&- &
    head=$!
    until_true grep -q 'workers join by' head.log
    at=tcp://127.0.0.1:$(sed -n 's/.*workers join by: ptq worker .*:\([0-9]*\)$/\1/p' head.log)
    here=$(sed -n 's/.*ptq ctl --run \([^ ]*\) .*/\1/p' head.log)
    ptq ctl --run "$here" --json status | jq -e 'all(.processes[]; .state == "starting")'
    run -100 ptq ctl --run "$here" scale solve 2
    [[ $output == *"waits for its workers"* ]]
    ptq worker "$at" --forward 1 --solve 1 >worker.log 2>&1 3>&- &
    worker=$!
    await 2
    ptq ctl --out out pause
    until_true grep -q 'forward.* rests' worker.log
    until_true grep -q 'solve.* rests' worker.log
    run -100 ptq ctl --out out drain nobody
    [[ $output == *"no worker 'nobody' takes part; there are: "* ]]
    name=$(ptq ctl --out out --json status | jq -r '.hosts[0].name')
    ptq worker "$at" --forward 0 --name "$name" >second.log 2>&1 3>&- & # two of one name are told apart
    second=$!
    until_true grep -q "warning: there is a worker '$name' already: this one is called '$name.2'" head.log
    ptq ctl --out out resume
    until_true grep -q 'forward.* goes on' worker.log
    [ "$(ptq ctl --out out drain "$name.2")" = "worker '$name.2' has left" ]
    finish $second 0 second.log
    [ "$(ptq ctl --out out drain "$name")" = "worker '$name' has left" ]
    finish $worker 0 worker.log
    grep -q 'leaving, as the head asks' worker.log
    finish $head 0 head.log
    same_bytes
}

@test "who has no key, another key, other kernels or another model is named, and the run goes on: the same bytes" {
    cp -r "$M" model
    chmod -R u+w model
    jq '.rms_norm_eps = 2e-6' "$M/config.json" >model/config.json
    start_head --keys "$KEYS/head" --hosts 1 --workers forward=1 --verbose
    grep -q 'workers join by: ptq worker tcp://THIS-HOST:[0-9]* --keys DIR' head.log
    run -100 on w timeout 20 ptq worker "$at" --keys "$KEYS/none"
    [[ $output == *"none/worker.key"* ]]
    ptq keys --quiet other --worker c
    mv other/c/head.pub other/
    cp "$KEYS/a/head.pub" other/c/
    run -100 on w timeout 20 ptq worker "$at" --keys other/c
    [[ $output == *"our key is not among those allowed there"* ]]
    until_true grep -q "refused $WORKER_AT: its key .* is not in '.*keys/head/allowed'" head.log
    OPENBLAS_CORETYPE=Prescott run -100 on w timeout 20 ptq worker "$at" --keys "$KEYS/a"
    [[ $output == *"the head refuses this worker: "*"computes with kernels Prescott"* ]]
    grep -q 'refused a worker: .* computes with kernels Prescott' head.log
    run -100 on w timeout 20 ptq worker "$at" --wait 3 # without a key
    [[ $output == *"fatal: $at refuses this worker: "*"those with a key"* ]]
    mv other/head.pub other/c/ # a head of that name has another key
    run -100 on w timeout 20 ptq worker "$at" --keys other/c --wait 3
    echo "$output"
    [ "$(grep -c 'warning: .* refuses this worker: ' <<<"$output")" = 2 ]
    [[ $output == *"is our head.pub its own?: so far "*" times; trying on, --wait is 3 s"* ]]
    [[ $output == *"fatal: $at refuses this worker: it broke off the handshake"*" times)" ]]
    (on w bash -c 'printf "GET / HTTP/1.0\r\n\r\n" >"/dev/tcp/$0"' "$HEAD_AT/${at##*:}") || true # it may be cut off while it speaks
    start_worker --keys "$KEYS/b" --forward 1 --solve 2 --model "$PWD/model"
    finish $head 0 head.log
    finish $worker 0 worker.log
    grep -q "worker '.*' cannot take part in the forward pass: forward.*: .* is of the model .*, but '$PWD/model" head.log
    grep -q 'the run is complete' worker.log
    served worker.log
    same_bytes
}

@test "a worker of other kernels takes part in a run that is told --kernels any, and what comes out says so" {
    start_head --keys "$KEYS/head" --hosts 1 --workers forward=1 --kernels any
    OPENBLAS_CORETYPE=Prescott start_worker --keys "$KEYS/a" --forward 1 --solve 0 --threads 8 --name other
    await 2
    until_true pkill -KILL -P $worker -f ptq-forward # the head's own kernels would make other sums: the same worker again
    until_true grep -q "worker 'other' takes its lanes" head.log
    finish $head 0 head.log
    finish $worker 0 worker.log
    grep -q "warning: worker 'other' computes with kernels Prescott.*: the result is not reproducible to the last bit" head.log
    grep -q 'Not reproducible to the last bit' out/README.md
    jq -se '.[0].record == "start" and .[0].kernels == "any"' out/.ptqflow/journal.jsonl
    ptq inspect out | grep -q 'kernels.*any'
    run -1 grep 'reproducible' "$alone/README.md"
}

@test "a run told a file has no worker at that stage and says so first; who is faster gets more lanes; by its name a worker is known and drained: the same bytes" {
    echo 'nosuch*: bits=8' >lines.txt
    run -100 job out --overrides lines.txt
    echo 'mlp.down: bits=4' >lines.txt
    start_head --keys "$KEYS/head" --hosts 1 --workers forward=1 --overrides lines.txt --fault slow:1
    start_worker --keys "$KEYS/a" --forward 1 --solve 1 --name left.1 --threads $(($(nproc) * 5 / 2))
    finish $head 0 head.log
    finish $worker 0 worker.log
    counted 1 "warning: workers do not solve for stage 'solve': --overrides names what is on this host"
    counted 1 "worker 'left.1' takes part with 1 forward process"
    grep -q 'forward: 3 chunks, 384 tokens' worker.log
    grep -q 'forward: 1 chunk, 128 tokens' head.log
    run -1 grep -E 'begin again|has left' head.log
    run -1 grep 'ptq-solve' worker.log
    job told --quiet --overrides lines.txt
    diff <(sums told) <(sums out)
}
