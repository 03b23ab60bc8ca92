#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# clients.bats - checkpoints in engines that others made, against `ptq eval` on the same tokens. Engines are Python packages (client.py names
# them) in the Pythons that PTQ_CLIENT_PYTHON names (need.bash), python3 by default; what is not installed there is skipped.
bats_require_minimum_version 1.5.0
load need.bash

setup() {
    root=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$root/bin}:$PATH"
    python= client=$BATS_TEST_DIRNAME/client.py
    M=$root/pipelines/demo/tale-qwen3
    cd "$BATS_TEST_TMPDIR"
}

loads() { # ENGINE OFF OPTIONS...: the logits are within OFF of ours (relative, root mean square), the perplexity within 0.1%
    local engine=$1 off=$2 kind='--bits 4 --group 64'
    shift 2
    [[ " $* " != *" --group "* ]] || kind=
    need "$engine"
    ptq run "$root/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out out --tokens 4096 --length 256 --seed 1 $kind --quiet "$@"
    "$python" "$client" ids "$M" "$M/eval.jsonl" 256 4 >ids.jsonl
    ptq eval --model out --data ids.jsonl --logits logits --json --quiet >ours.json
    "$python" "$client" run "$engine" out ids.jsonl logits 2>said | grep '^{"engine"' >theirs.json || { tail -5 said; false; }
    cat ours.json theirs.json
    jq -es --argjson off "$off" '(.[1].perplexity / .[0].perplexity - 1 | fabs) < 0.001 and .[1].off < $off' ours.json theirs.json
}

# transformers and openvino compute in f32 here, as we do; gptqmodel in 16 bits: 2^-11 for each of some roundings.
@test "transformers: 4 bits" {
    loads transformers 0.001
}

@test "transformers: a block that was skipped" {
    loads transformers 0.001 --override 'b1.*: skip'
}

@test "transformers: zero points" {
    loads transformers 0.001 --grid asym
}

@test "compressed-tensors: 4 bits" {
    loads compressed-tensors 0.001 --format compressed-tensors
}

@test "compressed-tensors: its own packer reads and makes the same tensors" {
    need compressed-tensors
    for kind in '--bits 4 --group 64 --grid asym' '--bits 8 --group -1 --grid asym' '--bits 2 --group 32 --grid sym'; do
        ptq run "$root/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out out --overwrite --tokens 512 --length 256 --solver rtn --quiet \
            --format compressed-tensors,dense $kind
        "$python" "$client" pack out/compressed-tensors out/dense 2>said >packed.json || { tail -5 said; false; }
        cat packed.json
        jq -e '.differ == [] and .tensors >= 3 * 42' packed.json
    done
}

@test "compressed-tensors: zero points, one group a row, a block that was skipped" {
    loads compressed-tensors 0.001 --format compressed-tensors --grid asym --override 'mlp.down: group=-1' --override 'b1.*: skip'
}

@test "compressed-tensors: mixed bits and groups" {
    loads compressed-tensors 0.001 --format compressed-tensors --override 'mlp.down: bits=8 group=32' --override 'b2.attn.qkv: bits=8'
}

# Their weights alone: activations that are rounded to FP8 are the engine's affair.
@test "compressed-tensors: FP8" {
    loads compressed-tensors-weights 0.001 --format compressed-tensors --grid fp8 --bits 8 --group -1
}

@test "compressed-tensors: NVFP4, a block that was skipped" {
    loads compressed-tensors-weights 0.00001 --format compressed-tensors --grid nvfp4 --group 16 --override 'b1.*: skip'
}

@test "compressed-tensors: MXFP4" {
    loads compressed-tensors-weights 0.00001 --format compressed-tensors --grid mxfp4 --group 32 --fit mse
}

@test "transformers: AWQ, zero points, a block that was skipped" {
    loads transformers 0.001 --format awq --grid asym --override 'b1.*: skip'
}

@test "transformers: GPTQ v2, zero points" {
    loads transformers 0.001 --format gptq-v2 --grid asym
}

@test "gptqmodel: GPTQ v2, zero points" {
    loads gptqmodel 0.005 --format gptq-v2 --grid asym
}

@test "transformers: groups in the order of activation" {
    loads transformers 0.001 --bits 4 --group 32 --desc-act yes --groups dynamic
}

@test "gptqmodel: groups in the order of activation" {
    loads gptqmodel 0.005 --bits 4 --group 32 --desc-act yes --groups dynamic
}

@test "gptqmodel: mixed bits and groups" {
    loads gptqmodel 0.005 --override 'mlp.down: bits=8 group=32'
}

@test "gptqmodel: a block that was skipped" {
    loads gptqmodel 0.005 --override 'b1.*: skip'
}

@test "openvino: 4 bits, a block that was skipped" {
    loads openvino 0.001 --override 'b1.*: skip'
}

@test "llama.cpp: the head in 8 bits" {
    need llama.cpp
    ptq run "$root/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out out/gguf --tokens 4096 --length 256 --seed 1 --quiet --format gguf --lm-head 8
    ptq import --quiet out/gguf/model.gguf out/dense
    "$python" "$client" ids "$M" "$M/eval.jsonl" 256 16 >ids.jsonl
    ptq eval --model out/dense --data ids.jsonl --json --quiet >ours.json
    "$python" "$client" run llama.cpp out ids.jsonl - 2>said | grep '^{"engine"' >theirs.json || { tail -5 said; false; }
    cat ours.json theirs.json
    jq -es '(.[1].perplexity / .[0].perplexity - 1 | fabs) < 0.005 and .[1].cut_otherwise == 0' ours.json theirs.json
}

@test "llama.cpp: experts" {
    need llama.cpp
    moe=${PTQ_SHARED:-$root/../shared}/data/tale-moe
    [ -e "$moe" ] || skip "no $moe here (PTQ_SHARED)"
    ptq run "$root/pipelines/gptq.pipe" --model "$moe" --data "$M/calib.jsonl" --out out --tokens 4096 --length 256 --seed 1 --quiet \
        --bits 4 --group 64 --override '*down*: bits=8 group=32' --override 'b1.*: skip' --format gguf,dense
    "$python" "$client" ids "$M" "$M/eval.jsonl" 256 16 >ids.jsonl
    ptq eval --model out/dense --data ids.jsonl --json --quiet >ours.json
    "$python" "$client" run llama.cpp out ids.jsonl - 2>said | grep '^{"engine"' >theirs.json || { tail -5 said; false; }
    cat ours.json theirs.json
    jq -es '(.[1].perplexity / .[0].perplexity - 1 | fabs) < 0.005 and .[1].cut_otherwise == 0' ours.json theirs.json
}

# It rounds activations to 8 bits: 0.5%, as little as the text is.
@test "llama.cpp: 4 and 8 bits, zero points, a block that was skipped; tokens cut alike" {
    need llama.cpp
    ptq run "$root/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out out --tokens 4096 --length 256 --seed 1 --quiet \
        --bits 4 --group 64 --override 'mlp.down: bits=8 group=32' --override 'b1.*: skip' --override 'b2.*: bits=4 grid=exact-asym' --format gguf,dense
    "$python" "$client" ids "$M" "$M/eval.jsonl" 256 16 >ids.jsonl
    ptq eval --model out/dense --data ids.jsonl --json --quiet >ours.json
    "$python" "$client" run llama.cpp out ids.jsonl - 2>said | grep '^{"engine"' >theirs.json || { tail -5 said; false; }
    cat ours.json theirs.json
    jq -es '(.[1].perplexity / .[0].perplexity - 1 | fabs) < 0.005 and .[1].cut_otherwise == 0' ours.json theirs.json
}

# Random weights: scores are far apart, the numbers of 16 bits that it keeps and its tables of GELU count.
@test "llama.cpp: Gemma 2 and 3, Phi-3 with and without longrope" {
    need llama.cpp
    models=${PTQ_SHARED:-$root/../shared}/data/conformance
    [ -e "$models" ] || skip "no $models here (PTQ_SHARED)"
    while read -r name values; do
        rm -rf m out
        "$python" "$client" bytes "$models/$name" m $values
        ptq run "$root/pipelines/gptq.pipe" --model m --data m/ids.jsonl --out out --tokens 240 --length 24 --quiet --override '*: skip' --format gguf,dense
        head -n 4 m/ids.jsonl >ids.jsonl
        ptq eval --model out/gguf --data ids.jsonl --json --quiet >ours.json
        "$python" "$client" run llama.cpp out ids.jsonl - 2>said | grep '^{"engine"' >theirs.json || { tail -5 said; false; }
        cat ours.json theirs.json
        jq -es '(.[1].perplexity / .[0].perplexity - 1 | fabs) < 0.005' ours.json theirs.json
    done <<END
gemma2 query_pre_attn_scalar=24
gemma3 query_pre_attn_scalar=20
phi3 sliding_window=null
phi3-longrope max_position_embeddings=1024 original_max_position_embeddings=512 rope_parameters=null rope_scaling={"type":"longrope","short_factor":[1.0,1.05,1.1,1.2,1.3,1.4,1.5,1.6],"long_factor":[1.1,1.3,1.7,2.1,2.6,3.0,3.5,4.0]}
END
}

sees() { # FAMILY OPTIONS...: a conformance model with its pictures, dense and in codes
    local data=${PTQ_SHARED:-$root/../shared}/data/conformance/$1 family=$1
    shift
    [ -d "$data" ] || skip "data/conformance is not on this machine (PTQ_SHARED)"
    need compressed-tensors
    cp "$root/tests/golden/vision/$family.jsonl" ids.jsonl && ln -sfn "$data/images" images
    ptq run vlm --model "$data" --data ids.jsonl --out out --overwrite --tokens 130 --chunk-tokens 65 --bits 4 --group -1 --grid sym \
        --format dense,compressed-tensors --quiet "$@"
    for made in dense compressed-tensors; do
        ptq eval --model out/$made --data ids.jsonl --logits logits --json --quiet >ours.json
        "$python" "$client" see out/$made "$data/golden.safetensors" logits 2>said | grep '^{"engine"' >theirs.json || { tail -5 said; false; }
        cat theirs.json
        # f32 against f32; pictures are prepared anew here, within a step of uint8 of the golden's
        jq -e '.rows == 2 and .off < 0.001' theirs.json
    done
}

@test "compressed-tensors: a model that sees, decoder and tower in codes" {
    sees idefics3 --vision quantize
}

@test "compressed-tensors: a model that sees whose modules others call by other names than its file" {
    sees qwen2_5_vl --vision quantize
}

# Activations are rounded there as here; a number that lies between two steps may fall to either side.
@test "compressed-tensors: W4A8" {
    loads compressed-tensors 0.02 --format compressed-tensors --grid sym --group -1 --act-bits 8
}

@test "transformers: every family with options that few use" {
    need dense
    models=${PTQ_SHARED:-$root/../shared}/data/conformance
    [ -d "$models" ] || skip "no $models here (PTQ_SHARED)"
    "$python" "$BATS_TEST_DIRNAME/variants.py" "$models" . 2>said || { tail -5 said; false; }
}
