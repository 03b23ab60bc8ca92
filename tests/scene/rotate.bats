#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# rotate.bats - a rotated checkpoint is the same model to ptq-eval, and the main job runs on it.
bats_require_minimum_version 1.5.0

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$ROOT/pipelines/demo/tale-qwen3
    cd "$BATS_FILE_TMPDIR"
    ptq-rotate --quiet --model "$M" --dtype f32 exact
    ptq-rotate --quiet --model "$M" short
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

measure() { # MODEL: one JSON object, the source as the reference
    ptq-eval --model "$1" --ref "$M" --data "$M/eval.jsonl" --window 512 --max-windows 2 --quiet --json
}

@test "rotate: f32 has the same perplexity to 4 digits and more, bf16 is close" {
    measure exact >exact.json
    jq -e '(.perplexity / .ref_perplexity - 1 | fabs) < 1e-5 and .kld_max < 1e-5' exact.json
    measure short >short.json
    # a hundredth of what rounding to 3 bits costs
    jq -e '(.perplexity / .ref_perplexity - 1 | fabs) < 1e-3 and .kld_mean < 2e-4 and .kld_mean > 1e-6' short.json
}

@test "rotate: the files beside the weights come along, the model is untied, the metadata says what was done" {
    for f in tokenizer.json tokenizer_config.json; do cmp "$M/$f" "exact/$f"; done
    [ "$(diff "$M/config.json" short/config.json | grep '^>')" = '>   "tie_word_embeddings": false,' ]
    [ "$(jq -r .dtype exact/config.json)" = float32 ]
    ptq-inspect --fast short | grep -q 'lm_head.weight'
    head -c 2000 short/model.safetensors | grep -aqF '\"kind\":\"random-hadamard\",\"order\":256,\"core\":1,\"seed\":1'
}

@test "rotate: the main job runs on a rotated model, at any thread count the same bytes" {
    ptq-rotate --quiet --model "$M" --threads 3 again
    cmp short/model.safetensors again/model.safetensors
    ptq run "$ROOT/pipelines/gptq.pipe" --model short --data "$M/calib.jsonl" --tokens 2048 --length 256 --bits 4 --out four --quiet
    ptq-inspect --fast --json four | jq -e -s 'last.records | map(.stage) == ["rotate", "sample", "forward", "solve", "write"] and .[0].seed == 1'
    ptq-inspect --fast four | grep -q '^record  {"stage":"rotate",.*"kind":"random-hadamard"'
    measure four | jq -e '.perplexity / .ref_perplexity < 1.02'
    run -100 ptq-rotate --model four five
    [[ $output == *"'four' is quantized"* ]]
    [ ! -e five ]
}

@test "rotate: help, misuse, a folder that holds something, a full disk" {
    run -0 ptq-rotate --help
    [[ $output == *"untied"* ]]
    run -100 ptq-rotate out
    [[ $output == *"--model DIR is missing"* ]]
    run -100 ptq-rotate --model "$M" --kind haar out
    run -100 ptq-rotate --model nowhere out
    [[ $output == *"nowhere"* ]]
    run -100 ptq-rotate --model "$M" short
    [[ $output == *"'short' is not empty"* ]]
    ls >before
    run -111 bash -c 'trap "" XFSZ; ulimit -f 2048; exec ptq-rotate --quiet --model "$1" out' bash "$M"
    [[ $output == *"model.safetensors"* ]]
    ls | diff before -
}
