#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# job.bats - the main job on the bundled model: the same bytes however it is run, a checkpoint that can be evaluated, bad input refused.
bats_require_minimum_version 1.5.0
load left.bash
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    narrow_model "$M" 2
    export JOB="--tokens 1024 --length 64 --chunk-tokens 256 --bits 4 --group 64 --seed 1"
    cd "$BATS_FILE_TMPDIR"
    job one --workers forward=1
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

job() { # OUT MORE...
    local out=$1
    shift
    ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out "$out" $JOB --quiet "$@"
}

apart() { # DIR DIR: how far the last linear of the first block is from the other's
    ptq diff --json "$1" "$2" | jq -s 'map(select(.what == "model.layers.0.mlp.down_proj.weight").relative_error) | add // 0'
}

sums() { # DIR: of everything but the folder of what varies
    (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
}

@test "the run leaves a checkpoint, a journal with a line a site, a record" {
    [ -f one/config.json ]
    [ -f one/tokenizer.json ]
    [ "$(jq -s 'map(select(.site)) | length' one/.ptqflow/journal.jsonl)" = 8 ]
    [ "$(jq -r '.stages | map(.name) | join(" ")' one/.ptqflow/run.json)" = "sample forward reduce solve write" ]
}

@test "three forward workers give the same bytes as one" {
    job three --workers forward=3
    diff <(sums one) <(sums three)
}

@test "two solvers and other threads give the same bytes" {
    job solvers --workers forward=2,solve=2
    diff <(sums one) <(sums solvers)
}

@test "rows weighed by attention: other bytes, the same from one worker and three, and the journal tells the effective sample size" {
    job weighed --token-weights attention --workers forward=1
    job weighed3 --token-weights attention --workers forward=3
    diff <(sums weighed) <(sums weighed3)
    run -1 cmp one/model.safetensors weighed/model.safetensors
    [ "$(jq -s 'map(select(.site)) | all(.ess > 1 and .ess < 1000)' weighed/.ptqflow/journal.jsonl)" = true ]
    job equal --token-weights attention --weight-min 1
    [ "$(jq -s 'map(select(.site)) | all(.ess == 1024)' equal/.ptqflow/journal.jsonl)" = true ]
    run -0 ptq diff one equal
}

@test "products of bf16: other bytes, the same from one worker and three and through the pipe; with what is left of the weights close to f32" {
    job half --products bf16 --workers forward=1
    job half3 --products bf16 --workers forward=3
    diff <(sums half) <(sums half3)
    ptq sample --model "$M" --data "$M/calib.jsonl" --tokens 1024 --length 64 --chunk-tokens 256 --mode concat --seed 1 --quiet |
        ptq forward --model "$M" --follow halfpipe --products bf16 --quiet | ptq reduce --quiet |
        ptq solve --bits 4 --group 64 --quiet | ptq write --model "$M" halfpipe --quiet
    diff <(sums half) <(sums halfpipe)
    run -1 cmp one/model.safetensors half/model.safetensors
    job both --products bf16x2
    # how the weights of the sites before it are rounded tips codes; with what is left of them hardly any
    jq -ne "$(apart one half) > 4 * $(apart one both)"
    run -100 job odd --products bf16 --acts f32
    [[ $output == *"--products bf16 rounds the rows that --acts f32 keeps"* ]]
    [ ! -e odd ]
}

@test "rows weighed in each block from a file: equal weights change nothing, others only the blocks where they differ" {
    for i in $(seq 16); do
        echo '{"blocks": [3, 3]}' >&3
        echo "{\"blocks\": [1, $((i % 4))]}" >&4
    done 3>equal.jsonl 4>last.jsonl
    job alike --weight-file equal.jsonl
    run -0 ptq diff one alike
    job last1 --weight-file last.jsonl --workers forward=1
    job last3 --weight-file last.jsonl --workers forward=3
    diff <(sums last1) <(sums last3)
    # a mean of 1.5: (16 x 64 x 1.5)^2 / (64 x 4 x (1 + 4 + 9))
    jq -s 'map(select(.site)) | all(if .block == 0 then .ess == 1024 else (.ess - 658.3 | fabs) < 1 end)' last1/.ptqflow/journal.jsonl | grep -qx true
    run -1 ptq diff one last1
    [[ $output == *"layers.1."* && $output != *"layers.0."* ]]
}

@test "the pipe gives the same bytes as ptq run" {
    ptq sample --model "$M" --data "$M/calib.jsonl" --tokens 1024 --length 64 --chunk-tokens 256 --mode concat --seed 1 --quiet |
        ptq forward --model "$M" --follow pipe --quiet | ptq reduce --quiet |
        ptq solve --bits 4 --group 64 --quiet | ptq write --model "$M" pipe --quiet
    diff <(sums one) <(sums pipe)
}

@test "the checkpoint evaluates, close to the original" {
    cut_model speaks 2
    M=speaks job spoken --workers forward=1
    run -0 --separate-stderr ptq eval --model spoken --ref speaks --data "$M/eval.jsonl" --window 256 --max-windows 2 --json --quiet
    [ "$(jq '.kld_mean > 0 and .kld_mean < 0.2 and .top1_agree > 0.7' <<<"$output")" = true ]
}

@test "SIGTERM in the middle: exit 111, no half model" {
    mkfifo said
    ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out cut --tokens 8192 --length 128 --solve.fault delay:100 2>said 3>&- &
    pid=$!
    exec 7<said
    while read -r line <&7; do [[ $line == *"block 2/2"* ]] && break; done
    kill -TERM $pid
    cat <&7 >/dev/null
    code=0; wait $pid || code=$?
    [ $code = 111 ]
    [ -z "$(ls cut)" ] || [ ! -e cut/model.safetensors ]
}

@test "bad input is refused before anything starts" {
    run -100 ptq run "$ROOT/pipelines/gptq.pipe" --model /no/such --data "$M/calib.jsonl" --out bad
    [[ $output == "ptq: fatal: --model: /no/such: not a folder: nothing has that name"* ]]
    run -100 ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data /no/such --out bad
    [[ $output == *"--data: "*"/no/such"* ]]
    run -100 ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out bad --group 96
    [[ $output == *"--group: 96 does not divide the 64 inputs of 'model.layers.0.self_attn.q_proj'"* ]]
    mkdir other
    echo mine >other/file
    run -100 ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out other
    [[ $output == *"'other' holds something else"* ]]
    [ "$(ls other)" = file ]
    : >empty.jsonl
    run -1 ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data empty.jsonl --out bad
    [[ $output == *"'empty.jsonl' is empty"* ]]
    [ ! -e bad ]
}

@test "--overwrite replaces an earlier output, and nothing that is not ours" {
    again() { ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --tokens 1024 --length 256 --quiet "$@"; }
    again --out earlier --bits 3
    again --out fresh
    again --overwrite --out earlier
    diff <(cd earlier && sha256sum model.safetensors *.json) <(cd fresh && sha256sum model.safetensors *.json)
    [ "$(jq -c .variables.overwrite earlier/.ptqflow/run.json)" != null ]
    echo mine >earlier/notes
    run -100 again --overwrite --out earlier
    [[ $output == *"notes"* ]]
    [ "$(cat earlier/notes)" = mine ]
    [ -e earlier/model.safetensors ]
    run -100 again --overwrite=yes --out earlier
    [[ $output == *"--overwrite takes no value"* ]]
}

@test "what a stage refuses ends the run with its code" {
    printf '{"text": "short"}\n' >short.jsonl
    run ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data short.jsonl --out bad --quiet
    [ "$status" = 1 ] || [ "$status" = 100 ]
    [[ $output == *"ptq: fatal: stage 'sample' failed"* ]]
    run -100 ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out one --quiet
    [[ $output == *"'one' holds an earlier output of ptqflow: remove it"* ]]
    run -100 ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out bits --quiet --bits 5
    [[ $output == *"--bits: '5' is not one of 2|3|4|8"* ]]
    [ ! -e bad/model.safetensors ]
}
