#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# reduce.bats - several reducers: shared by site, by lane, and both; always the problems that one would have made.
bats_require_minimum_version 1.5.0
load left.bash
load model.bash

setup_file() {
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    export model=$BATS_FILE_TMPDIR/model
    narrow_model "$model" 2
    export how="--holdout 3 --plain-sums --length-diagonals --classes all"
    export drawn="--tokens 3072 --length 64 --chunk-tokens 256"
    cd "$BATS_FILE_TMPDIR"
    # one.ptq: the problems that one reducer makes of rows.ptq
    ptq-sample --model "$model" --data "$model/calib.jsonl" $drawn --quiet --out chunks.ptq
    ptq-forward --model "$model" --inputs full --quiet --in chunks.ptq --out rows.ptq
    ptq-reduce --quiet $how --in rows.ptq --out one.ptq
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    ln -s "$BATS_FILE_TMPDIR"/*.ptq .
    at=ipc://$BATS_TEST_TMPDIR/s
}

# FILE holds just these problems: every field, and every element of every tensor.
same_problems() { # FILE
    run -0 ptq-diff one.ptq "$1"
    [[ $output == *" 0 differences" ]]
    [ "$(ptq-inspect --fast --json "$1" | jq -s 'map(select(.kind == "problem")) | length')" = 8 ]
}

@test "what the options cannot mean together is refused" {
    run -100 ptq-reduce --partial --commits "$at/commits"
    [[ $output == *"--commits is for the reducer that makes the problems"* ]]
    run -100 ptq-reduce --quiet --only 'attn.*' --in rows.ptq --out none.ptq
    [[ $output == *"does not fit --only; only sockets sort rows"* ]]
}

@test "two reducers that share the sites make the problems of one" {
    ptq-cat --quiet --in "@$at/problems" --peers-in 2 --out both.ptq &
    both=$!
    for part in 'attn.*' 'mlp.*'; do
        ptq-reduce --quiet $how --only "$part" --in "$at/rows" --out "$at/problems" &
    done
    ptq-forward --model "$model" --inputs full --quiet --in chunks.ptq --out "@$at/rows"
    wait $both
    same_problems both.ptq
}

@test "a reducer for the lanes of each worker, and one that adds the lanes up: the problems of one" {
    ptq-reduce --quiet --in "@$at/lanes" --out root.ptq --peers 2 &
    root=$!
    for worker in 1 2; do
        ptq-forward --model "$model" --inputs full --quiet --in "$at/chunks" | ptq-reduce --quiet $how --partial --out "$at/lanes" &
    done
    ptq-sample --model "$model" --data "$model/calib.jsonl" $drawn --quiet --out "@$at/chunks" --peers 2
    wait $root
    same_problems root.ptq
}

@test "two workers, three reducers for parts of the sites, one for their sums: the problems of one" {
    ptq-reduce --quiet --in "@$at/lanes" --out root.ptq --peers 3 &
    root=$!
    for part in attn.qkv 'attn.o' 'mlp.*'; do
        ptq-reduce --quiet $how --partial --only "$part" --in "$at/sorted" --out "$at/lanes" &
    done
    ptq-cat --quiet --in "@$at/rows" --peers-in 2 --out "@$at/sorted" --peers-out 3 &
    for worker in 1 2; do
        ptq-forward --model "$model" --inputs full --quiet --in "$at/chunks" --out "$at/rows" &
    done
    ptq-sample --model "$model" --data "$model/calib.jsonl" $drawn --quiet --out "@$at/chunks" --peers 2
    wait $root
    same_problems root.ptq
}

@test "partial sums in a file are added up later, to the very file of one reducer" {
    ptq-reduce --quiet $how --partial --in rows.ptq --out parts.ptq
    [ "$(ptq-inspect --fast --json parts.ptq | jq -s 'map(select(.kind == "partial")) | length')" = 64 ]
    ptq-reduce --quiet --in parts.ptq --out root.ptq
    cmp one.ptq root.ptq
    run -100 ptq-reduce --quiet --partial --in parts.ptq --out none.ptq
}
