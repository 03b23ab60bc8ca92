#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# families.bats - each architecture through the whole job: plan, run, the checkpoint read back, rotation or why not. The models are
# tiny and random (PTQ_SHARED); their forward passes are checked number by number in tests/unit/test_conformance.c.
bats_require_minimum_version 1.5.0
load bounds.bash

setup_file() {
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    cd "$BATS_FILE_TMPDIR"
    awk 'BEGIN { srand(3); for (i = 0; i < 2; i++) { printf "{\"input_ids\":["
        for (k = 0; k < 64; k++) printf "%s%d", k ? "," : "", 4 + int(rand() * 250); print "]}" } }' >data.jsonl
}

setup() {
    models=${PTQ_SHARED:-$BATS_TEST_DIRNAME/../../../shared}/data/conformance
    cd "$BATS_FILE_TMPDIR"
}

need() {
    [ -d "$models" ] || skip "data/conformance is not on this machine (PTQ_SHARED)"
}

whole_job() { # FAMILY: into ./FAMILY. Random weights are rough: 8 bits cost llama3 0.045, 4 bits 0.25, other weights more than 1
    ptq run gptq --model "$models/$1" --data data.jsonl --tokens 128 --length 64 --bits 8 --group 8 --out "$1" --quiet 2>/dev/null
    ptq eval --model "$1" --ref "$models/$1" --data data.jsonl --max-windows 1 --quiet --json >"$1.json"
    jq -e '.kld_mean < 0.15 and .kld_mean > 0' "$1.json"
}

@test "families: the list names every architecture, in words and as JSON, and what is not there is refused with it" {
    run -0 ptq families
    [[ $output == *"qwen3           Qwen3ForCausalLM"* && $output == *"rope: default, linear, dynamic, yarn, longrope, su, llama3"* ]]
    [ "$(ptq families --json | jq -r .model_type | sort -u | wc -l)" -eq "$(ptq families | grep -cE 'For(CausalLM|ConditionalGeneration)')" ]
    mkdir other
    echo '{"model_type": "falcon"}' >other/config.json
    run -100 ptq eval --model other --data data.jsonl
    [[ $output == *"model_type 'falcon' is not supported (known: $(ptq families --json | jq -r .model_type | paste -sd, | sed 's/,/, /g'))"* ]]
}

@test "families: dense ones are quantized and read back" {
    need
    for f in qwen2-window olmo3 smollm3 granite cohere2 gemma2 gemma3 phi3-longrope ministral3; do
        whole_job "$f"
    done
    ptq inspect --fast phi3-longrope | grep -q 'self_attn.qkv_proj.qweight' # what was one linear is still one
    ptq inspect --fast phi3-longrope | grep -q 'mlp.gate_up_proj.qweight'
    run -1 grep -rq 'q_proj\.' phi3-longrope/quantize_config.json
}

@test "families: experts have sites of their own, with the tokens that a router sent there" {
    need
    for f in mixtral qwen2_moe; do
        whole_job "$f"
        # each token goes to two experts of the block; attention sees all
        jq -es 'map(select(.record == "site" and (.site | test("^expert.*up$")))) | group_by(.block) | map(map(.tokens) | add == 256) | all' \
            "$f/.ptqflow/journal.jsonl"
        jq -es 'map(select(.record == "site" and .site == "attn.qkv") | .tokens == 128) | all' "$f/.ptqflow/journal.jsonl"
    done
    # what engines must not look for as quantized
    [ "$(jq -r '.dynamic | keys[]' qwen2_moe/quantize_config.json | grep -c '^-:^model\\.layers\\.[01]\\.mlp\\.\(gate\|shared_expert_gate\)(')" -eq 4 ]
    [ "$(jq '.dynamic | length' qwen2_moe/quantize_config.json)" -eq 4 ]
    grep -q 'whether each knows qwen2_moe is for it to say' qwen2_moe/README.md
    jq -es 'map(select(.record == "site" and .site == "shared.down")) | length == 2' qwen2_moe/.ptqflow/journal.jsonl
    # routers stay as they are
    [ "$(ptq inspect --fast qwen2_moe | grep -c 'mlp\.gate\.weight\|shared_expert_gate\.weight')" -eq 4 ]
    ! ptq inspect --fast qwen2_moe | grep -q 'mlp\.gate\.qweight\|shared_expert_gate\.qweight'
}

@test "families: an expert that no token goes to is rounded, and the run goes on" {
    need
    head -n 1 data.jsonl | jq -c '{input_ids: .input_ids[:4]}' >few.jsonl
    ptq run gptq --model "$models/qwen3_moe" --data few.jsonl --tokens 4 --length 4 --bits 8 --group 8 --out few --quiet 2>few.txt
    grep -q 'fallback rtn' few.txt
    jq -es 'map(select(.record == "site" and .tokens == 0)) | length > 0 and (map(.fallback == "rtn") | all)' few/.ptqflow/journal.jsonl
    jq -es 'map(select(.record == "site" and (.site | test("^expert.*up$")))) | group_by(.block) | map(map(.tokens) | add == 8) | all' \
        few/.ptqflow/journal.jsonl
    ptq eval --model few --data data.jsonl --max-windows 1 --quiet
    whole_job glm4_moe
    # a block behind the last one goes along as it was
    [ "$(ptq inspect --fast glm4_moe | grep -c '^model\.layers\.3\.')" -eq "$(ptq inspect --fast "$models/glm4_moe" | grep -c '^model\.layers\.3\.')" ]
}

@test "families: what needs a second stream is refused for experts before anything starts" {
    need
    run -100 ptq run gptaq --model "$models/mixtral" --data data.jsonl --tokens 128 --length 64 --out dual
    [[ $output == *"--dual: the model has experts"* && $output == *"expert.0.up"* ]]
    [ ! -e dual ]
}

@test "families: a rotation is the same model, or is refused by the tensor that stands in its way" {
    need
    for f in smollm3 qwen2_moe phi3; do
        ptq rotate --quiet --model "$models/$f" --dtype f32 "turned-$f"
        ptq eval --model "turned-$f" --ref "$models/$f" --data data.jsonl --max-windows 1 --quiet --json | jq -e '.kld_max < 1e-5'
    done
    for f in gemma2 cohere2 olmo2; do
        run -100 ptq rotate --model "$models/$f" "turned-$f"
        [[ $output == *"model.layers.0."* ]]
    done
}
