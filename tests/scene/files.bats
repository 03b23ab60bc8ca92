#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# files.bats - outputs that are no plain files, inputs that are outputs too, full disks, pipes that close, signals.
bats_require_minimum_version 1.5.0

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$ROOT/pipelines/demo/tale-qwen3
    cd "$BATS_FILE_TMPDIR"
    ptq-sample --model "$M" --data "$M/calib.jsonl" --tokens 2048 --length 256 --quiet | ptq-cat --quiet --out chunks.ptq
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    C=$BATS_FILE_TMPDIR/chunks.ptq
}

@test "a stream is not written into the file that it is read from, under whatever name" {
    cp "$C" f
    ln -s f same
    for out in f ./f same "$PWD/f"; do
        run -100 ptq-cat --in f --out "$out"
        [[ "$output" == *"same file"* ]]
        cmp f "$C"
    done
    run -100 sh -c 'ptq-cat --out f <f'
    cmp f "$C"
}

@test "a stage that fails leaves the file that was there, and no other" {
    echo old >f
    run -100 ptq-sample --model /no/such --data "$M/calib.jsonl" --out f
    [ "$(cat f)" = old ]
    head -c 3000 "$C" >cut
    run -1 ptq-cat --in cut --out f
    [ "$(cat f)" = old ]
    [ "$(ls)" = "$(printf 'cut\nf')" ]
}

@test "a whole stream takes the place behind a link, which stays one" {
    echo old >target
    ln -s target f
    ptq-cat --quiet --in "$C" --out f
    [ -L f ]
    cmp target "$C"
}

@test "a FIFO, a device and an open descriptor are written through" {
    mkfifo fifo
    ptq-cat --quiet --in "$C" --out fifo &
    cat fifo >got
    wait $!
    [ -p fifo ]
    cmp got "$C"
    run -111 ptq-cat --quiet --in "$C" --out /dev/full
    [[ "$output" == *"No space left"* ]]
    [ -c /dev/full ]
    ptq-cat --quiet --in "$C" --out /dev/stdout | cmp - "$C"
    ptq-cat --quiet --in "$C" --out /dev/stdout >f
    cmp f "$C"
}
