# SPDX-License-Identifier: Apache-2.0
# model - the bundled model without its later blocks: what does not need all of them runs on as many as it needs.

cut_model() { # DIR BLOCKS: with the tokenizer and the texts that lie beside it
    local from=$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3 n header at end i
    mkdir "$1"
    cp "$from"/*.jsonl "$from"/tokenizer*.json "$from/README.txt" "$1"
    jq --argjson blocks "$2" '.num_hidden_layers = $blocks | .layer_types |= .[:$blocks]' "$from/config.json" >"$1/config.json"
    n=$(od -An -tu8 -N8 "$from/model.safetensors" | tr -d ' ')
    header=$(tail -c +9 "$from/model.safetensors" | head -c "$n")
    # the blocks lie behind each other, and behind them the last norm
    at=$(jq --arg block "model.layers.$2." '[to_entries[] | select(.key | startswith($block)) | .value.data_offsets[0]] | min' <<<"$header")
    end=$(jq '."model.norm.weight".data_offsets[0]' <<<"$header")
    header=$(jq -c --argjson at "$at" --argjson norm "$end" 'map_values(select((.data_offsets[1] // 0) <= $at or .data_offsets[0] == $norm)) |
        ."model.norm.weight".data_offsets |= map(. - $norm + $at)' <<<"$header")
    while [ $((${#header} % 8)) != 0 ]; do header+=' '; done
    {
        for i in 0 8 16 24 32 40 48 56; do printf "\\x$(printf %x $((${#header} >> i & 255)))"; done
        printf %s "$header"
        tail -c +$((9 + n)) "$from/model.safetensors" | head -c "$at"
        tail -c +$((9 + n + end)) "$from/model.safetensors"
    } >"$1/model.safetensors"
}

narrow_model() { # DIR BLOCKS: a quarter as wide, too, for what does not need that it speaks well: of each tensor as many numbers as are left
    local from=$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3 n header at bytes i
    mkdir "$1"
    cp "$from"/*.jsonl "$from"/tokenizer*.json "$from/README.txt" "$1"
    jq --argjson blocks "$2" '.num_hidden_layers = $blocks | .layer_types |= .[:$blocks] | .hidden_size /= 4 | .intermediate_size /= 4 | .head_dim /= 4' \
        "$from/config.json" >"$1/config.json"
    n=$(od -An -tu8 -N8 "$from/model.safetensors" | tr -d ' ')
    header=$(tail -c +9 "$from/model.safetensors" | head -c "$n" | jq -c --argjson blocks "$2" --argjson start $((8 + n)) '
        [to_entries[] | select(.value.shape) | select(.key | (capture("layers\\.(?<i>[0-9]+)\\.").i // "0" | tonumber) < $blocks) |
            .value |= (.shape |= map(if . == 2048 then . else . / 4 end)) |
            .value.bytes = (.value.shape | reduce .[] as $d (2; . * $d))] |
        reduce .[] as $t ({at: 0, header: {}, pieces: []}; .pieces += [$t.value.data_offsets[0] + $start, $t.value.bytes] |
            .header[$t.key] = ($t.value | {dtype, shape} + {data_offsets: [0, 0]}) |
            .header[$t.key].data_offsets = [.at, .at + $t.value.bytes] | .at += $t.value.bytes) | .header, .pieces[]')
    {
        read -r header
        while [ $((${#header} % 8)) != 0 ]; do header+=' '; done
        for i in 0 8 16 24 32 40 48 56; do printf "\\x$(printf %x $((${#header} >> i & 255)))"; done
        printf %s "$header"
        while read -r at && read -r bytes; do
            dd if="$from/model.safetensors" iflag=skip_bytes,count_bytes skip="$at" count="$bytes" bs=64K status=none
        done
    } <<<"$header" >"$1/model.safetensors"
}
