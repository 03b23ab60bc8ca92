#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# methods.bats - the table of methods (ops/studies): a cell is made once, a killed one leaves nothing, and the table says what went wrong.
load model.bash

setup_file() {
    narrow_model "$BATS_FILE_TMPDIR/tale-qwen3" 2
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.."
    bin=${PTQ_BIN:-bin}
    export PTQ_BENCH_RESULTS=$BATS_TEST_TMPDIR/results PTQ_BENCH_TABLE=$BATS_TEST_TMPDIR/table.md PTQ_BENCH_SEEDS=1
    model=$BATS_FILE_TMPDIR/tale-qwen3
    head -n 12 $model/eval.jsonl > "$BATS_TEST_TMPDIR/eval.jsonl"
    export PTQ_BENCH_MODEL=$model PTQ_BENCH_DATA=$model/calib.jsonl PTQ_BENCH_WIKI=$BATS_TEST_TMPDIR/eval.jsonl PTQ_BENCH_TOKENS=512 \
        PTQ_BENCH_LENGTH=256
    cells=$PTQ_BENCH_RESULTS/tale-qwen3-512.jsonl
}

made() { # METHOD SEED KL: a cell as if it had been measured
    mkdir -p "$PTQ_BENCH_RESULTS"
    jq -nc --arg method "$1" --argjson seed "$2" --argjson kld "$3" '{ model: "tale-qwen3", grid: "w3-g64", method: $method, seed: $seed, tokens: 512,
        length: 256, key: "made", code: "made", commit: "c", cpu: "p", kernel: "k", sequences: 2, ess: 300, cpu_seconds: 1, solvers: { gptq: 8 },
        wiki: { perplexity: 20, perplexity_se: 1, dnll: 0.1, dnll_se: 0.01, kld: $kld, kld_se: 0.001 }, c4: null }' > "$BATS_TEST_TMPDIR/made"
    touch "$cells"
    jq -c --slurpfile new "$BATS_TEST_TMPDIR/made" 'select([.method, .seed] != ($new[0] | [.method, .seed]))' "$cells" > "$BATS_TEST_TMPDIR/rest"
    cat "$BATS_TEST_TMPDIR/rest" "$BATS_TEST_TMPDIR/made" > "$cells"
}

@test "a cell is made once; other options make it again; a killed one leaves nothing" {
    export PTQ_BENCH_CELLS='w3-g64-gptq-s1'
    run sh ops/studies/methods.sh "$bin"
    [ "$status" -eq 0 ]
    [[ "$output" == *"w3-g64 gptq seed 1: perplexity"* ]]
    jq -e '.sequences == 2 and .summed == 512 and .ess == 512 and .wiki.kld > 0 and .solvers.gptq == 8' "$cells"
    grep -q '^| gptq | [0-9.]* | ' "$PTQ_BENCH_TABLE"
    grep -q '^| maca | not run yet |' "$PTQ_BENCH_TABLE"

    run sh ops/studies/methods.sh "$bin"
    [ "$status" -eq 0 ]
    [ -z "$output" ]

    export PTQ_BENCH_LENGTH=128
    cp "$cells" "$BATS_TEST_TMPDIR/before"
    # A ptq that kills who called it stands for a kill in the middle of a cell.
    mkdir "$BATS_TEST_TMPDIR/killer"
    printf '#!/bin/sh\n[ "$1" = run ] || exit 0\nkill -TERM $PPID\nexec tail -f /dev/null\n' > "$BATS_TEST_TMPDIR/killer/ptq"
    chmod +x "$BATS_TEST_TMPDIR/killer/ptq"
    run sh ops/studies/methods.sh "$BATS_TEST_TMPDIR/killer"
    [ "$status" -eq 111 ]
    cmp "$cells" "$BATS_TEST_TMPDIR/before"
    [ "$(ls "$PTQ_BENCH_RESULTS")" = tale-qwen3-512.jsonl ]

    run sh ops/studies/methods.sh "$bin"
    jq -e '.sequences == 4' "$cells"
}

@test "a method that fails is a row that says so, and is tried again" {
    export PTQ_BENCH_CELLS='w3-g64-gptq-s1' PTQ_BENCH_LENGTH=1024
    run sh ops/studies/methods.sh "$bin"
    [ "$status" -eq 0 ]
    grep -q '^| gptq | failed: ptq: fatal: ' "$PTQ_BENCH_TABLE"
    PTQ_BENCH_LENGTH=256 run sh ops/studies/methods.sh "$bin"
    grep -q '^| gptq | [0-9.]* | ' "$PTQ_BENCH_TABLE"
}

@test "the table marks a contest that is worse than its best member, on the seeds that both have" {
    export PTQ_BENCH_CELLS=none
    made gptq 1 0.020; made gptq 2 0.022; made gptaq 1 0.018; made gptaq 2 0.019; made gptaq 3 0.5
    made best 1 0.018; made best 2 0.0195; made foem 1 0.021
    sh ops/studies/methods.sh "$bin"
    grep -q '^`best` against its best member, gptaq: KL +0.0003, spread 0.0013: not worse by more than the spread' "$PTQ_BENCH_TABLE"
    grep -q '^No better than `gptq` in KL here: foem\.' "$PTQ_BENCH_TABLE"
    made best 1 0.024; made best 2 0.0255
    sh ops/studies/methods.sh "$bin"
    grep -q 'WORSE THAN ITS BEST MEMBER' "$PTQ_BENCH_TABLE"
    grep -q '^No better than `gptq` in KL here: best, foem\.' "$PTQ_BENCH_TABLE"
}
