#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# served.bats - one model in every format that engines load, made by two runs, and each engine that is installed: it writes some text, and
# its perplexity is that of `ptq eval` to 0.5%. PTQ_CLIENT_PYTHON: Pythons that have the engines, one or several with ':' between them.
# PTQ_CLIENT_MODEL, PTQ_CLIENT_TEXT: another model than the demo's and the text for it (.jsonl); PTQ_CLIENT_RUNS: a folder that keeps the two runs.
bats_require_minimum_version 1.5.0

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

need() { # ENGINE: $python has it
    local p why pythons
    IFS=: read -ra pythons <<<"${PTQ_CLIENT_PYTHON:-python3}"
    for p in "${pythons[@]}"; do
        if why=$("$p" "$CLIENT" has "$1" 2>&1); then
            python=$p
            return
        fi
    done
    skip "${why:-no $p here}"
}

make_run() { # sym|asym
    local formats=gptq,compressed-tensors,gguf,dense
    [ "$1" = sym ] || formats=gptq-v2,awq,compressed-tensors
    [ -e "$1/${formats##*,}" ] || ptq run "$ROOT/pipelines/gptq.pipe" --model "$M" --data "$TEXT" --out "$1" --tokens 4096 --length 256 --seed 1 \
        --bits 4 --group 64 --grid "$1" --format "$formats" --quiet
    [ -e ids.jsonl ] || { "$python" "$CLIENT" ids "$M" "$TEXT" 64 2 >new && mv new ids.jsonl; }
}

serves() { # ENGINE sym|asym FORMAT
    need "$1"
    make_run "$2"
    ptq eval --model "$2/$3" --data ids.jsonl --logits logits --json --quiet >ours.json
    "$python" "$CLIENT" run "$1" "$([ "$1" = llama.cpp ] && echo "$2" || echo "$2/$3")" ids.jsonl logits 2>said | grep '^{"engine"' >theirs.json || { tail -5 said; false; }
    cat ours.json theirs.json
    jq -es '(.[1].perplexity / .[0].perplexity - 1 | fabs) < 0.005 and (.[1].written | length) == 12' ours.json theirs.json
}

@test "transformers: GPTQ" {
    serves transformers sym gptq
}

@test "transformers: GPTQ v2, zero points" {
    serves transformers asym gptq-v2
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

@test "vLLM: compressed-tensors, zero points" {
    serves vllm asym compressed-tensors
}

@test "llama.cpp: GGUF" {
    serves llama.cpp sym gguf
}
