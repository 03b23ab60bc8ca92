#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# experts.bats - mixtures of experts: how many tokens each gets, what becomes of those with too few, their sums shared by several
# reducers and kept within --mem. Models in PTQ_SHARED: tiny ones with random weights, and tale-moe.
bats_require_minimum_version 1.5.0
load bounds.bash

setup_file() {
    root=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$root/bin}:$PATH" text=$root/pipelines/demo/tale-qwen3/calib.jsonl
    cd "$BATS_FILE_TMPDIR"
    awk 'BEGIN { srand(3); printf "{\"input_ids\":["; for (k = 0; k < 24; k++) printf "%s%d", k ? "," : "", 4 + int(rand() * 250); print "]}" }' >data.jsonl
}

setup() {
    data=${PTQ_SHARED:-$BATS_TEST_DIRNAME/../../../shared}/data
    tiny=$data/conformance/qwen3_moe
    cd "$BATS_FILE_TMPDIR"
}

need() { # FOLDER
    [ -d "$data/$1" ] || skip "data/$1 is not on this machine (PTQ_SHARED)"
}

run_tiny() { # RECIPE OUT OPTION...
    ptq run "$1" --model "$tiny" --data data.jsonl --tokens 24 --length 8 --chunk-tokens 8 --bits 8 --group 8 --out "$2" --quiet "${@:3}" 2>"$2.txt"
}

experts() { # OUT FILTER: of the sites of experts
    jq -es "map(select(.record == \"site\" and (.site | test(\"^expert\")))) | $2" "$1/.ptqflow/journal.jsonl"
}

@test "experts: as many tokens as the reference sends to each" {
    need tale-moe
    ptq-sample --model "$data/tale-moe" --data "$text" --tokens 4096 --length 1024 --quiet |
        ptq-forward --model "$data/tale-moe" --inputs full --acts f32 --quiet | ptq-reduce --quiet >problems.ptq
    ptq-inspect --fast --json problems.ptq | jq -r 'select(.kind == "problem" and (.id | test("expert.*up"))) | .meta.routed' | paste -sd ' ' |
        # top 2 of output_router_logits of transformers 5.24 (f32, eager) for these tokens
        diff - <(echo 2 4065 146 995 911 74 1984 15 2231 61 68 1147 652 1191 2094 748 320 39 2099 996 789 1066 39 2844 1640 4 702 350 2550 2586 101 259)
}

@test "experts: one that too few tokens go to is rounded, or has the sums of all; the journal and the report say it" {
    need conformance
    run_tiny gptq rtn --starved-below 6
    experts rtn 'map(.routed) | (index(0) and index(5) and index(16)) and add == 24 * 2 * 3 * 2'
    experts rtn 'all(.tokens == .routed and (.starved == "rtn") == (.routed < 6) and (.fallback == "rtn") == (.routed < 6))'
    grep -q 'too few: rounded to nearest' rtn.txt
    run_tiny gptq all --starved-below 6 --starved all-tokens --workers forward=2
    experts all 'all(if .routed < 6 then .starved == "all-tokens" and .tokens == 24 and .fallback == null else .starved == null and .tokens == .routed end)'
    grep -q 'too few: solved with the sums of all tokens' all.txt
    # on the rows that it gets an expert with its own sums is what it is in either run, as long as all before it is
    diff <(experts rtn 'map(select(.block == 0 and .routed > 5 and (.site | test("up")))) | map([.site, .loss])') \
        <(experts all 'map(select(.block == 0 and .routed > 5 and (.site | test("up")))) | map([.site, .loss])')
    run_tiny gptq every --experts all
    experts every 'all(.tokens == 24 and .starved == null) and (map(.routed) | (index(0) and index(5)) and add == 24 * 2 * 3 * 2)'
    ptq report all --out all.html
    [ "$(grep -c 'starved: all-tokens' all.html)" = "$(experts all 'map(select(.starved and (.site | test("up")))) | length')" ]
    grep -q '>expert.4.down<' all.html
    ptq eval --model all --data data.jsonl --max-windows 1 --quiet
    run -100 ptq run gptq --model "$tiny" --data data.jsonl --tokens 24 --length 12 --out never --experts all --starved all-tokens
    [[ $output == *"--experts all sums all tokens for every expert: leave --starved out"* ]]
    run -100 --separate-stderr ptq run gptq --model "$tiny" --data data.jsonl --tokens 24 --length 12 --bits 8 --group 8 --out never --starved all-tokens --classes length
    [[ $stderr == *"--starved all-tokens: with --classes of ptq-reduce there are no sums of all tokens"* ]]
    [ ! -e never ]
}

@test "experts: where one may have the sums of all tokens, workers do not share the forward pass, and the run says why" {
    need conformance
    (exec ptq run gptq --model "$tiny" --data data.jsonl --tokens 24 --length 8 --chunk-tokens 8 --bits 8 --group 8 --out hosts --starved-below 6 \
        --starved all-tokens --workers forward=2 --listen 'tcp://127.0.0.1:*' --hosts 1) >head.txt 2>&1 3>&- &
    head=$!
    until_true grep -q 'THIS-HOST:[0-9]' head.txt
    port=$(grep -o 'THIS-HOST:[0-9]*' head.txt)
    timeout 60 ptq worker "tcp://127.0.0.1:${port#*:}" --forward 1 --solve 0 --model "$tiny" 2>worker.txt 3>&- || { cat head.txt worker.txt; false; }
    wait $head
    grep -q 'workers do not take part in the forward pass: --starved all-tokens: in the sums of lanes' head.txt
    [ -e all/model.safetensors ] || run_tiny gptq all --starved-below 6 --starved all-tokens --workers forward=2
    cmp hosts/model.safetensors all/model.safetensors
}

@test "experts: a checkpoint whose experts are not all of one kind is said to be such" {
    need conformance
    run_tiny gptq alike
    ptq check alike >alike.said
    run -1 grep '^warning' alike.said
    run_tiny gptq unlike --override 'b2.expert.3.down: skip'
    ptq check unlike >unlike.said
    [ "$(grep -c "experts.0.gate_proj' and 'model.layers.2.mlp.experts.3.down_proj' are of different kinds: engines that run the experts" unlike.said)" = 1 ]
    [ "$(grep -c '^warning' unlike.said)" = 1 ]
}

@test "experts: a plan counts the work of experts that see all tokens, and several reducers" {
    need conformance
    plan() { ptq plan "$1" --json --model "$tiny" --data data.jsonl --tokens 24 --length 12 --bits 8 --group 8 "${@:2}"; }
    plan gptq >one.json
    plan sharded --experts all --workers reduce=3 >all.json
    jq -es '.[1].flops_forward > 1.2 * .[0].flops_forward and .[1].flops_reduce > 1.8 * .[0].flops_reduce and .[1].memory.reduce.processes == 3' one.json all.json
}

@test "experts: a reducer that is lost while their sites are open is replaced alone, of several too" {
    need conformance
    run_tiny gptq undisturbed --workers forward=2
    for recipe in gptq sharded; do
        run_tiny "$recipe" "lost.$recipe" --workers forward=2 --reduce.fault "die:45,once:$PWD/$recipe.once"
        grep -q 'reduce.* was ended by signal 9 (Killed); reduce.* takes its place behind site' "lost.$recipe.txt"
        run -1 grep -q 'begin again' "lost.$recipe.txt"
        cmp undisturbed/model.safetensors "lost.$recipe/model.safetensors"
    done
}

@test "experts: 3 and 8 reducers that share the sites make the checkpoint of one, all within --mem" {
    need conformance
    run_tiny gptq alone --starved all-tokens
    for n in 3 8; do
        run_tiny sharded "by$n" --starved all-tokens --workers "forward=2,reduce=$n"
        cmp alone/model.safetensors "by$n/model.safetensors"
    done
    need tale-moe
    for mem in 2G 1M; do
        ptq run gptq --model "$data/tale-moe" --data "$text" --tokens 512 --length 128 --chunk-tokens 128 --bits 4 --group 64 --out "mem$mem" --reduce.mem "$mem" 2>"mem$mem.txt"
    done
    cmp mem2G/model.safetensors mem1M/model.safetensors
    grep -q 'sums beyond --mem lie in a file' mem1M.txt
    run -1 grep -q 'sums beyond --mem\|the sums of one problem take' mem2G.txt
    run -1 grep -q 'the sums of one problem take' mem1M.txt
}
