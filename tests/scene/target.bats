#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# target.bats - solvers that aim at the full-precision model's outputs, and contests between solvers, on the bundled model.
bats_require_minimum_version 1.5.0
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    narrow_model "$M" 2
    export CONTEST=best:gptq,gptaq,qep+gptq
    cd "$BATS_FILE_TMPDIR"
    job one gptaq --solver $CONTEST --holdout 4 --workers forward=1
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

job() { # OUT RECIPE MORE...
    local out=$1 recipe=$2
    shift 2
    ptq run "$ROOT/pipelines/$recipe.pipe" --model "$M" --data "$M/calib.jsonl" --out "$out" \
        --tokens ${TOKENS:-2048} ${ROWS:---length 128 --chunk-tokens 256} --bits 3 --group 64 --seed 1 --quiet "$@"
}

sums() { # DIR: of everything but the folder of what varies
    (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
}

@test "the journal names every contender, and the winner is the one with the smallest held-out loss" {
    jq -s 'map(select(.record == "site"))' one/.ptqflow/journal.jsonl >sites
    [ "$(jq length sites)" = 8 ]
    [ "$(jq 'all(.judged_on == "hold" and .criterion == "asym" and (.contenders | length) == 3)' sites)" = true ]
    [ "$(jq 'all(.solver == (.contenders | min_by(.hold_loss) | .solver))' sites)" = true ]
    [ "$(jq 'map(.solver) | unique | length > 1' sites)" = true ]
    [ "$(jq 'all(.[].linears[]; .bound > 0)' sites)" = true ]
}

@test "workers, solvers and threads do not show in the bytes" {
    job more gptaq --solver $CONTEST --holdout 4 --workers forward=3,solve=2
    diff <(sums one) <(sums more)
}

@test "each solver runs in the pipeline and says so" {
    for solver in qronos rescomp qep+ojbkq; do
        TOKENS=1024 job "$solver" gptaq --solver $solver
        [ "$(jq -r 'select(.record == "site") | .solver' "$solver/.ptqflow/journal.jsonl" | sort -u)" = $solver ]
        rm -r "$solver"
    done
}

@test "lengths, token weights and the options of solvers go through the recipe" {
    TOKENS=1024 ROWS="--lengths 128,256 --weights length --short join" job mixed gptaq \
        --solver rescomp --alpha 0.5 --alpha2 0.5 --refine 1 --token-weights attention --fit hessian
    [ "$(jq -s 'map(select(.record == "site")) | length' mixed/.ptqflow/journal.jsonl)" = 8 ]
}

@test "a solver that needs the second stream says how to get it" {
    run -100 job bad gptq --solver gptaq
    [[ $output == *"--solver gptaq, or an --override, needs the full-precision inputs"*"use 'ptq run gptaq', or add --dual" ]]
}

@test "rounded activations: the rows of sites differ, the record says so, workers do not show, and what cannot be is refused" {
    cut_model speaks 2 # its figures tell how much is lost
    M=speaks
    TOKENS=512 job w4a8 gptq --act-bits 8 --workers forward=1
    TOKENS=512 job w4a8-3 gptq --act-bits 8 --workers forward=3
    cmp w4a8/model.safetensors w4a8-3/model.safetensors
    ptq inspect --json w4a8 | jq -e 'first(.. | objects | select(.stage? == "forward")) | .act_bits == 8'
    TOKENS=512 job plain gptq
    run -1 ptq diff plain w4a8
    for bits in 0 8 3; do
        ptq eval --model w4a8 --data "$M/eval.jsonl" --max-windows 1 --window 128 --act-bits $bits --json --quiet | jq .perplexity
    done >perplexity
    jq -es '.[0] != .[1] and (.[2] - .[0]) > 5 * (.[1] - .[0])' perplexity
    TOKENS=512 job qkv gptq --qkv-bits 4
    ptq inspect --json qkv | jq -e 'first(.. | objects | select(.stage? == "forward")) | .qkv_bits == 4'
    run -1 ptq diff plain qkv
    for bits in 0 8 3; do
        ptq eval --model plain --data "$M/eval.jsonl" --max-windows 1 --window 128 --qkv-bits $bits --json --quiet | jq .perplexity
    done >perplexity
    jq -es '.[0] != .[1] and (.[2] - .[0]) > 5 * (.[1] - .[0])' perplexity
    run -100 job no gptq --qkv-bits 9
    run -100 job no gptq --qkv-bits 8 --inputs full
    [[ $output == *"leave --qkv-bits out"* ]]
    run -100 job no gptq --act-bits 1
    [[ $output == *"--act-bits 1: activations have 2 to 8 bits"* ]]
    run -100 job no gptq --act-bits 8 --inputs full
}

@test "without held-out sums a contest warns" {
    TOKENS=1024 run -0 job blind gptq --solver best:gptq,rtn
    [[ $output == *"no held-out sums: solvers were judged on the sums they worked with"* ]]
    [ "$(jq -s 'map(select(.record == "site")) | all(.judged_on == "main")' blind/.ptqflow/journal.jsonl)" = true ]
}
