#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# flow.bats - a stage that is slow slows those before it and fills nobody's memory; credit smaller than a message, more workers than lanes
# have chunks: no run stands still, and none gives other bytes.
bats_require_minimum_version 1.5.0
load bounds.bash
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    cut_model "$M" 1
    export SANITIZED=
    [[ $(ldd "$(command -v ptq-forward)") != *libasan* ]] || SANITIZED=yes
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

job() { # OUT MORE...
    local out=$1
    shift
    timeout 50 ptq run gptq --model "$M" --data "$M/calib.jsonl" --out "$out" --group 64 --seed 1 --quiet "$@"
}

same_bytes() { # OUT OUT
    cmp "$1/model.safetensors" "$2/model.safetensors"
}

peak() { # OUT STAGE
    jq --arg s "$2" '.stages[] | select(.name == $s) | .peak_rss_mib' "$1/.ptqflow/run.json"
}

within() { # MIB OUT OUT STAGE...: none of these took so much more in the second
    local room=$1 alone=$2 slow=$3 stage
    shift 3
    [ -z "$SANITIZED" ] || return 0 # these take memory of their own
    for stage in "$@"; do
        awk -v alone="$(peak "$alone" $stage)" -v slow="$(peak "$slow" $stage)" -v room="$room" -v stage=$stage \
            'BEGIN { print stage, alone, slow; exit !(slow <= alone + room) }'
    done
}

@test "a slow reducer, solver, writer: the others wait, no memory fills, the same bytes" {
    # the rows of a site are 16 to 48 MiB: so much would wait for a reducer that takes them slowly. With few tokens none
    # could; of those taken a reducer keeps some mapped, some messages (1/4 and 3/4 MiB) of each width, and what products
    # of a type that the CPU has not take beside them comes and goes with the library: 3 to 7 MiB were seen
    local how="--length 256 --chunk-tokens 512 --workers forward=1" slow
    job few --tokens 1024 $how
    job alone --tokens 32768 $how
    job rows --tokens 32768 $how --reduce.fault slow:10
    job sites --tokens 32768 $how --solve.fault slow:300 --write.fault slow:300
    for slow in rows sites; do
        same_bytes alone $slow
        within 5 alone $slow sample forward solve write
        within 16 few $slow reduce
    done
}

@test "credit of less than one message, of many, one to three workers, chunks of one row and of several: every run ends, the same bytes" {
    local chunk first how
    for chunk in 32 128; do
        first=
        for how in "2 1M" "3 64K"; do
            job "$chunk.${how% *}" --tokens 512 --length 32 --chunk-tokens $chunk --workers forward=${how% *} --credit ${how#* }
            same_bytes "${first:=$chunk.${how% *}}" "$chunk.${how% *}"
        done
    done
}
