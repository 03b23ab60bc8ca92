#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bad_input.bats - what a user sees of a run that cannot be: one fatal line that names the cause, an exit code, and nothing left behind.
bats_require_minimum_version 1.5.0

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    rows 40 64 320 >"$BATS_FILE_TMPDIR/good.jsonl"
    rows 1024 64 320 >"$BATS_FILE_TMPDIR/long.jsonl"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    mkdir m r t
    export XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/r TMPDIR=$BATS_TEST_TMPDIR/t
    cp "$ROOT"/tests/golden/conformance/llama3/{config.json,model.safetensors} m/
    cp "$BATS_FILE_TMPDIR/good.jsonl" d.jsonl
}

rows() { # ROWS LENGTH VOCABULARY: documents of token ids
    awk -v r="$1" -v n="$2" -v v="$3" 'BEGIN { srand(1); for (i = 0; i < r; i++) { printf "{\"input_ids\":["
        for (j = 0; j < n; j++) printf "%s%d", j ? "," : "", rand() * v; print "]}" } }'
}

header_length() {
    head -c 8 m/model.safetensors | od -An -t u8 | tr -d ' '
}

tensors() { # JQ: changes the header of the model's safetensors file
    local n h c i
    n=$(header_length)
    h=$(tail -c +9 m/model.safetensors | head -c "$n" | jq -c "$1")
    c=${#h}
    {
        for i in 0 8 16 24 32 40 48 56; do printf "\\x$(printf %x $((c >> i & 255)))"; done
        printf %s "$h"
        tail -c +$((9 + n)) m/model.safetensors
    } >new
    mv new m/model.safetensors
}

poke() { # TENSOR BYTES: overwrites its element 7
    local n at
    n=$(header_length)
    at=$(tail -c +9 m/model.safetensors | head -c "$n" | jq ".[\"$1\"].data_offsets[0]")
    printf "$2" | dd of=m/model.safetensors bs=1 seek=$((8 + n + at + 14)) conv=notrunc status=none
}

json() { # FILE JQ
    jq "$2" "$1" >new
    mv new "$1"
}

job() { # OPTION VALUE...: the main job on the small model, with other options than these
    local all=(--model m --data d.jsonl --out out --tokens 2048 --length 64 --group 32 --workers forward=2) use=() i
    for ((i = 0; i < ${#all[@]}; i += 2)); do
        [[ " $* " == *" ${all[i]} "* ]] || use+=("${all[i]}" "${all[i + 1]}")
    done
    exec timeout 30 ptq run "$ROOT/pipelines/gptq.pipe" "${use[@]}" "$@"
}

nothing_left() { # neither processes, sockets and spilled states, nor half a model
    [ -z "$(ls r)" ]
    [ -z "$(ls t)" ]
    [ ! -d out ] || [ -z "$(ls -A out | grep -vx .ptqflow)" ]
    [ -z "$(grep -laF -f <(echo "$XDG_RUNTIME_DIR/ptq-") /proc/[0-9]*/cmdline 2>/dev/null)" ]
}

one_cause() { # TEXT...: stderr ends with its one fatal line, which holds every TEXT
    local last text
    echo "$stderr"
    last=$(tail -n 1 <<<"$stderr")
    [ "$(grep -c 'fatal' <<<"$stderr")" = 1 ]
    [[ $stderr != *warning* ]]
    [[ $last == "ptq: fatal: "* ]]
    for text; do [[ $last == *"$text"* ]]; done
}

refused() { # CODE TEXT... -- OPTION VALUE...
    local code=$1 text=() from=$SECONDS
    shift
    while (($#)) && [ "$1" != -- ]; do
        text+=("$1")
        shift
    done
    (($# == 0)) || shift
    run --separate-stderr job "$@"
    one_cause "${text[@]}"
    [ "$status" = "$code" ]
    [ $((SECONDS - from)) -le 5 ]
    nothing_left
}

# The model

@test "no model file" {
    rm m/model.safetensors
    refused 100 "m: neither model.safetensors nor model.safetensors.index.json"
}

@test "--record is none of the data, of the model, of the other outputs, and no folder" {
    cp d.jsonl keep
    refused 100 "--data and --record are the same file 'd.jsonl'" -- --record ./d.jsonl
    cmp d.jsonl keep
    refused 100 "--record: 'm' is a folder" -- --record m
    cp m/model.safetensors keep
    ln -s m/model.safetensors same
    refused 100 "--record: 'same' is a file of --model 'm'" -- --record same
    cmp m/model.safetensors keep
    refused 100 "--record and --out are the same file 'out'" -- --record out
    refused 100 "--out and --log are the same file 'out'" -- --log ./out/
    refused 100 "--record 'out/p': no folder 'out'" -- --record out/p
    [ ! -e out ] && [ -z "$(ls -d ./*.tmp.* 2>/dev/null)" ]
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
}

@test "files that are only copied: a pointer, a link to nothing" {
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 10501248\n' >pointer
    cp pointer m/generation_config.json
    refused 100 "m/generation_config.json' is a Git LFS pointer"
    run -100 ptq rotate --quiet --model m rotated
    [[ $output == *"m/generation_config.json' is a Git LFS pointer"* ]] && [ ! -e rotated ]
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
    refused 100 "m/config.json: model_type 'gpt_neox' is not supported" llama mistral qwen3 "ptq families"
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

# Tokenizer and data

tale() { # the bundled model, which has a tokenizer
    rm -r m
    mkdir m
    cp "$ROOT"/pipelines/demo/tale-qwen3/{config.json,model.safetensors,tokenizer.json,tokenizer_config.json} m/
    head -n 40 "$ROOT/pipelines/demo/tale-qwen3/calib.jsonl" >d.jsonl
}

@test "an unknown part of a tokenizer" {
    tale
    cp m/tokenizer.json keep
    jq '.pre_tokenizer = {type: "Bert"}' keep >m/tokenizer.json
    refused 100 "m/tokenizer.json: pre-tokenizer 'Bert' is not known"
    jq '.model.type = "WordPiece"' keep >m/tokenizer.json
    refused 100 "m/tokenizer.json: model 'WordPiece' is not known"
    echo '{' >m/tokenizer.json
    refused 100 "'m/tokenizer.json': not valid JSON"
    rm m/tokenizer.json
    refused 100 "d.jsonl:1: text, but 'm' has no tokenizer.json"
}

@test "a tokenizer of another model" {
    tale
    json m/tokenizer.json '.model.vocab["another"] = 100000'
    refused 100 "m: the tokenizer has token ids up to 100000" "vocab_size 2048" "do not belong together"
}

@test "token ids beyond the vocabulary" {
    sed -i '5s/\[/[320,/' d.jsonl
    refused 100 "d.jsonl:5: token id 320 is not below the model's vocab_size 320"
}

@test "a line that is no document" {
    local line
    for line in hello '{"input_ids":[1' '{"foo":1}' '{"text":5}' '{"input_ids":"a"}' '{"input_ids":[1,-2]}' '{"input_ids":[1,2.5]}' '[]'; do
        sed "4s/.*/$line/" "$BATS_FILE_TMPDIR/good.jsonl" >d.jsonl
        refused 100 "d.jsonl:4"
    done
}

@test "no data, blank data, too little data" {
    : >d.jsonl
    refused 1 "'d.jsonl' is empty"
    printf '\n\n' >d.jsonl
    refused 1 "data too short: need 2048 tokens, have 0"
    rows 3 64 320 >d.jsonl
    refused 1 "data too short: need 2048 tokens, have 192"
    refused 100 "--data" "/no/such.jsonl" -- --data /no/such.jsonl
    refused 100 "'t': Is a directory" -- --data t
}

@test "sequences longer than the context" {
    refused 100 "--length 1024 is more than max_position_embeddings 512 of 'm'" -- --length 1024
}

# Options

@test "a group that does not divide the inputs" {
    refused 100 "--group: 48 does not divide the 64 inputs of 'model.layers.0.self_attn.q_proj'" -- --group 48
    refused 100 "stage 'solve': --group must be -1 or at least 1" -- --group 0
}

@test "options out of range, before anything starts" {
    refused 100 "--length: 1 is out of range, must be 2 to" -- --length 1
    refused 100 "--tokens: 'many' is not a whole number" -- --tokens many
    refused 100 "--mem: '1x' is not a size" -- --mem 1x # forward and reduce take it
    refused 100 "--damp: -1 is out of range, must be 0 to" -- --damp -1
    refused 100 "stage 'solve'" "there is no solver 'best'" -- --solver best
    refused 100 "stage 'write'" "format 'best' is not known" -- --format best
    refused 100 "--bits: '5' is not one of 2|3|4|8" -- --bits 5
    refused 100 "--workers" "1024" -- --workers forward=0
    refused 100 "--only has an empty value" -- --only "" # no site would ever fit
}

@test "an option that there is not, or that is missing" {
    refused 100 "unknown option '--colour'" "gptq.pipe --help" -- --colour blue
    run --separate-stderr ptq run gptq --data d.jsonl --out out
    [ "$status" = 100 ]
    one_cause "stage 'sample': --model DIR is missing"
    nothing_left
}

@test "after a refusal the same command, put right, runs" {
    refused 100 "--damp: -1 is out of range" -- --damp -1
    [ -d out/.ptqflow ] || [ ! -e out ]
    (job --quiet)
    [ -e out/config.json ]
}

@test "overrides that skip every linear" {
    refused 100 "--override: '*: skip': every linear is skipped" "nothing for the gptq format" -- --override '*: skip'
    [ ! -e out ]
    refused 100 "nothing for the gptq format" -- --override '*: skip' --format dense,gptq
    printf '*.self_attn.*: skip\n*.mlp.*: skip # the rest\n' >lines
    refused 100 "lines:2: '*.mlp.*: skip': every linear is skipped" -- --overrides lines
    [ ! -e out ]
    (job --quiet --overrides lines --format dense)
    run -0 ptq diff out m
    rm -r out
    (job --quiet --overrides lines --override 'b0.mlp.down: skip=no')
    [ -e out/config.json ]
}

# The output folder

@test "an output folder that holds something else, or cannot be made" {
    mkdir other
    echo mine >other/file
    refused 100 "--out: 'other' holds something else" -- --out other
    [ "$(ls -A other)" = file ]
    refused 100 "--out: 'other/file' is there and not a folder" -- --out other/file
    refused 100 "other/file" -- --out other/file/below
    (job --quiet)
    cp -r out done
    run --separate-stderr job
    [ "$status" = 100 ]
    one_cause "--out: 'out' holds an earlier output of ptqflow: remove it"
    diff -r out done
}

@test "an output folder that may not be written" {
    refused 100 "/proc/ptq-out" -- --out /proc/ptq-out/x
}

small() { # SIZE DIR: a file system of its own
    [ "$(id -u)" = 0 ] || skip "only root can mount a small file system"
    mkdir -p "$2"
    mount -t tmpfs -o "size=$1" none "$2" || skip "no mount here"
    mounted=$PWD/$2
}

teardown() {
    [ -z "${mounted:-}" ] || umount "$mounted"
}

@test "a disk that is full in the middle" {
    small 64k out
    refused 111 "stage 'write'" "No space left on device" "out/.ptqflow/parts" -- --overwrite
    jq -e . out/.ptqflow/journal.jsonl >/dev/null
}

@test "a disk that is full when the checkpoint is written" {
    small 400k out
    refused 111 "stage 'write'" "No space left on device" "out/.ptqflow/assemble" -- --format dense --overwrite
    [ "$(jq -s 'map(select(.record == "site")) | length' out/.ptqflow/journal.jsonl)" = 16 ]
}

@test "a disk that is too small is found before the start" {
    refused 111 "--out: 'below/out' needs at least" "--reserve" "are free" -- --reserve 1000000G --out below/out
    [ ! -e below ]
    small 64k out
    refused 111 "--out: 'out' needs at least" "0.1 MiB are free"
    [ -z "$(ls -A out)" ]
    umount out
    mount -t tmpfs -o size=400k none out # the checkpoint fits, and not what lies beside it
    refused 111 "--out: 'out' needs at least" "the rest for what it is put together from)" -- --format dense
    refused 111 "--out: 'out' needs at least" "and for --save-state)" -- --save-state
    [ -z "$(ls -A out)" ]
}

@test "no room for hidden states" {
    small 16k spill
    TMPDIR=$PWD/spill refused 111 "--tmp: '$PWD/spill' needs" "MiB of hidden states" "0.0 MiB are free" "more --mem" -- --mem 4K
    refused 111 "--tmp: 'spill' needs" -- --mem 4K --tmp spill
    [ ! -e out ]
    ptq sample --model m --data d.jsonl --tokens 2048 --length 64 --quiet >chunks.ptq
    TMPDIR=$PWD/spill run -111 ptq forward --model m --inputs full --mem 4K --quiet <chunks.ptq
    [[ $output == *"folder '$PWD/spill'"*"TMPDIR"*"No space left on device"* ]]
    [ -z "$(ls -A spill)" ]
}

@test "no room for sums" {
    small 16k spill
    ptq sample --model m --data "$BATS_FILE_TMPDIR/long.jsonl" --tokens 16384 --length 64 --quiet |
        ptq forward --model m --inputs full --quiet >acts.ptq
    run -111 ptq reduce --mem 0 --tmp spill --quiet <acts.ptq
    [[ $output == *"fatal: "*"folder 'spill' (--tmp or TMPDIR names another)"*"No space left on device"* ]]
    [ -z "$(ls -A spill)" ]
}

# Ends by force

start() { # OPTION VALUE...: a long run in the background, as $run, its stderr at descriptor 7
    mkfifo said
    cp "$BATS_FILE_TMPDIR/long.jsonl" d.jsonl
    [ $# -gt 0 ] || set -- --tokens 65536
    (job "$@") 2>said 3>&- &
    run=$!
    exec 7<said
}

until_said() { # TEXT: reads on to it
    stderr=
    while read -r line <&7; do
        stderr+=$line$'\n'
        [[ $line != *"$1"* ]] || return 0
    done
    echo "$stderr"
    return 1
}

process() { # NAME: the first process of the run with that name; waits for one
    local p name
    while [ -e "/proc/$run" ]; do
        for p in /proc/[0-9]*; do
            read -r name <"$p/comm" || continue
            [[ $name == "$1" ]] && grep -qaF "$XDG_RUNTIME_DIR/ptq-" "$p/cmdline" && echo "${p#/proc/}" && return 0
        done 2>/dev/null
    done
    return 1
}

ended() { # CODE TEXT...
    local code=$1 status=0 from=$SECONDS
    shift
    stderr+=$(cat <&7)
    wait "$run" || status=$?
    one_cause "$@"
    [ "$status" = "$code" ]
    [ $((SECONDS - from)) -le 8 ]
    nothing_left
}

@test "kill -9 of the sampler" {
    mkfifo d.txt
    exec 8<>d.txt # it waits for more
    start --data d.txt --restarts 0
    kill -9 "$(process ptq-sample)"
    ended 111 "stage 'sample' was ended by signal 9"
    exec 8>&-
}

killed() { # STAGE
    local stage
    start --tokens 65536 --restarts 0
    stage=$(process "ptq-$1")
    until_said "block 2/4"
    kill -9 "$stage"
    ended 111 "stage '$1" "was ended by signal 9"
}

@test "kill -9 of a forward worker" {
    killed forward
}

@test "kill -9 of the reducer" {
    killed reduce
}

@test "kill -9 of the solver: another takes its place" {
    local stage
    start
    stage=$(process ptq-solve)
    until_said "block 2/4"
    kill -9 "$stage"
    stderr+=$(cat <&7)
    wait "$run"
    [ -f out/config.json ]
    [[ $stderr == *"solve is gone: signal 9 (Killed); another is started in its place"* ]]
}

@test "kill -9 of the writer" {
    killed write
}

@test "SIGINT: the run stops, the journal stays" {
    mkfifo said
    cp "$BATS_FILE_TMPDIR/long.jsonl" d.jsonl
    (exec env --default-signal=INT bash -c "$(declare -f job); job --tokens 65536") 2>said 3>&- &
    run=$!
    exec 7<said
    until_said "block 2/4"
    kill -INT "$run"
    ended 111 "stopped by a signal before the run was complete"
    [ "$(jq -s 'map(select(.record == "site")) | length' out/.ptqflow/journal.jsonl)" -ge 4 ]
}
