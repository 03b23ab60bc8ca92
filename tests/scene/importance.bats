#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# importance.bats - weights from gradients between the sampler and the forward stage: in a pipe, by two processes, in a run.
bats_require_minimum_version 1.5.0
load bounds.bash
load model.bash

setup_file() {
    narrow_model "$BATS_FILE_TMPDIR/model" 6
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    M=$BATS_FILE_TMPDIR/model
    export XDG_RUNTIME_DIR=$(mktemp -d /tmp/ptq-importance-XXXXXX)
    at=ipc://$XDG_RUNTIME_DIR
}

teardown() {
    end_left
    rm -rf "$XDG_RUNTIME_DIR"
}

sample() { # MORE...
    timeout 60 ptq-sample --model "$M" --data "$M/calib.jsonl" --tokens 256 --length 32 --chunk-tokens 64 --quiet "$@"
}

importance() { # MORE...
    timeout 60 ptq-importance --model "$M" --threads 1 --quiet "$@"
}

@test "the same weights by one process and by two, one chunk at a time and all together" {
    sample --out chunks.ptq
    importance --in chunks.ptq --out one.ptq
    importance --in chunks.ptq --out apart.ptq --mem 1K
    cmp one.ptq apart.ptq
    sample --out "@$at/chunks" --peers 2 &
    pids=$!
    for worker in 1 2; do
        importance --in "$at/chunks" --out "$at/weighed" &
        pids+=" $!"
    done
    timeout 60 ptq-cat --quiet --in "@$at/weighed" --peers-in 2 --out two.ptq
    for pid in $pids; do # not all children: one may be the clock of a test with a time limit
        wait "$pid"
    done
    run -0 ptq-diff one.ptq two.ptq
    [[ $output == *" 0 differences" ]]
    [ "$(ptq-inspect one.ptq | grep -c 'site_weights  F32 \[24, 64\]')" = 4 ]
}

@test "the forward stage multiplies them in, and the record says where they come from" {
    sample | ptq-forward --model "$M" --inputs full --threads 1 --quiet | ptq-reduce --quiet --out plain.ptq
    sample | importance | ptq-forward --model "$M" --inputs full --threads 1 --quiet | ptq-reduce --quiet --out weighed.ptq
    run -1 ptq-diff plain.ptq weighed.ptq
    [ "$(grep -c ': prov: the fields differ' <<<"$output")" = 24 ]
    [ "$(grep -cE ' S: ' <<<"$output")" = 24 ]
    run -0 ptq-inspect --json weighed.ptq
    [[ $output == *'"stage":"importance"'*'"method":"tlq"'* ]]
}

# Gradients stand behind up to 9 products in each of 6 blocks on the way there and as many back, each off by 2^-8 at most, each by itself.
@test "by products of bf16: near the values of f32, the same on any threads" {
    sample --out chunks.ptq
    importance --in chunks.ptq --keep plain.safetensors --out none.ptq
    importance --in chunks.ptq --products bf16 --keep half.safetensors --out one.ptq
    timeout 60 ptq-importance --model "$M" --in chunks.ptq --products bf16 --threads 3 --quiet --out three.ptq
    cmp one.ptq three.ptq
    [[ $(ptq-inspect --json one.ptq) == *'"stage":"importance"'*'"products":"bf16"'* ]]
    python3 - plain.safetensors half.safetensors <<'END'
import json, struct, sys
def values(path):
    data = open(path, 'rb').read()
    n = struct.unpack('<Q', data[:8])[0]
    return {k: struct.unpack('<%df' % ((v['data_offsets'][1] - v['data_offsets'][0]) // 4), data[8 + n:][slice(*v['data_offsets'])])
        for k, v in json.loads(data[8:8 + n]).items() if k.startswith('model.')}
plain, half = map(values, sys.argv[1:])
assert len(plain) == 42 and plain != half
for k in plain:
    apart = sum((a - b) ** 2 for a, b in zip(plain[k], half[k])) / sum(a * a for a in plain[k])
    assert 0 < apart ** .5 <= (2 * 9 * 6) ** .5 / 256, (k, apart ** .5)
END
}

@test "raw values are kept, and only the share that was asked for counts" {
    sample | importance --keep raw.safetensors --select 0.25 --out some.ptq
    run -0 ptq-inspect raw.safetensors
    [[ $output == *"model.layers.5.mlp.down_proj"*"[256]"* ]]
    [[ $output == *loss* ]]
    run -0 ptq-inspect some.ptq
    [[ $output == *"site_weights  F32 [24, 64]"*"min 0 "*"mean 1 "* ]]
}

@test "the diagonal of the Fisher information is written, the same on any threads, and clusters of weights go by it" {
    cut_model m 1
    M=$PWD/m
    singles() {
        timeout 60 ptq-sample --model "$M" --data "$M/calib.jsonl" --tokens 128 --length 32 --chunk-tokens 32 --quiet
    }
    singles | importance --fisher one.safetensors --out one.ptq
    singles | timeout 60 ptq-importance --model "$M" --threads 3 --quiet --fisher three.safetensors --out three.ptq
    cmp one.safetensors three.safetensors
    run -0 ptq-inspect one.safetensors
    [ "$(grep -c 'model.layers.0.*weight *F32 .*min [0-9]' <<<"$output")" = 7 ]
    for fisher in "" "--fisher one.safetensors"; do
        timeout 60 ptq run gptq --model "$M" --data "$M/calib.jsonl" --tokens 128 --length 32 --solver squeeze --grid kmeans --bits 2 --group -1 \
            --format dense --out "out${fisher:+-f}" --quiet $fisher
    done
    run -1 cmp out/model.safetensors out-f/model.safetensors
    run -0 ptq-inspect --json out-f
    [[ $output == *'"fisher":"one.safetensors"'* ]]
}

@test "what cannot be done is refused" {
    sample --out chunks.ptq
    run -100 importance --in chunks.ptq --out none.ptq --fisher none.safetensors
    [[ $output == *"has 2 sequences, and --fisher takes the squares of one"* ]]
    run -100 importance --in chunks.ptq --out none.ptq --fisher none.safetensors --method vlmq
    [[ $output == *"--fisher is not of --method vlmq"* ]]
    run -100 importance --in chunks.ptq --out x.ptq --method mbq
    [[ $output == *"chunk 0: no tensor 'modality'"* ]]
    for of in chunks.ptq x.ptq .; do # --keep is written last
        run -100 importance --in chunks.ptq --out x.ptq --keep $of
        [[ $output == *"--keep and --out are the same file '$of'"* || $output == *"--in and --keep are the same file '$of'"* || $output == *"--keep: '.' is a folder"* ]]
    done
    importance --in chunks.ptq --out weighed.ptq
    run -100 importance --in weighed.ptq --out x.ptq
    [[ $output == *"has weights of sites already"* ]]
    run -100 importance --in chunks.ptq --out x.ptq --method vlmq --loss-on all
    [[ $output == *"--loss-on is not of --method vlmq"* ]]
    run -100 importance --in chunks.ptq --out x.ptq --method vlmq --group 48
    [[ $output == *"--group 48 does not divide the 64 inputs of b0.attn.qkv"* ]]
    sample --out "@$at/chunks" --peers 2 &
    pids=$!
    ptq-cat --quiet --in "$at/chunks" --out half.ptq &
    pids+=" $!"
    run -100 importance --in "$at/chunks" --out x.ptq --keep raw.safetensors
    [[ $output == *"--keep goes by all chunks of the run, but 2 of 4 came here"* ]]
    for pid in $pids; do # however they end
        wait "$pid" || true
    done
    [ ! -e raw.safetensors ]
}

@test "a chat about a picture: what the model is sure of costs little once it has seen it" {
    local vlm=${PTQ_SHARED:-$ROOT/../shared}/data/shapes-vlm
    [ -d "$vlm" ] || skip "data/shapes-vlm is not on this machine (PTQ_SHARED)"
    head -1 "$vlm/calib/calib.jsonl" | sed "s|\"path\": \"|&$vlm/calib/|" >chat.jsonl
    ptq-sample --model "$vlm" --data chat.jsonl --tokens 96 --mode whole --quiet --out chat.ptq
    run -0 ptq-importance --model "$vlm" --method mbq --threads 1 --in chat.ptq --out weighed.ptq
    [[ $output == *"mean loss 0.00086"* ]] # 1.8 for who sees nothing
    run -0 ptq-inspect weighed.ptq
    [[ $output == *"site_weights  F32 [20, 96]"* && $output == *pixels* ]]
}

@test "every family has gradients, or says what has none" {
    local models=${PTQ_SHARED:-$ROOT/../shared}/data/conformance f
    [ -d "$models" ] || skip "data/conformance is not on this machine (PTQ_SHARED)"
    awk 'BEGIN { srand(3); printf "{\"input_ids\":["; for (k = 0; k < 32; k++) printf "%s%d", k ? "," : "", 4 + int(rand() * 250); print "]}" }' >data.jsonl
    for f in gpt_oss deepseek_v3 qwen3_next gemma4-moe; do
        ptq-sample --model "$models/$f" --data data.jsonl --tokens 32 --length 16 --quiet |
            ptq-importance --model "$models/$f" --threads 1 --quiet --out "$f.ptq"
        run -0 ptq-inspect "$f.ptq"
        [[ $output == *"site_weights  F32 ["*", 32]"*" mean 1 "* ]]
    done
    ptq-sample --model "$models/gemma4" --data data.jsonl --tokens 32 --length 16 --quiet --out chunks.ptq
    run -100 ptq-importance --model "$models/gemma4" --quiet --in chunks.ptq --out x.ptq
    [[ $output == *"what it hands on beside the stream"*"has no backward pass"* ]]
}

@test "a run of the recipe, with two processes that weigh: one of them is lost, and the forward process: they are replaced alone, the same bytes" {
    job() { # OUT IMPORTANCE MORE...
        timeout 100 ptq run tlq --model "$M" --data "$M/calib.jsonl" --tokens 256 --length 32 --chunk-tokens 64 --bits 4 --group 64 \
            --workers "importance=$2,forward=1" --out "$1" "${@:3}"
    }
    job one 1 --quiet
    job out 2 --importance.fault delay:500 --write.fault delay:200 >log 2>&1 3>&- &
    local run=$!
    until_true grep -q 'importance.2: 2 chunks' log # what they hand on waits
    pkill -KILL -f "$XDG_RUNTIME_DIR.*importance[.]2/0"
    until_true grep -q 'importance.2 was ended by signal 9 (Killed); importance.3 takes its place behind site 0 of 24, with lanes 1,3' log
    until_true test -e out/.ptqflow/parts/00001.ptq
    pkill -KILL -f "$XDG_RUNTIME_DIR.* forward/0"
    until_true grep -q 'forward was ended by signal 9 (Killed); forward.2 takes its place behind site .*, with lanes 0-3' log
    wait $run
    run -1 grep 'begin again' log
    cmp out/model.safetensors one/model.safetensors
    run -0 ptq-inspect --json out
    [[ $output == *importance* ]]
}

@test "the plan says what the gradients take, twice as long for twice the tokens" {
    run -0 ptq plan tlq --json --model "$M" --tokens 2048 --length 256
    once=$(jq .seconds_importance <<<"$output")
    run -0 ptq plan tlq --json --model "$M" --tokens 4096 --length 256
    local alone
    alone=$(ptq plan slide --json --model "$M" --tokens 2048 --length 256 --batch 4 | jq .memory.slide.peak_bytes)
    ptq plan slide-shared --json --model "$M" --tokens 2048 --length 256 |
        jq -e --argjson alone "$alone" '.memory | .slope.processes == 2 and .slope.peak_bytes > 0 and .slide.peak_bytes < $alone'
    jq -e --argjson once "$once" '$once > 0 and (.seconds_importance / $once - 2 | fabs) < 0.01' <<<"$output"
}
