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

whole_job() { # FAMILY [KLD]: into ./FAMILY. Random weights are rough: 8 bits cost llama3 0.045, 4 bits 0.25, other weights more than 1
    ptq run gptq --model "$models/$1" --data data.jsonl --tokens 128 --length 64 --bits 8 --group 8 --out "$1" --quiet 2>/dev/null
    ptq check "$1"
    ptq eval --model "$1" --ref "$models/$1" --data data.jsonl --max-windows 1 --quiet --json >"$1.json"
    jq -e ".kld_mean < ${2:-0.15} and .kld_mean > 0" "$1.json"
}

same_alone() { # MODEL: what it says to two prompts does not depend on whether they run together
    head -n 2 data.jsonl | jq -c '{input_ids: .input_ids[:9]}' >prompts.jsonl
    for n in 1 2; do
        ptq generate --model "$1" --prompts prompts.jsonl --max-tokens 8 --temperature 0 --ignore-eos --ids --batch "$n" --quiet >"said$n"
    done
    [ "$(wc -l <said1)" -eq 2 ]
    diff <(sort said1) <(sort said2)
}

@test "families: the list names every architecture, in words and as JSON, and what is not there is refused with it" {
    run -0 ptq families
    [[ $output =~ qwen3\ +Qwen3ForCausalLM && $output == *"rope: default, linear, mrope, dynamic, yarn, longrope, su, llama3, proportional"* ]]
    [ "$(ptq families --json | jq -r .model_type | sort -u | wc -l)" -eq "$(ptq families | grep -cE 'For(CausalLM|ConditionalGeneration)')" ]
    mkdir other
    echo '{"model_type": "falcon"}' >other/config.json
    run -100 ptq eval --model other --data data.jsonl
    [[ $output == *"model_type 'falcon' is not supported (ptq families lists what is known)"* ]]
    echo '{"model_type": "gwen3"}' >other/config.json
    run -100 ptq eval --model other --data data.jsonl
    [[ $output == *"model_type 'gwen3' is not supported; near it is qwen3 (ptq families"* ]]
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

@test "families: an MLP without a gate, and a router of sigmoids, are quantized, read back and rotated" {
    jq -c '.input_ids |= map(. % 60 + 4)' data.jsonl >narrow.jsonl
    for f in arcee minimax_m2; do
        m=$BATS_TEST_DIRNAME/../golden/conformance/$f
        ptq run gptq --model "$m" --data narrow.jsonl --tokens 128 --length 64 --bits 8 --group 8 --out "$f" --quiet 2>/dev/null
        ptq eval --model "$f" --ref "$m" --data narrow.jsonl --max-windows 1 --quiet --json | jq -e '.kld_mean < 0.15 and .kld_mean > 0'
        ptq rotate --model "$m" --dtype f32 "$f-turned" --quiet
        ptq eval --model "$f-turned" --ref "$m" --data narrow.jsonl --max-windows 1 --quiet --json | jq -e '.kld_max < 1e-5'
    done
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
    run -1 grep 'mlp\.gate\.qweight\|shared_expert_gate\.qweight' <(ptq inspect --fast qwen2_moe)
}

@test "families: decoders of models that see are quantized and read back, their towers are not touched" {
    need
    for f in llava qwen3_vl; do
        whole_job "$f"
        run ptq diff --json "$f" "$models/$f"
        jq -es 'map(select((.what // "") | test("vision_tower|visual|projector"))) | length == 0' <<<"$output"
    done
    run -100 ptq rotate --model "$models/idefics3" turned-idefics3
    [[ $output == *"is none of the architecture's"* ]]
}

@test "families: an expert that no token goes to is rounded, and the run goes on" {
    need
    head -n 1 data.jsonl | jq -c '{input_ids: .input_ids[:4]}' >few.jsonl
    ptq run gptq --model "$models/qwen3_moe" --data few.jsonl --tokens 4 --length 4 --bits 8 --group 8 --out few --quiet 2>few.txt
    grep -q 'too few: rounded to nearest' few.txt
    jq -es 'map(select(.record == "site" and .tokens == 0)) | length > 0 and (map(.fallback == "rtn") | all)' few/.ptqflow/journal.jsonl
    jq -es 'map(select(.record == "site" and (.site | test("^expert.*up$")))) | group_by(.block) | map(map(.tokens) | add == 8) | all' \
        few/.ptqflow/journal.jsonl
    ptq eval --model few --data data.jsonl --max-windows 1 --quiet
    whole_job deepseek_v3 0.3 # rounded to nearest: 0.36
    whole_job glm4_moe
    # a block behind the last one goes along as it was
    [ "$(ptq inspect --fast glm4_moe | grep -c '^model\.layers\.3\.')" -eq "$(ptq inspect --fast "$models/glm4_moe" | grep -c '^model\.layers\.3\.')" ]
}

@test "families: experts in one tensor, turned, are cut; codes are written one by one, weights as they were" {
    need
    ptq run gptq --model "$models/gpt_oss" --data data.jsonl --tokens 128 --length 64 --bits 8 --group 8 --out gpt_oss --quiet 2>/dev/null
    # few tokens for each expert: 0.18 here, 0.29 when all is rounded to nearest
    ptq eval --model gpt_oss --ref "$models/gpt_oss" --data data.jsonl --max-windows 1 --quiet --json | jq -e '.kld_mean < 0.25'
    ptq check gpt_oss
    [ "$(ptq inspect --fast gpt_oss | grep -c 'layers\.0\.mlp\.experts\..*\.qweight')" -eq 16 ]
    [ "$(ptq inspect --fast gpt_oss | grep -c 'layers\.0\.mlp\.experts\..*\.bias')" -eq 16 ]
    run -1 grep -c 'gate_up_proj\|down_proj' <(ptq inspect --fast gpt_oss)
    ptq run gptq --model "$models/gpt_oss" --data data.jsonl --tokens 128 --length 64 --bits 8 --group 8 --format dense \
        --override 'b1.expert.[0124567].*: skip' --override 'b2.expert.*: skip' --out fused --quiet 2>/dev/null
    ptq eval --model fused --ref "$models/gpt_oss" --data data.jsonl --max-windows 1 --quiet --json | jq -e '.kld_mean < 0.25'
    diff <(ptq inspect --fast fused | grep '^model') <(ptq inspect --fast "$models/gpt_oss" | grep '^model')
    # block 2 is what it was; of block 1 all but one expert in eight; of block 0 nearly everything is another number
    run -1 --separate-stderr ptq diff --json fused "$models/gpt_oss"
    run -0 jq -rs 'map(select(.what // "" | test("down_proj"))) | map((.what | split(".")[2]) + " " + (.how | split(" ")[0])) | join(",")' <<<"$output"
    [[ $output =~ ^0\ ([0-9]+),1\ ([0-9]+),3\ ([0-9]+)$ ]]
    [ "${BASH_REMATCH[1]}" -gt 16384 ]
    [ "${BASH_REMATCH[2]}" -gt 2048 ]
    [ "${BASH_REMATCH[2]}" -le 4096 ]
    [ "${BASH_REMATCH[3]}" -gt 16384 ]
}

@test "families: blocks without attention are quantized and read back, and their state goes from token to token" {
    need
    whole_job qwen3_next 0.1 # rounded to nearest: 0.123
    jq -es 'map(select(.record == "site" and .block == 0) | .site) | index("delta.in") == 0 and index("delta.out") == 1' \
        qwen3_next/.ptqflow/journal.jsonl
    # one tensor for all experts, tensors that take no part, a config in another
    whole_job qwen3_5_moe 0.28 # 0.35
    [ "$(ptq inspect --fast qwen3_5_moe | grep -c 'layers\.1\.mlp\.experts\..*\.qweight')" -eq 24 ]
    diff <(ptq inspect qwen3_5_moe | grep '^mtp\|^model.visual') <(ptq inspect "$models/qwen3_5_moe" | grep '^mtp\|^model.visual')
    jq -e '.text_config.model_type == "qwen3_5_moe_text" and .quantization_config.quant_method == "gptq"' qwen3_5_moe/config.json
    # sequences beside one another, or one after the other, each with its own state
    for f in qwen3_5 deepseek_v3 gpt_oss; do
        same_alone "$models/$f"
    done
    run -100 ptq run gptq --model "$models/qwen3_next" --data data.jsonl --tokens 64 --length 64 --group 8 --out none --token-weights attention --dry-run
    [[ $output == *"--token-weights attention: model.layers.0 has no attention"* ]]
    run -1 grep -c 'in_proj_ba.qweight\|conv1d.qweight' <(ptq inspect --fast qwen3_next)
}

@test "families: blocks that have embeddings of their own, and keys and values of earlier ones" {
    need
    whole_job gemma4 0.04 # 0.056
    jq -es 'map(select(.record == "site" and .site == "attn.qkv") | .linears | length) == [3, 3, 3, 1, 1, 1]' gemma4/.ptqflow/journal.jsonl
    # what takes no part in it goes along as it was, as do the linears that let the embeddings in
    diff <(ptq inspect gemma4 | grep 'layers.[345].self_attn.[kv]_\|per_layer') \
        <(ptq inspect "$models/gemma4" | grep 'layers.[345].self_attn.[kv]_\|per_layer')
    same_alone gemma4
    for n in 1 2; do # states in memory, and in the files of two processes
        ptq run gptq --model "$models/gemma4" --data data.jsonl --tokens 128 --length 64 --chunk-tokens 64 --bits 8 --group 8 --out "by$n" --quiet \
            --workers "forward=$n" --forward.mem "$((2 - n))G" 2>/dev/null
    done
    cmp by1/model.safetensors by2/model.safetensors
}

@test "families: experts in one tensor beside an MLP" {
    need
    whole_job gemma4-moe 0.1 # 0.113
    [ "$(ptq inspect --fast gemma4-moe | grep -c 'layers\.1\.experts\..*\.qweight')" -eq 24 ]
    ptq run gptq --model "$models/gemma4-moe" --data data.jsonl --tokens 64 --length 64 --bits 8 --group 8 --format dense --out side --quiet 2>/dev/null
    diff <(ptq inspect --fast side | grep '^model') <(ptq inspect --fast "$models/gemma4-moe" | grep '^model')
    ptq eval --model side --ref "$models/gemma4-moe" --data data.jsonl --max-windows 1 --quiet --json | jq -e '.kld_mean < 0.09' # 0.112
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
