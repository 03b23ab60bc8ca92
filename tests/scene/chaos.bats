#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# chaos.bats - some of the runs of `make chaos`, of every kind; and what only shows where no run looks after the stages: one of them
# killed by hand over tcp, one that came too late, no file descriptor left.
bats_require_minimum_version 1.5.0
load bounds.bash
export BATS_TEST_TIMEOUT=600 # a run that takes longer than a minute has failed

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export BIN=${PTQ_BIN:-$ROOT/bin}
    export BUILD=$(dirname "${PTQ_SHIMS:-$ROOT/build/shim}")
    export PATH="$BIN:$PATH" M=$ROOT/tests/golden/conformance/mistral
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    [ -x "$BUILD/chaos/proxy" ] || skip "no $BUILD/chaos/proxy: make unit-tests builds it"
}

make_ids() {
    awk 'BEGIN { for (i = 0; i < 4; i++) { printf "{\"input_ids\": ["; for (t = 0; t < 64; t++) printf "%s%d", t ? "," : "", (t * t * 7 + i * 31) % 300 + 3; print "]}" } }' >ids.jsonl
}

said_it() { # WORDS FILE [TIMES]
    [ "$(grep -c "$1" "$2")" -ge "${3:-1}" ]
}

listens() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

@test "random faults: all runs end with the bytes of one without" {
    run -0 bash "$ROOT/tests/chaos/chaos.sh" "$BIN" "$BUILD" 8 19 29 54 91 96 100 101 104 131 146 158 165 171 177 178 183 184 195 197 1004
    [[ $output == *"21 runs, 0 failed" ]]
}

# The stages of a run by hand over tcp, in a folder of their own; that of $lost dies at its N-th message: when all have met, for who
# has never seen a neighbour waits for one.
by_hand() { # LOST N: into $stages, in the order of $names
    local stage at
    mkdir "$1" && cd "$1" || return
    mapfile -t at < <("$BUILD/chaos/proxy" --ports 5 | sed 's|^|tcp://127.0.0.1:|')
    dies() { [ "$lost" != "$1" ] || echo "--fault die:$n"; }
    lost=$1 n=$2
    ptq-sample --quiet --model "$M" --data ../ids.jsonl --tokens 256 --length 64 --chunk-tokens 64 --out "@${at[0]}" $(dies sample) 2>sample.log &
    stages=($!)
    ptq-forward --quiet --model "$M" --in "${at[0]}" --commits "${at[1]}" --out "${at[2]}" $(dies forward) 2>forward.log &
    stages+=($!)
    ptq-reduce --in "@${at[2]}" --out "@${at[3]}" --commits "${at[1]}" $(dies reduce) 2>reduce.log &
    stages+=($!)
    ptq-solve --quiet --group 32 --in "${at[3]}" --out "${at[4]}" $(dies solve) 2>solve.log &
    stages+=($!)
    ptq-write --quiet --model "$M" --in "@${at[4]}" --commits "@${at[1]}" $(dies write) out 2>write.log &
    stages+=($!)
    problems=${at[3]} solutions=${at[4]}
    cd ..
}

# bats test_tags=fire
@test "stages by hand over tcp: whichever is killed, nobody waits for ever, and nobody makes half a model" {
    names=(sample forward reduce solve write)
    make_ids
    by_hand sample 3,delay:1000 && first=("${stages[@]}")
    by_hand forward 20 && second=("${stages[@]}")
    by_hand reduce 12 && third=("${stages[@]}")
    by_hand write 5 && fourth=("${stages[@]}")
    by_hand solve 5
    wait_code "${stages[3]}" 137
    until_true said_it 'reduce: waiting\|waits at' solve/reduce.log # it may be a person who starts another
    ptq-solve --quiet --group 32 --in "$problems" --out "$solutions"
    for i in 0 1 2 4; do wait_code "${stages[i]}" 0; done
    [ -e solve/out/config.json ]
    set -- "${first[@]}" "${second[@]}" "${third[@]}" "${fourth[@]}"
    for lost in sample forward reduce write; do
        for name in "${names[@]}"; do
            until_true ended "$1"
            code=0
            wait "$1" || code=$?
            case $lost-$name-$code in # 111 who has lost its neighbour, 1 who heard of it; the sampler may have dealt all
            sample-sample-137 | forward-forward-137 | reduce-reduce-137 | write-write-137 | *-sample-0) ;;
            *-1 | *-111) ;;
            *) echo "$lost is lost: $name ends with $code" && return 1 ;;
            esac
            shift
        done
        [ ! -e $lost/out/config.json ]
    done
    said_it 'reduce at tcp://.* is gone' reduce/forward.log
    said_it 'neither a solver nor anyone who takes commits is left' reduce/write.log
}

# bats test_tags=fire
@test "connections that are reset with data on their way, on all links at once: the same bytes" {
    make_ids
    options=(--model "$M" --data ids.jsonl --tokens 256 --length 64 --chunk-tokens 64 --group 32 --workers forward=2)
    ptq run gptq "${options[@]}" --quiet --out whole
    mapfile -t ports < <("$BUILD/chaos/proxy" --ports 10)
    cp "$ROOT/pipelines/gptq.pipe" cut.pipe
    for link in chunks:900 acts:20000 problems:20000 solutions:6000 commits:12000; do
        name=${link%:*} every=${link#*:}
        "$BUILD/chaos/proxy" "${ports[0]}" "${ports[1]}" "cut:$every:1" "cut:$((2 * every)):1" "cut:$((3 * every)):1" 2>"$name.log" 3>&- &
        sed -i "s|@%$name\\b|@tcp://127.0.0.1:${ports[1]}|; s|%$name\\b|tcp://127.0.0.1:${ports[0]}|" cut.pipe
        ports=("${ports[@]:2}")
    done
    run -0 ptq run ./cut.pipe "${options[@]}" --quiet --restarts 0 --out out
    for name in chunks acts problems solutions commits; do said_it 'cut after' "$name.log" 3; done
    cmp whole/model.safetensors out/model.safetensors
}

# bats test_tags=fire
@test "a solver that the writer knows but that comes too late for the reducer: nobody waits for it" {
    mkdir bin
    ln -s "$ROOT/pipelines" .
    ln -s "$BIN"/ptq-* bin
    cp "$BIN/ptq" bin
    rm bin/ptq-solve
    cat >bin/ptq-solve <<END
#!/bin/sh
mkdir first 2>/dev/null || for word; do
    shift
    case \$word in ipc://*/problems) word=ipc://$PWD/nowhere ;; esac
    set -- "\$@" "\$word"
done
exec "$BIN/ptq-solve" "\$@"
END
    chmod +x bin/ptq-solve
    make_ids
    bin/ptq run gptq --quiet --model "$M" --data ids.jsonl --tokens 256 --length 64 --group 32 --out out --workers forward=1,solve=2 2>said &
    pid=$!
    wait_code $pid 0
    [ -e out/config.json ]
}

# bats test_tags=fire
@test "a full disk between a part and its line in the journal: nothing is committed, and the same command begins again" {
    make_ids
    mkdir -p out/.ptqflow/parts
    echo '{"record":"start","format":1,"version":"0.2.0","formats":"gptq"}' >out/.ptqflow/journal.jsonl
    echo part >out/.ptqflow/parts/00000.ptq
    options=(--model "$M" --data ids.jsonl --tokens 256 --length 64 --group 32 --out out --dry-run)
    run -0 ptq run gptq "${options[@]}"
    rm out/.ptqflow/journal.jsonl
    run -100 ptq run gptq "${options[@]}"
    [[ $output == *"'out' holds an earlier output"* ]]
}

# bats test_tags=fire
@test "no file descriptor left: a listener waits instead of spinning, and takes who comes when there is one again" {
    port=$("$BUILD/chaos/proxy" --ports 1)
    (ulimit -n 48 && exec ptq-cat --in "@tcp://127.0.0.1:$port" --out got 2>said) &
    pid=$!
    until_true listens "$port"
    for i in {1..48}; do
        exec {fd}<>"/dev/tcp/127.0.0.1/$port" && fds+=($fd)
    done 2>/dev/null
    until_true said_it 'takes no connections for now: this process has no file descriptor left' said
    until_true said_it 'waiting at tcp.* for 1 of 1 peers' said # some seconds later
    read -r -a used </proc/$pid/stat
    [ $((used[13] + used[14])) -lt 100 ] # hundredths of a second
    for fd in "${fds[@]}"; do exec {fd}>&-; done
    ptq-cat --quiet --make 3 --size 1K --out "tcp://127.0.0.1:$port"
    wait_code $pid 0
    said_it 'in: 3 messages' said
}
