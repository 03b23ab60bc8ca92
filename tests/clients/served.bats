#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# served.bats - one model in every format that engines load, made by two runs, and each engine that is installed: it writes some text, and
# its perplexity is that of `ptq eval` to 0.5%. PTQ_CLIENT_PYTHON: Pythons that have the engines (need.bash).
# PTQ_CLIENT_MODEL, PTQ_CLIENT_TEXT: another model than the demo's and the text for it (.jsonl); PTQ_CLIENT_RUNS: a folder that keeps the two runs;
# PTQ_CLIENT_TABLE: a file that gets a line of JSON for each test (`sh tests/clients/all` makes a table of it).
bats_require_minimum_version 1.5.0
load need.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH" CLIENT=$BATS_TEST_DIRNAME/client.py
    export M=${PTQ_CLIENT_MODEL:-$ROOT/pipelines/demo/tale-qwen3}
    export TEXT=${PTQ_CLIENT_TEXT:-$M/calib.jsonl} RUNS=${PTQ_CLIENT_RUNS:-$BATS_FILE_TMPDIR}
}

setup() {
    python=
    mkdir -p "$RUNS" && cd "$RUNS"
}

make_run() { # sym|asym
    local formats=gptq,compressed-tensors,gguf,dense
    [ "$1" = sym ] || formats=gptq-v2,awq,compressed-tensors
    [ -e "$1/${formats##*,}" ] || ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$TEXT" --out "$1" --tokens 4096 --length 256 --seed 1 \
        --bits 4 --group 64 --grid "$1" --format "$formats" --quiet
    [ -e ids.jsonl ] || { "$python" "$CLIENT" ids "$M" "$TEXT" 256 4 >new && mv new ids.jsonl; }
    [ -e long.jsonl ] || { "$python" "$CLIENT" ids "$M" "$TEXT" 256 48 >new && mv new long.jsonl; }
}

agrees() { # ENGINE OURS THEIRS ROWS GRID FORMAT [OFF]: a folder for `ptq eval`, one for the engine
    local logits='--logits logits'
    [ "$1" != llama.cpp ] || logits= # it says none, and of so many rows they fill a disk
    ptq eval --model "$2" --data "$4" $logits --json --quiet >ours.json
    "$python" "$CLIENT" run "$1" "$3" "$4" logits 2>said | grep '^{"engine"' >theirs.json || { tail -5 said; false; }
    cat ours.json theirs.json
    jq -cs --arg model "${M##*/}" --arg grid "$5" --arg format "$6" '{model: $model, engine: .[1].engine, format: $format, grid: $grid,
        predictions: .[0].predictions, ours: .[0].perplexity, theirs: .[1].perplexity, text: .[1].text}' ours.json theirs.json >>"${PTQ_CLIENT_TABLE:-/dev/null}"
    jq -es --argjson off "${7:-0.005}" '(.[1].perplexity / .[0].perplexity - 1 | fabs) < $off and (.[1].written | length) == 12' ours.json theirs.json
}

serves() { # ENGINE sym|asym FORMAT
    need "$1"
    make_run "$2"
    if [ "$1" = llama.cpp ]; then
        agrees "$1" "$2/$3" "$2" long.jsonl "$2" "$3"
    else
        agrees "$1" "$2/$3" "$2/$3" ids.jsonl "$2" "$3"
    fi
}

@test "transformers: GPTQ" {
    serves transformers sym gptq
}

@test "transformers: GPTQ v2, zero points" {
    serves transformers asym gptq-v2
}

@test "GPTQModel: GPTQ" {
    serves gptqmodel sym gptq
}

@test "GPTQModel: GPTQ v2, zero points" {
    serves gptqmodel asym gptq-v2
}

@test "transformers: AWQ" {
    serves transformers asym awq
}

@test "transformers: compressed-tensors" {
    serves compressed-tensors sym compressed-tensors
}

@test "transformers: compressed-tensors, zero points" {
    serves compressed-tensors asym compressed-tensors
}

@test "transformers: dense" {
    serves dense sym dense
}

@test "vLLM: GPTQ" {
    serves vllm sym gptq
}

@test "vLLM: AWQ" {
    serves vllm asym awq
}

@test "vLLM: compressed-tensors" {
    serves vllm sym compressed-tensors
}

@test "vLLM: compressed-tensors, zero points" {
    serves vllm asym compressed-tensors
}

@test "vLLM: dense" {
    serves vllm sym dense
}

# It rounds activations to 8 bits in blocks of 32: each token's loss is off by .09 (root mean square, SmolLM2-135M) to either side, so that many are wanted
# before what remains, a quarter of a percent, is told from chance.
@test "llama.cpp: GGUF" {
    serves llama.cpp sym gguf
}

# With the same numbers as F32 no activation is rounded, but keys and values are, to 2^-11.
@test "llama.cpp: what the codes of GGUF stand for" {
    need imatrix
    make_run sym
    rm -rf wide && mkdir -p wide/gguf && ln -s "$RUNS/sym/dense" wide/dense
    "$python" "$CLIENT" widen sym/gguf/model.gguf wide/gguf/model.gguf
    agrees llama.cpp sym/gguf wide ids.jsonl sym F32 0.0005
}

make_plain() {
    [ -e plain ] || ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$TEXT" --out plain --tokens 4096 --length 256 --seed 1 --override '*: skip' \
        --format gguf,dense --record problems.ptq --quiet
}

@test "llama.cpp: nothing quantized" {
    need llama.cpp
    make_run sym
    make_plain
    agrees llama.cpp plain/gguf plain long.jsonl none gguf
}

# What the codes stand for is compared as F32; its own products round activations in blocks of 256 (Q8_K), where few large inputs take the others' digits: with
# SmolLM2-135M +.64%, which is no matter of the file.
@test "llama.cpp: imatrix" {
    need imatrix
    make_run sym
    make_plain
    ptq-stream imatrix problems.ptq imatrix.gguf
    rm -rf weighed back && mkdir -p weighed/gguf && ln -s "$RUNS/plain/dense" weighed/dense
    "$python" "$CLIENT" quantize plain/gguf/model.gguf imatrix.gguf weighed/gguf/model.gguf 2>said | grep '^{"tensors"' >made.json || { tail -5 said; false; }
    cat made.json
    jq -e '.with < .without' made.json
    ptq import --quiet --dtype f32 weighed/gguf/model.gguf back # as exact as the file
    rm -rf wide && mkdir -p wide/gguf && ln -s "$RUNS/plain/dense" wide/dense
    "$python" "$CLIENT" widen weighed/gguf/model.gguf wide/gguf/model.gguf
    agrees llama.cpp back wide ids.jsonl imatrix F32 0.0005
    agrees llama.cpp back weighed long.jsonl imatrix Q4_K 0.02
}
