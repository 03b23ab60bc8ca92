#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# formats.bats - one run, every format: each is read back as the same model, and what a format cannot hold is refused before the start.
bats_require_minimum_version 1.5.0
load model.bash

setup_file() {
    root=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$root/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model W=$BATS_FILE_TMPDIR
    narrow_model "$M" 2
    ptq run "$root/pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out "$W/all" --tokens 512 --length 128 --quiet \
        --solver rtn --grid asym --bits 4 --group 64 --override 'b1.*: skip' --format gptq,gptq-v2,compressed-tensors,awq,dense
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

refused() { # WORD OPTIONS...: before anything was started
    local word=$1
    shift
    run -100 --separate-stderr ptq run "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out out "$@"
    [[ $stderr == *"$word"* ]] || { echo "$stderr"; false; }
    [ ! -e out ]
}

@test "every format of one run is the same model" {
    for f in gptq gptq-v2 compressed-tensors awq; do
        ptq eval --model "$W/all/$f" --data "$M/eval.jsonl" --window 128 --max-windows 1 --json --quiet >$f.json
        cmp gptq.json $f.json
        ptq inspect --json "$W/all/$f" | jq -es '.[-1].quantized_linears == 7 and (map(select(.bits)) | all(.bits == 4 and .group == 64))'
        [ -s "$W/all/$f/README.md" ]
        grep -q "^- $f\$" "$W/all/$f/README.md"
    done
    ptq eval --model "$W/all/dense" --data "$M/eval.jsonl" --window 128 --max-windows 1 --json --quiet >dense.json
    jq -es '(.[0].perplexity / .[1].perplexity - 1 | fabs) < 0.002' gptq.json dense.json
}

@test "ptq check: what we write is whole, what is wrong is named, and the exit status tells" {
    for f in gptq compressed-tensors awq dense; do
        run -0 --separate-stderr ptq check "$W/all/$f"
        [[ $output == *"0 problems, 0 warnings"*"loads in: transformers"* ]]
    done
    cp -r "$W/all/awq" awq
    jq '.quantization_config.group_size = 32' "$W/all/awq/config.json" >awq/config.json
    run -1 --separate-stderr ptq check --json awq
    jq -es '(map(select(.problem)) | length) == 7 and .[-1].problems == 7 and (.[0].problem | contains("config.json wants [2, 8]"))' <<<"$output"
    run -100 ptq check "$BATS_TEST_TMPDIR"
    cp -r "$W/all/dense" said
    jq --slurpfile q "$W/all/gptq/config.json" '.quantization_config = $q[0].quantization_config' "$W/all/dense/config.json" >said/config.json
    cp "$W/all/gptq/quantize_config.json" said
    run -1 --separate-stderr ptq check said
    [[ $output == "problem: config.json says that weights are quantized"*", but none is"*"1 problem, 0 warnings" ]]
}

@test "groups in the order of activation: the same model in each format that holds them, refused by the others" {
    ptq run "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out act --tokens 512 --length 128 --quiet \
        --bits 4 --group 32 --desc-act yes --groups dynamic --override 'b1.*: skip' --format gptq,gptq-v2,dense
    for f in gptq gptq-v2; do
        ptq eval --model act/$f --data "$M/eval.jsonl" --window 128 --max-windows 1 --json --quiet >$f.json
        run -0 --separate-stderr ptq check act/$f
        [[ $output == *"0 problems, 0 warnings"*"loads in: transformers"* ]]
        [ "$(ptq inspect --fast act/$f | grep -c 'g_idx  I32')" -eq 7 ]
    done
    cmp gptq.json gptq-v2.json
    jq -e '.desc_act and (.static_groups | not)' act/gptq/quantize_config.json
    ptq convert --model act/gptq --format gptq-v2 v2 --quiet
    ptq diff v2 act/gptq-v2
    ptq convert --model act/gptq --format dense dense --quiet # rounded to F16, act/dense to BF16
    run -1 --separate-stderr ptq diff --json dense act/dense
    jq -es '.[-1].worst_relative_error < 0.003' <<<"$output"
    refused "in the awq format no reader of today takes groups of inputs that do not follow each other" --format awq --bits 4 --group 32 --desc-act yes
    refused "--desc-act yes goes with --order act" --desc-act yes --order group
    run -100 ptq convert --model act/gptq --format compressed-tensors ct --quiet
    [[ $output == *"in the compressed-tensors format no reader of today takes"* ]]
    run -100 ptq convert --model act/gptq --format gguf no --quiet
    [[ $output == *"--desc-act yes: in the gguf format no reader of today takes"* ]]
}

@test "a quantized head: in the formats whose engines take one, read back and converted; elsewhere and without a head of its own refused" {
    model=$BATS_TEST_DIRNAME/../golden/conformance/llama3
    awk 'BEGIN { srand(3); printf "{\"input_ids\":["; for (k = 0; k < 64; k++) printf "%s%d", k ? "," : "", 4 + int(rand() * 250); print "]}" }' >ids.jsonl
    ptq run "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model "$model" --data ids.jsonl --out head --tokens 64 --length 64 --quiet \
        --solver rtn --bits 4 --group 32 --lm-head 8 --format gptq,gptq-v2,compressed-tensors
    for f in gptq gptq-v2 compressed-tensors; do
        ptq eval --model head/$f --data ids.jsonl --json --quiet >$f.json
        cmp gptq.json $f.json
        run -0 --separate-stderr ptq check head/$f
        [[ $output == *"29 linears, 29 quantized"*"0 problems, 0 warnings"* ]]
        grep -q '^The head is rounded to nearest' head/$f/README.md
    done
    jq -e '.lm_head and (.dynamic["+:^lm_head(\\.|$)"] | .bits == 8)' head/gptq/quantize_config.json
    jq -e '.quantization_config | (.ignore | index("lm_head") | not) and .config_groups.group_1.targets == ["re:^lm_head$"]' head/compressed-tensors/config.json
    ptq convert --model head/gptq --format compressed-tensors ct --quiet
    ptq diff ct head/compressed-tensors
    ptq convert --model ct --format gptq back --quiet
    ptq diff back head/gptq
    # 8 bits, in groups of 32
    ptq convert --model head/gptq --format dense dense --quiet
    run -1 --separate-stderr ptq diff --json dense "$model"
    jq -es 'map(select(.what == "lm_head.weight")) | length == 1 and all(.relative_error < 0.006)' <<<"$output"
    # AWQ: 4 bits for the head too; what says so is what vLLM looks at
    ptq run "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model "$model" --data ids.jsonl --out four --tokens 64 --length 64 --quiet \
        --solver rtn --bits 4 --group 32 --grid asym --lm-head 4 --format awq,gptq-v2
    for f in awq gptq-v2; do
        ptq eval --model four/$f --data ids.jsonl --json --quiet >$f.json
    done
    cmp awq.json gptq-v2.json
    run -0 --separate-stderr ptq check four/awq
    [[ $output == *"29 linears, 29 quantized"*"0 problems, 0 warnings"* ]]
    jq -e '.quantization_config | .lm_head and (.modules_to_not_convert | index("lm_head") | not)' four/awq/config.json
    grep -q 'vLLM; not transformers (a quantized head)' four/awq/README.md
    ptq convert --model four/gptq-v2 --format awq again --quiet
    ptq diff again four/awq
    run -100 ptq run gptq --model "$model" --data ids.jsonl --tokens 64 --length 64 --out never --bits 4 --group 32 --format awq --lm-head 8
    [[ $output == *"--lm-head 8: 'lm_head': AWQ stores 4 bits, not 8"* ]]
    refused "has no head of its own (tie_word_embeddings)" --format gptq --lm-head 8 --bits 4 --group 64 --tokens 512 --length 128
    for how in "run gptq --out never --dry-run --data $M/calib.jsonl" "plan gptq"; do
        run -100 ptq $how --model "$M" --format gptq --lm-head 8 --bits 4 --group 64 --tokens 512 --length 128
        [[ $output == *"has no head of its own (tie_word_embeddings)"* ]]
    done
    run -100 ptq convert --model head/gptq --format awq awq --quiet
    [[ $output == *"'lm_head': AWQ stores 4 bits, not 8"* ]]
}

@test "ptq convert: there and back is the same checkpoint, of what was kept too" {
    ptq convert --model "$W/all/gptq" --format awq awq --quiet
    ptq convert --model awq --format compressed-tensors ct --quiet
    ptq convert --model ct --format gptq gptq --quiet
    for f in awq ct:compressed-tensors gptq; do
        ptq diff "$W/all/${f#*:}" "${f%:*}"
        ptq check "${f%:*}"
    done
    cmp awq/config.json "$W/all/awq/config.json"
    ptq inspect --json --fast gptq | jq -es '[.[-1].records[] | select(.stage == "convert") | .from + " " + .format] ==
        ["gptq awq", "awq compressed-tensors", "compressed-tensors gptq"]'
    run -100 --separate-stderr ptq convert --model "$M" --format awq no
    [[ $stderr == *"no linear that is quantized"* ]]
    run -100 --separate-stderr ptq convert --model awq --format gptq gptq
    [[ $stderr == *"not empty"* ]]
    run -100 ptq convert --model awq --format gptq,awq no
    [ ! -e no ]
}

@test "floating-point grids: the checkpoint is the dense model, and other formats refuse them before the start" {
    ptq run "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out out --tokens 256 --length 128 --quiet \
        --grid nvfp4 --group 16 --override 'b1.*: skip' --format compressed-tensors,dense
    ptq diff out/dense out/compressed-tensors
    run -0 --separate-stderr ptq check out/compressed-tensors
    [[ $output == *"0 problems, 0 warnings"*"loads in: transformers, vLLM (on a GPU)"* ]]
    ptq inspect --json out/compressed-tensors | jq -es 'map(select(.grid)) | length == 7 and all(.grid == "nvfp4" and .scale_type == "F8_E4M3" and .bits == 4)'
    ptq convert --model out/compressed-tensors --format dense back --quiet
    ptq diff out/dense back
    run -100 --separate-stderr ptq convert --model out/compressed-tensors --format gptq no
    [[ $stderr == *"holds grids of equal steps, not nvfp4"* ]]
    rm -r out
    refused "holds grids of equal steps, not fp8" --format gptq --grid fp8 --bits 8 --group -1
    refused "grid mxfp4 has groups of 32: say --group 32, not 64" --format compressed-tensors --grid mxfp4
    refused "with a scale for each row" --format compressed-tensors --grid fp8 --bits 8
}

@test "rounded activations: compressed-tensors says so, and what it says is measured; other formats need to be told" {
    ptq run "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out out --tokens 256 --length 128 --quiet \
        --bits 4 --group 64 --grid sym --act-bits 8 --format compressed-tensors,dense
    jq -e '.quantization_config | .format == "int-quantized" and (.config_groups.group_0 | .format == "int-quantized" and .weights.num_bits == 4 and
        (.input_activations | .num_bits == 8 and .type == "int" and .strategy == "token" and .dynamic and .symmetric))' out/compressed-tensors/config.json
    run -0 --separate-stderr ptq check out/compressed-tensors
    [[ $output == *"0 problems, 0 warnings"* ]]
    measure() { ptq eval --data "$M/eval.jsonl" --window 128 --max-windows 1 --json --quiet "$@"; }
    for given in "compressed-tensors --act-bits 8" compressed-tensors "compressed-tensors --act-bits 0" "dense --act-bits 8" dense; do
        # shellcheck disable=SC2086
        measure --model out/$given | jq .perplexity
    done >perplexity # the dense one has its weights in bf16
    jq -es '(.[0] == .[1]) and (.[1] != .[2]) and (.[3] != .[4]) and (.[3] / .[1] - 1 | fabs) < 0.002' perplexity
    jq '.quantization_config.config_groups.group_0.input_activations.dynamic = false' out/compressed-tensors/config.json >other
    cp other out/compressed-tensors/config.json
    run -100 measure --model out/compressed-tensors
    [[ $output == *"input_activations"*"not dynamic"* ]]
    rm -r out
    refused "know no zero points: say --grid sym" --format compressed-tensors --act-bits 8 --grid asym
    refused "activations in whole numbers beside weights on grid nvfp4" --format compressed-tensors --act-bits 8 --grid nvfp4 --group 16
}

same_eval() { # MODEL OF: the figures are the same to the last digit
    for m in "$@"; do
        ptq eval --model "$m" --data "$M/eval.jsonl" --window 128 --max-windows 1 --json --quiet >"${m//\//_}.json"
    done
    cmp "${1//\//_}.json" "${2//\//_}.json"
}

@test "gguf: the same model as dense when it is imported, also from other codes, and what it cannot hold is refused" {
    ptq run "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out out --tokens 512 --length 128 --quiet \
        --solver rtn --format gguf,dense,compressed-tensors --override 'mlp.down: bits=8 group=32' --override 'b1.*: skip'
    [ "$(ls out/gguf | tr '\n' ' ')" = "README.md model.gguf " ]
    grep -q "^library_name: gguf" out/gguf/README.md
    python3 - out/gguf/model.gguf <<'END'
import struct, sys
b = open(sys.argv[1], "rb").read()
def put(name, key, value): # in the place of what is behind the key
    at = b.index(key) + len(key)
    open(name, "wb").write(b[:at] + value + b[at + len(value):])
put("nan.gguf", b"qwen3.rope.freq_base", struct.pack("<If", 6, float("nan")))
put("eos.gguf", b"tokenizer.ggml.eos_token_id", struct.pack("<II", 4, 999999))
open("words.gguf", "wb").write(b.replace(b"tokenizer.ggml.tokens", b"tokenizer.other.tokens"[:21]))
END
    run -100 ptq eval --model nan.gguf --data "$M/eval.jsonl" --quiet
    [[ $output == *"nan.gguf: key 'qwen3.rope.freq_base' is NaN or infinite"* ]]
    run -1 ptq check eos.gguf
    [[ $output == "problem: eos.gguf: key 'tokenizer.ggml.eos_token_id' is 999999, the vocabulary has 2048 tokens"* ]]
    run -1 ptq check words.gguf
    [[ $output == "problem: words.gguf: key 'tokenizer.ggml.tokens' is missing or empty"* && $output != *"loads in"* ]]
    [[ $(ptq check out/gguf) == "total  14 linears, 7 quantized (GGUF); 0 problems, 0 warnings"$'\n'"loads in: llama.cpp" ]]
    same_eval out/gguf/model.gguf out/compressed-tensors
    ptq convert --model out/gguf --format compressed-tensors from --quiet
    same_eval from out/compressed-tensors
    ptq convert --model from --format gguf to --quiet
    ptq diff to out/gguf/model.gguf
    run -100 --separate-stderr ptq convert --model out/gguf --format awq no
    [[ $stderr == *"down_proj': AWQ stores 4 bits, not 8"* ]]
    ptq inspect --json out/gguf/model.gguf >seen
    jq -es '(map({(.key // ""): .value}) | add) as $k | $k["general.architecture"] == "qwen3" and .[-1].format == "gguf" and (map(.dtype) | index("Q4_0")) and
        (map(select(.name == "blk.0.attn_q.weight")) | .[0].norm > 1 and .[0].bad == 0)' seen
    [[ $(ptq inspect --fast out/gguf/model.gguf) == *"tokenizer.ggml.tokens  2048 values"*"blk.0.ffn_down.weight  Q8_0 ["* ]]
    ptq import --quiet out/gguf/model.gguf back 2>said
    grep -q "7 of 24 tensors: Q4_0, Q8_0" said
    ptq diff out/dense back
    jq -es '.[0].model.vocab as $v | (.[1].model.vocab | with_entries(select($v[.key] != null))) == $v and
        (map(.model.merges | map(if type == "array" then join(" ") else . end)) | .[0] == .[1]) and .[0].pre_tokenizer == .[1].pre_tokenizer' \
        "$M/tokenizer.json" back/tokenizer.json
    ptq convert --model out/compressed-tensors --format gguf ct --quiet
    ptq import --quiet ct/model.gguf again 2>said
    ptq diff again back
    ptq import --quiet --pre llama-bpe ct/model.gguf otherwise 2>said
    grep -q "cuts text as 'qwen2' does; --pre 'llama-bpe' counts" said
    rm -r out back
    ptq run "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out out --tokens 256 --length 128 --quiet \
        --scales hessian --group 64 --grid exact-asym --format gguf,dense
    ptq import --quiet out/gguf/model.gguf back 2>said
    grep -q "14 of 24 tensors: Q4_1" said
    ptq diff out/dense back
    ptq convert --model out/gguf --format awq four --quiet
    ptq convert --model four --format gguf again4 --quiet # the codes say that its zero points are exact
    ptq diff again4/model.gguf out/gguf/model.gguf
    run -100 --separate-stderr ptq convert --model "$W/all/awq" --format gguf no
    [[ $stderr == *"is no number of F16, in which GGUF's blocks keep it: solve with --grid exact-asym"* ]]
    rm -r out
    refused "--lm-head 8: the dense format keeps head and embedding" --lm-head 8 --format gguf,dense
    refused "not 3" --format gguf --bits 3
    refused "--grid sym or exact-asym" --format gguf --grid asym
    run -100 --separate-stderr ptq plan "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --format gguf --bits 3
    [[ $stderr == *"not 3"* ]]
}

@test "gguf: a tokenizer or a model that llama.cpp has no name for is refused before the start" {
    cp -r "$M" odd
    jq '.pre_tokenizer.pretokenizers[0].pattern.Regex = "[a-z]+"' "$M/tokenizer.json" >odd/tokenizer.json
    run -100 --separate-stderr ptq run "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model odd --data "$M/calib.jsonl" --out no --format gguf
    [[ $stderr == *"llama.cpp has no name for"* ]]
    [ ! -e no ]
    run -100 --separate-stderr ptq plan "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model odd --data "$M/calib.jsonl" --format gguf
    [[ $stderr == *"llama.cpp has no name for"* ]]
}

@test "zero points in gptq: who cannot load that, and which format would do" {
    run -0 --separate-stderr ptq run "$BATS_TEST_DIRNAME/../../pipelines/gptq.pipe" --model "$M" --data "$M/calib.jsonl" --out out --grid asym \
        --tokens 256 --length 128 --solver rtn
    [[ $stderr == *"will load in transformers; not GPTQModel (zero points), vLLM (zero points)"* ]]
    [[ $stderr == *"zero points: --format gptq-v2 would load in transformers, GPTQModel"* ]]
    [[ $stderr == *"zero points: --format compressed-tensors would load in transformers, vLLM"* ]]
    ptq plan gptq --model "$M" --data "$M/calib.jsonl" --grid asym --tokens 256 --length 128 >plan
    diff <(grep -o 'zero points: --format.*' <<<"$stderr") <(grep 'zero points: --format' plan)
}

@test "what a format cannot hold is refused before the start" {
    refused "AWQ stores 4 bits, not 8" --format awq --bits 8
    refused "the awq format stores one size of groups" --format awq --override 'mlp.down: group=32'
    refused "--scale-type f16" --format dense,awq --scale-type bf16
    refused "differ in how they pack 3 bits" --format compressed-tensors --bits 3
    refused "nothing for the compressed-tensors format" --format compressed-tensors --override '*: skip'
}
