#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# beside.bats - weights that stand beside the codes (gwq, squeeze), the format that holds them, and what cannot.
bats_require_minimum_version 1.5.0
load model.bash

setup_file() {
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    cd "$BATS_FILE_TMPDIR"
    narrow_model m 2
    ptq-sample --model m --data m/calib.jsonl --tokens 256 --length 32 --chunk-tokens 32 --quiet |
        ptq-importance --model m --quiet --fisher fisher.safetensors --out chunks.ptq
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    export XDG_RUNTIME_DIR=$(mktemp -d /tmp/ptq-beside-XXXXXX)
}

teardown() {
    rm -rf "$XDG_RUNTIME_DIR"
}

job() { # OUT SOLVER MORE...
    timeout 60 ptq run gptq --model m --data m/calib.jsonl --tokens 128 --length 32 --bits "${bits:-2}" --group "${group:--1}" --fisher fisher.safetensors --out "$1" --solver "$2" --quiet "${@:3}"
}

@test "with all weights beside the codes the model is itself, and as read from its own format" {
    job all gwq --grid asym --gradient-share 1 --format ptq,dense
    cmp <(tail -c +9 all/dense/model.safetensors | tail -c "$(stat -c %s m/model.safetensors | awk '{ print $1 - 4096 }')" | md5sum) \
        <(tail -c +9 m/model.safetensors | tail -c "$(stat -c %s m/model.safetensors | awk '{ print $1 - 4096 }')" | md5sum)
    ptq diff all/dense m
    run -0 ptq eval --model all/ptq --ref m --data m/eval.jsonl --window 32 --max-windows 4 --json --quiet
    jq -e '.kld_mean == 0 and .perplexity == .ref_perplexity' <<<"$output"
    job squeezed squeeze --grid kmeans --sensitive 0.4 --outliers 1 --format dense
    ptq diff squeezed m
}

@test "what stands beside the codes comes back from the format to the same weights, whatever the number of threads" {
    job gwq gwq --grid asym --gradient-share 0.02 --format ptq,dense
    job squeeze squeeze --grid kmeans --sensitive 0.005 --outliers 0.01 --format ptq,dense --record problems.ptq
    ptq-solve --in problems.ptq --out three.ptq --solver squeeze --grid kmeans --bits 2 --group -1 --fisher fisher.safetensors --sensitive 0.005 --outliers 0.01 \
        --threads 3 --quiet
    ptq-solve --in problems.ptq --out one.ptq --solver squeeze --grid kmeans --bits 2 --group -1 --fisher fisher.safetensors --sensitive 0.005 --outliers 0.01 \
        --threads 1 --quiet
    ptq-stream export three.ptq three.safetensors
    ptq-stream export one.ptq one.safetensors
    cmp three.safetensors one.safetensors
    for s in gwq squeeze; do
        ptq-check $s/ptq
        ptq convert --model $s/ptq --format dense $s/again --quiet
        ptq diff $s/again $s/dense
        [ "$(ptq diff --json $s/ptq m | jq -S .linears)" = "$(ptq diff --json $s/dense m | jq -S .linears)" ]
    done
    run -0 ptq inspect gwq/ptq
    [[ $output == *"2 bits"* ]]
    # the plan knows the size before the run
    run --separate-stderr -0 ptq plan gptq --model m --data m/calib.jsonl --tokens 128 --length 32 --bits 2 --group -1 --fisher fisher.safetensors --solver gwq --gradient-share 0.02 \
        --grid asym --format ptq --json
    planned=$(jq .bytes_after <<<"$output")
    run -0 ptq inspect --json gwq/ptq
    [ "$planned" = "$(jq -s '[.[] | select(.dtype) | .bytes] | add' <<<"$output")" ]
    jq -e '.quantization_config.quant_method == "ptqflow"' gwq/ptq/config.json
    # codes of others go in and come out as they were
    timeout 60 ptq run gptq --model m --data m/calib.jsonl --tokens 128 --length 32 --solver rtn --bits 4 --group 32 --out plain --format gptq,dense --quiet
    ptq convert --model plain/gptq --format ptq plain/own --quiet
    ptq convert --model plain/own --format gptq plain/back --quiet
    cmp plain/gptq/model.safetensors plain/back/model.safetensors || ptq diff plain/gptq plain/back
    ptq-check plain/own
}

@test "formats without a place for them say so before the run, and solvers what they lack" {
    for f in gptq awq compressed-tensors gguf; do
        bits=4 group=32 run -100 job none gwq --grid asym --format dense,$f
        [[ $output == *"the $f format has no place for weights beside the codes; ptq and dense hold them"* ]]
    done
    run -100 ptq convert --model gwq/ptq --format gptq none
    [[ $output == *"the gptq format has no place for weights beside the codes"* ]]
    run -100 ptq run gptq --model m --data m/calib.jsonl --tokens 128 --length 32 --out none --solver gwq --fisher nothing --format dense
    [[ $output == *"--fisher: cannot look at 'nothing'"* && $output != *documents* ]]
    run -100 ptq run gptq --model m --data m/calib.jsonl --tokens 128 --out none --solver gwq --format dense
    [[ $output == *"solver gwq needs --fisher FILE"* ]]
    run -100 ptq run gptq --model m --data m/calib.jsonl --tokens 128 --out none --solver squeeze --grid kmeans --group -1 --bits 2 --sensitive 0.1 --format dense
    [[ $output == *"--sensitive needs --fisher FILE"* ]]
    run -100 job none gwq --grid asym --refine 1 --format dense
    [[ $output == *"--refine means nothing to solver gwq"* ]]
    for s in gwq squeeze; do
        run -100 job none qep+$s --grid asym --dual --format dense
        [[ $output == *"$s takes the weights as they are, not as qep shifts them"* ]]
    done
    [ ! -e none ]
}
