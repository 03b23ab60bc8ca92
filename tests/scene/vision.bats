#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vision.bats - a model that sees images through the whole job: pictures to logits, calibration with them, the checkpoint read back.
# The model is a small trained one (PTQ_SHARED); towers are checked number by number in tests/unit/test_conformance_vision.c.
bats_require_minimum_version 1.5.0
load bounds.bash

setup() {
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    shapes=${PTQ_SHARED:-$BATS_TEST_DIRNAME/../../../shared}/data/shapes-vlm
    cd "$BATS_TEST_TMPDIR"
    [ -d "$shapes" ] || skip "data/shapes-vlm is not on this machine (PTQ_SHARED)"
    cp "$BATS_TEST_DIRNAME/../golden/vision/shapes.jsonl" .
    ln -s "$shapes/eval/images" images
}

@test "vision: rows of ids with their images give the reference's logits" {
    ptq eval --model "$shapes" --data shapes.jsonl --logits logits.safetensors --quiet
    run ptq diff --json logits.safetensors "$shapes/golden.safetensors"
    # the reference's own f32 and f64 differ by 1.7e-5
    jq -es 'map(select((.what // "") | startswith("logits."))) | length == 4 and all(.max_abs < 20 * 1.7e-5)' <<<"$output"
}

@test "vision: images calibrate, the tower is carried over, and what is written sees as well" {
    ptq run gptq --model "$shapes" --data "$shapes/calib/calib.jsonl" --tokens 2048 --bits 4 --group 64 --out out --quiet 2>err
    jq -es 'map(select(.record == "site" and .site == "attn.qkv")) | length == 5 and all(.tokens > 1500)' out/.ptqflow/journal.jsonl
    run ptq diff --json out "$shapes"
    jq -es 'map(select((.what // "") | test("vision_model|connector|embed|lm_head|norm"))) | length == 0' <<<"$output"
    # engines call these modules with and without model. in front, and q, k, v of the tower by one name: a rule for each as a whole
    jq -e '.dynamic == {"-:^(model\\.)?connector(\\.|$)": {}, "-:^(model\\.)?vision_model(\\.|$)": {}}' out/quantize_config.json
    jq -e '.quantization_config and .text_config.model_type == "llama" and .vision_config' out/config.json
    cmp out/preprocessor_config.json "$shapes/preprocessor_config.json"
    ptq eval --model out --ref "$shapes" --data shapes.jsonl --json --quiet >kld.json
    jq -e '.kld_mean > 0 and .kld_mean < 0.05' kld.json # blind it is more than 1
}

@test "vision: tokens of images without one, and images without tokens, are refused by name" {
    echo '{"input_ids": [1019, 1021, 5, 7]}' >blind.jsonl
    run -100 ptq eval --model "$shapes" --data blind.jsonl
    [[ $output == *"token 1 is that of an image (1021), but there is no image for it"* ]]
    jq -c '.input_ids |= map(select(. != 1021))' shapes.jsonl >bare.jsonl
    run -100 ptq eval --model "$shapes" --data bare.jsonl
    [[ $output == *"bare.jsonl:1: 0 image tokens (id 1021) for 16 that the images have"* ]]
    run -100 ptq generate --model "$shapes" --prompts blind.jsonl
    [[ $output == *"that of an image (1021), but there is no image for it"* ]]
    for i in 1 2 3 4; do cat blind.jsonl; done >four.jsonl
    run -100 ptq run gptq --model "$shapes" --data four.jsonl --tokens 16 --length 4 --out out --quiet
    [[ $output == *"that of an image (1021), but there is no image for it"* ]]
}

@test "vision: questions about pictures are scored by their answers" {
    ptq eval --model "$shapes" --data "$shapes/eval/eval.jsonl" --answers --max-windows 40 --json --quiet >scores.json
    # the whole set has 97.0 % in transformers, by greedy decoding
    jq -e '.windows == 40 and .exact_match > 0.9 and .answer_logprob < 0 and .answer_logprob > -0.5 and .exact_match_se >= 0' scores.json
    # another picture, other answers
    jq -c '.image = "images/0000.png"' "$shapes/eval/eval.jsonl" >same.jsonl
    ptq eval --model "$shapes" --data same.jsonl --answers --max-windows 40 --json --quiet | jq -e '.exact_match < 0.7'
    echo '{"question": "What color?", "text": "red"}' >wrong.jsonl
    run -100 ptq eval --model "$shapes" --data wrong.jsonl --answers
    [[ $output == *"wrong.jsonl:1"*"answer"* ]]
    echo '{"question": "What color?", "answer": "red", "image": "images/none.png"}' >wrong.jsonl
    run -100 ptq eval --model "$shapes" --data wrong.jsonl --answers
    [[ $output == *"images/none.png"* ]]
}

@test "vision: a quantized tower: sites of its own before the decoder's, the bytes of any number of workers, read back, or refused by name" {
    local conformance=$shapes/../conformance
    [ -d "$conformance/qwen3_vl" ] || skip "data/conformance is not on this machine (PTQ_SHARED)"
    ptq_ask() { ptq run vlm --model "$M" --data "$data" --chunk-tokens 60 --bits 4 --group -1 --grid sym --quiet "$@"; }
    for f in qwen3_vl idefics3; do # one with levels that branch off, one whose engines fuse q, k and v
        M=$conformance/$f data=$f.jsonl
        cp "$BATS_TEST_DIRNAME/../golden/vision/$f.jsonl" . && ln -sfn "$M/images" images
        ptq_ask --tokens 120 --vision quantize --format dense --out one --overwrite --workers forward=1
        ptq_ask --tokens 120 --vision quantize --format dense,compressed-tensors --out three --overwrite --workers forward=3
        cmp one/model.safetensors three/dense/model.safetensors
        # every linear of the tower's blocks, and no other tensor of it
        ptq diff --json one "$M" | jq -es --argjson tower "$(jq '.vision_config.depth // .vision_config.num_hidden_layers' "$M/config.json")" '
            map(.what // "") | (map(select(test("(visual.blocks|vision_model.encoder.layers)[.][0-9]+[.](attn|self_attn|mlp).*weight$"))) | length) as $n |
            (map(select(test("visual|vision_model"))) | length) == $n and $n >= 4 * $tower'
        ptq check three/compressed-tensors >/dev/null
        ptq convert --model three/compressed-tensors --format dense "back-$f" --quiet
        for out in three/dense three/compressed-tensors "back-$f"; do
            ptq eval --model "$out" --ref "$M" --data "$data" --json --quiet | jq .kld_mean
        done >kld
        jq -es '(.[1] / .[0] - 1 | fabs) < 0.05 and (.[2] / .[0] - 1 | fabs) < 0.05' kld # scales round in f16 there, in bf16 here
    done
    # blocks of the tower have the numbers behind the decoder's
    jq -es --argjson layers "$(jq .text_config.num_hidden_layers "$M/config.json")" 'map(select(.record == "site")) |
        (.[0] | .site == "vision.attn.qkv" and .block == $layers and .linears[0].name == "model.vision_model.encoder.layers.0.self_attn.q_proj") and
        all(.[]; (.site | startswith("vision.")) == (.block >= $layers))' one/.ptqflow/journal.jsonl
    run -100 ptq_ask --tokens 120 --vision quantize --format gptq --out no
    [[ $output == *"looks for codes in the blocks of the decoder alone"* ]]
    run -100 ptq_ask --tokens 120 --vision quantize --format dense --dual --out no
    [[ $output == *"--vision quantize"*"leave --dual out"* ]]
    run -100 ptq convert --model three/compressed-tensors --format gptq no
    run -100 ptq run gptq --model "$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3" --data "$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3/calib.jsonl" \
        --tokens 512 --length 256 --vision quantize --format dense --out no
    [[ $output == *"has no tower"* ]]
}
