#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bad_model.bats - what a user sees of a checkpoint that cannot be quantized, or not as it is: one fatal line that names the cause, an exit code, and
# nothing left behind.
bats_require_minimum_version 1.5.0
load refused.bash

@test "no model file" {
    rm m/model.safetensors
    refused 100 "m: neither model.safetensors nor model.safetensors.index.json"
}

@test "a Git LFS pointer in place of a file" {
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 10501248\n' >pointer
    cp m/config.json keep
    cp pointer m/model.safetensors
    refused 100 "m/model.safetensors' is a Git LFS pointer" "git lfs pull"
    cp pointer m/config.json
    refused 100 "m/config.json' is a Git LFS pointer"
    cp keep m/config.json
    cp pointer m/tokenizer.json
    refused 100 "is a Git LFS pointer"
    rm m/tokenizer.json
    cp pointer d.jsonl
    run -100 ptq-sample --model m --length 64 --data d.jsonl --out o.ptq
    [[ $output == *"d.jsonl' is a Git LFS pointer"* ]]
    # whatever it stands for, and whoever reads it
    for as in "eval --data keep --model x.gguf" "check x.gguf" "inspect x.gguf" "inspect x.ptq" "diff x.ptq x.ptq" "solve --in x.ptq --out o" \
        "import x.gguf o" "sample --model m --data good.jsonl --length 64 --tokens 64 --weight-file x.jsonl --out o"; do
        read -ra words <<<"$as"
        for x in x.gguf x.ptq x.jsonl; do cp pointer $x; done
        cp "$BATS_FILE_TMPDIR/good.jsonl" .
        run -100 ptq "${words[@]}"
        [[ $output == *"is a Git LFS pointer"* ]]
        [ ! -e o ]
    done
}

@test "files that are only copied: a pointer, a link to nothing" {
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 10501248\n' >pointer
    cp pointer m/generation_config.json
    refused 100 "m/generation_config.json' is a Git LFS pointer"
    run -100 ptq rotate --quiet --model m rotated
    [[ $output == *"m/generation_config.json' is a Git LFS pointer"* ]]
    [ ! -e rotated ]
    run -1 ptq check m
    [[ $output == *"problem: 'm/generation_config.json' is a Git LFS pointer"* ]]
    rm m/generation_config.json
    ln -s gone m/chat_template.jinja
    refused 100 "m/chat_template.jinja': it is a link to 'gone', which is not there"
    rm m/chat_template.jinja
    cp pointer m/README.md # stays behind
    (job --quiet)
    [ -e out/config.json ]
}

@test "a checkpoint that holds more than config.json says" {
    json m/config.json '.num_hidden_layers = 3'
    refused 100 "tensor 'model.layers.3." "model_type 'llama' of 3 blocks" "num_hidden_layers"
    json m/config.json '.num_hidden_layers = 4'
    tensors '.["model.layers.1.self_attn.q_norm.weight"] = .["model.norm.weight"] | del(.["model.norm.weight"])'
    refused 100 "model.norm.weight' is missing"
}

@test "shards: no index, one that leads elsewhere, one that promises too much" {
    mv m/model.safetensors m/model-00001-of-00001.safetensors
    refused 100 "m: neither model.safetensors nor model.safetensors.index.json" "download the index too"
    jq -n '{weight_map: {"model.norm.weight": "../m/model-00001-of-00001.safetensors"}}' >m/model.safetensors.index.json
    refused 100 "m/model.safetensors.index.json" "'../m/model-00001-of-00001.safetensors' is not the name of a file in this folder"
    jq -n '{weight_map: {"model.more.weight": "model-00001-of-00001.safetensors"}}' >m/model.safetensors.index.json
    refused 100 "tensor 'model.more.weight' is not in shard 'model-00001-of-00001.safetensors'" "download"
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 10501248\n' >m/model.safetensors.index.json
    refused 100 "m/model.safetensors.index.json' is a Git LFS pointer"
    printf '<!DOCTYPE html><html></html>' >m/model-00001-of-00001.safetensors
    jq -n '{weight_map: {"model.norm.weight": "model-00001-of-00001.safetensors"}}' >m/model.safetensors.index.json
    refused 100 "m/model-00001-of-00001.safetensors: not a safetensors file" "download it again"
}

@test "links of a cache that lead nowhere" {
    mv m/model.safetensors keep
    ln -s ../../blobs/gone m/model.safetensors
    refused 100 "m/model.safetensors': it is a link to '../../blobs/gone', which is not there"
    rm m/model.safetensors
    cp keep m/model.safetensors
    ln -s ../../blobs/lost m/tokenizer.json
    refused 100 "m/tokenizer.json': it is a link to '../../blobs/lost'"
    rm m/tokenizer.json m/config.json
    ln -s ../../blobs/config m/config.json
    refused 100 "m/config.json': it is a link to '../../blobs/config'"
    ln -s gone whole
    run -100 ptq eval --model whole --data d.jsonl
    [[ $output == *"'whole': it is a link to 'gone', which is not there"* ]]
    refused 100 "--out 'whole': 'whole' is a link to nothing" -- --out whole
    jq -n '{weight_map: {"model.norm.weight": "model-00001-of-00001.safetensors"}}' >m/model.safetensors.index.json
    rm m/model.safetensors m/config.json
    cp "$ROOT"/tests/golden/conformance/llama3/config.json m/
    ln -s ../../blobs/shard m/model-00001-of-00001.safetensors
    refused 100 "m/model-00001-of-00001.safetensors': it is a link to '../../blobs/shard'"
}

@test "what is no model folder is named for what it is" {
    mkdir g c c/snapshots
    printf 'GGUF' >g/x.gguf
    refused 100 "g/x.gguf: truncated at the head" -- --model g/x.gguf
    refused 100 "g/x.gguf: truncated at the head" -- --model g
    refused 100 "m/model.safetensors: a file; a model is a folder" -- --model m/model.safetensors
    refused 100 "c: a folder of a download cache" "c/snapshots" -- --model c
    refused 100 "none: not a folder: nothing has that name" -- --model none
}

@test "an older single file beside shards" {
    jq -n '{weight_map: {"model.norm.weight": "model-00001-of-00001.safetensors"}}' >m/model.safetensors.index.json
    cp m/model.safetensors m/model-00001-of-00001.safetensors
    refused 100 "m: both model.safetensors and model.safetensors.index.json"
    rm m/model-00001-of-00001.safetensors
    jq -n '{weight_map: {"model.norm.weight": "model.safetensors"}}' >m/model.safetensors.index.json
    (job --quiet)
    [ -e out/config.json ]
}

at() { # TENSOR: where its bytes begin in the file
    echo $((8 + $(header_length) + $(tail -c +9 m/model.safetensors | head -c "$(header_length)" | jq ".[\"$1\"].data_offsets[0]")))
}

@test "the config says tied, the file has another head: the head counts" {
    cp -r m u
    json m/config.json '.tie_word_embeddings = true'
    json u/config.json '.tie_word_embeddings = false'
    head -n 4 d.jsonl >e.jsonl
    ptq eval --quiet --model m --data e.jsonl >a.txt 2>said
    ptq eval --quiet --model u --data e.jsonl >b.txt
    cmp a.txt b.txt
    [ "$(grep -c "warning: 'm': config.json says tie_word_embeddings" said)" = 1 ]
    (job --quiet) 2>said
    [ "$(grep -c "says tie_word_embeddings" said)" = 1 ]
    [ "$(jq .tie_word_embeddings out/config.json)" = false ]
    ptq rotate --quiet --model m rotated 2>said
    grep -q "says tie_word_embeddings" said
    [ "$(jq .tie_word_embeddings rotated/config.json)" = false ]
    # the same numbers: tied, and no word
    dd if=u/model.safetensors of=m/model.safetensors bs=64 iflag=skip_bytes oflag=seek_bytes conv=notrunc status=none \
        skip="$(at model.embed_tokens.weight)" seek="$(at lm_head.weight)" count=640
    rm -r out
    (job --quiet) 2>said
    [ ! -s said ]
    [ "$(jq .tie_word_embeddings out/config.json)" = true ]
    poke model.embed_tokens.weight '\x00\x00' # zero is zero, whatever its sign
    poke lm_head.weight '\x00\x80'
    rm -r out
    (job --quiet) 2>said
    [ ! -s said ]
    # in shards
    poke lm_head.weight '\x80\x3f'
    mv m/model.safetensors m/model-00001-of-00002.safetensors
    printf '\x02\0\0\0\0\0\0\0{}' >m/model-00002-of-00002.safetensors
    jq -n '{weight_map: {"lm_head.weight": "model-00001-of-00002.safetensors"}}' >m/model.safetensors.index.json
    ptq eval --quiet --model m --data e.jsonl 2>&1 | grep -q "says tie_word_embeddings, but the file holds a head with other numbers"
}

@test "two generations of rope keys that disagree" {
    json m/config.json '.rope_parameters = {rope_type: "default", rope_theta: 500000.0} | .rope_scaling = {rope_type: "linear", factor: 4.0}'
    refused 100 "m/config.json: rope_scaling and rope_parameters are both there"
    json m/config.json 'del(.rope_scaling) | .rope_theta = 10000.0'
    refused 100 "m/config.json: rope_theta is 10000 in config and 500000 in rope_parameters: remove one of them"
    json m/config.json 'del(.rope_theta) | .dtype = "float32" | .torch_dtype = "bfloat16"'
    refused 100 "m/config.json: dtype is 'float32' and torch_dtype is 'bfloat16': remove one of them"
}

@test "quantization_config that is null is none" {
    json m/config.json '.quantization_config = null'
    (job --quiet)
    [ "$(jq -r .quantization_config.quant_method out/config.json)" = gptq ]
    [ "$(grep -c quantization_config out/config.json)" = 1 ]
    ptq plan --model m --group 32 --length 64 >/dev/null
    rm -r out
    json m/config.json '.quantization_config = {}'
    run -100 ptq eval --quiet --model m --data d.jsonl
    [[ $output == *"m/config.json: quantization_config: field 'quant_method' is missing" ]]
    json m/config.json '.quantization_config = {quant_method: "hqq", bits: 4}'
    run -100 ptq eval --quiet --model m --data d.jsonl
    [[ $output == *"quant_method 'hqq' is not supported"* ]]
    refused 100 "'m' is quantized already (config.json: quantization_config, quant_method hqq): start from"
    json m/config.json '.quantization_config = {}'
    refused 100 "quantization_config, no quant_method" "if its weights are plain, remove that key"
    run -100 ptq plan --model m --group 32
    [[ $output == *"quantization_config, no quant_method"* ]]
}

@test "a shard of the index that is not there" {
    jq -n '{weight_map: {"model.norm.weight": "model-00002-of-00002.safetensors"}}' >m/model.safetensors.index.json
    mv m/model.safetensors m/model-00001-of-00002.safetensors
    refused 100 "m/model.safetensors.index.json: shard 'model-00002-of-00002.safetensors' is missing" "download it again"
}

@test "a truncated file" {
    head -c 300000 m/model.safetensors >new
    mv new m/model.safetensors
    refused 100 "m/model.safetensors: truncated" "download it again"
}

@test "a tensor of the wrong shape" {
    tensors '.["model.layers.2.mlp.up_proj.weight"].shape |= reverse'
    refused 100 "tensor 'model.layers.2.mlp.up_proj.weight' has shape [64, 160]" "[160, 64]"
}

@test "a tensor of the wrong type" {
    tensors '.["model.layers.2.mlp.up_proj.weight"].dtype = "I16"'
    refused 100 "tensor 'model.layers.2.mlp.up_proj.weight'" "I16"
}

@test "a type that does not fit the bytes" {
    tensors '.["model.layers.2.mlp.up_proj.weight"].dtype = "F32"'
    refused 100 "m/model.safetensors: tensor 'model.layers.2.mlp.up_proj.weight'" "span 20480 bytes" "needs 40960"
}

@test "offsets that overlap" {
    tensors '.["model.layers.2.mlp.up_proj.weight"].data_offsets = .["model.layers.1.mlp.up_proj.weight"].data_offsets'
    refused 100 "m/model.safetensors: tensor 'model.layers.2.mlp.up_proj.weight': data_offsets begin"
}

@test "offsets that point outside" {
    tensors '.["model.layers.2.mlp.up_proj.weight"].data_offsets |= map(. + 100000000)'
    refused 100 "m/model.safetensors" "100316032 bytes"
}

@test "a header longer than the file" {
    printf '\xff\xff\xff\xff\xff\xff\xff\x7f' | dd of=m/model.safetensors conv=notrunc status=none
    refused 100 "m/model.safetensors"
}

@test "a tensor that is missing" {
    tensors '.["model.layers.2.mlp.other"] = .["model.layers.2.mlp.up_proj.weight"] | del(.["model.layers.2.mlp.up_proj.weight"])'
    refused 100 "model.layers.2.mlp.up_proj.weight"
}

@test "NaN in a weight" {
    poke model.layers.1.mlp.up_proj.weight '\xc0\x7f'
    refused 100 "m/model.safetensors: tensor 'model.layers.1.mlp.up_proj.weight'" "NaN or infinite numbers, the first at row 0, column 7: nan"
}

@test "NaN in the last block is found while the run still waits for its data" {
    poke model.layers.3.mlp.down_proj.weight '\xc0\x7f'
    mkfifo d.txt
    exec 7<>d.txt # nothing will ever come
    refused 100 "tensor 'model.layers.3.mlp.down_proj.weight'" "row 0, column 7: nan" -- --data d.txt
    exec 7>&-
}

@test "infinity in a weight, in the embedding, in a norm" {
    poke model.layers.3.mlp.down_proj.weight '\x80\xff'
    refused 100 "tensor 'model.layers.3.mlp.down_proj.weight'" "NaN or infinite"
    rm -r out
    poke model.embed_tokens.weight '\x80\x7f'
    refused 100 "tensor 'model.embed_tokens.weight'" "NaN or infinite"
}

@test "NaN in what is copied only" {
    poke lm_head.weight '\xc0\x7f'
    refused 100 "tensor 'lm_head.weight'" "NaN or infinite"
}

@test "an unknown architecture" {
    json m/config.json '.model_type = "gpt_neox"'
    refused 100 "m/config.json: model_type 'gpt_neox' is not supported" "ptq families lists what is known"
}

@test "config.json that is missing, broken or lacks a field" {
    cp m/config.json keep
    json m/config.json 'del(.hidden_size)'
    refused 100 "m/config.json: field 'hidden_size' is missing"
    json keep '.' && jq '.hidden_size = "64"' keep >m/config.json
    refused 100 "m/config.json: field 'hidden_size'"
    echo '{"a":' >m/config.json
    refused 100 "'m/config.json': not valid JSON"
    rm m/config.json
    refused 100 "m/config.json"
}

@test "absurd sizes" {
    cp m/config.json keep
    local field
    for field in hidden_size num_hidden_layers vocab_size intermediate_size num_attention_heads; do
        jq ".$field = 1000000000" keep >m/config.json
        refused 100 "m/config.json" "$field"
    done
    jq ".hidden_size = 16777216 | .intermediate_size = 16777216" keep >m/config.json
    refused 100 "config"
}

@test "a model that is quantized already" {
    (job --out q --quiet)
    rm -r m q/.ptqflow
    mv q m
    refused 100 "'m' is quantized already (config.json: quantization_config, quant_method gptq)"
    rm m/quantize_config.json
    json m/config.json 'del(.quantization_config)'
    refused 100 "is quantized already"
}

@test "numbers of 8 bits with scales beside them, and no quantization_config: no reader takes them for weights" {
    local name=model.layers.1.mlp.up_proj.weight command
    tensors ".[\"$name\"] as \$t | (\$t.data_offsets[0] + \$t.shape[0] * \$t.shape[1]) as \$stop | .[\"$name\"] += {dtype: \"F8_E4M3\", data_offsets: [\$t.data_offsets[0], \$stop]} |
        .[\"${name}_scale_inv\"] = {dtype: \"U8\", shape: [\$t.data_offsets[1] - \$stop], data_offsets: [\$stop, \$t.data_offsets[1]]}"
    for command in "eval --quiet --data d.jsonl --model m" "check m" "rotate --quiet --model m rotated"; do
        run ptq $command
        [ $status != 0 ]
        [[ $output == *"tensor '$name' is quantized already, to F8_E4M3 with scales beside it"* ]]
    done
    refused 100 "$name' is quantized already"
}

# Tokenizer and data
