#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run_id.bats - stages of two runs on the same endpoints: what is of another run is refused with both ids named.
bats_require_minimum_version 1.5.0
load left.bash
# bats file_tags=fire

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$ROOT/pipelines/demo/tale-qwen3
    cd "$BATS_FILE_TMPDIR"
    for seed in 1 2; do
        ptq sample --model "$M" --data "$M/calib.jsonl" --tokens 1024 --length 256 --seed $seed --quiet >chunks$seed.ptq
        ptq forward --model "$M" --inputs full --quiet <chunks$seed.ptq >acts$seed.ptq
    done
    # the same tokenizer, config and shapes, other weights
    cp -r "$M" other
    size=$(stat -c %s other/model.safetensors)
    head -c 64 /dev/zero | dd of=other/model.safetensors bs=1 seek=$((size - 64)) conv=notrunc status=none
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

run_of() { # FILE: the run of its first message
    ptq inspect --json "$1" | jq -r -n 'first(inputs | .. | objects | select(.kind? and .run?) | .run)'
}

@test "a forward of an earlier run that joins the next one is refused" {
    a=$(run_of acts1.ptq) b=$(run_of acts2.ptq)
    [ "$a" != "$b" ]
    [ "${a%-*}" = "${b%-*}" ]
    timeout 20 ptq cat --quiet --in acts1.ptq --out ipc://rows 3>&- 2>one.log &
    first=$!
    timeout 20 ptq cat --quiet --in acts2.ptq --out ipc://rows 3>&- 2>two.log &
    second=$!
    run timeout 20 ptq reduce --quiet --peers 2 --in @ipc://rows --out problems.ptq
    [ "$status" -ne 0 ]
    [ "$status" -ne 124 ]
    [[ $output == *"run $a where run $b is going on"* || $output == *"run $b where run $a is going on"* ]]
    wait $first || true # which of the two was there first, and so what becomes of each, is chance
    wait $second || true
}

@test "models that share a tokenizer make different runs, and each stage checks its own" {
    ptq sample --model other --data "$M/calib.jsonl" --tokens 1024 --length 256 --seed 1 --quiet >chunks3.ptq
    [ "$(run_of chunks1.ptq)" != "$(run_of chunks3.ptq)" ]
    run -100 ptq forward --model "$M" --inputs full --quiet --out none.ptq <chunks3.ptq
    [[ $output == *"run $(run_of chunks3.ptq) is of the model"*"all stages of a run, the sampler too, need the same --model, and what was recorded"* ]]
    ptq reduce --quiet <acts1.ptq | ptq solve --quiet --solver rtn >solutions.ptq
    run -100 ptq write --model other out --quiet <solutions.ptq
    [[ $output == *"is of the model"* ]]
    [ ! -e out/config.json ]
}

@test "options of forward that change the rows are part of the run" {
    ptq forward --model "$M" --inputs full --acts f32 --quiet <chunks1.ptq >f32.ptq
    [ "$(run_of f32.ptq)" != "$(run_of acts1.ptq)" ]
}

@test "programs of another version make another run" {
    version=$(ptq-sample --version | grep -o '[0-9]*\.[0-9]*\.[0-9]*' | head -1)
    mkdir later
    for stage in sample forward; do
        LC_ALL=C sed "s/${version//./\\.}/9.9.9/g" "$(command -v ptq-$stage)" >later/ptq-$stage
        chmod +x later/ptq-$stage
        [[ "$(later/ptq-$stage --version)" == *9.9.9* ]]
    done
    later/ptq-sample --model "$M" --data "$M/calib.jsonl" --tokens 1024 --length 256 --seed 1 --quiet >later/chunks.ptq
    later/ptq-forward --model "$M" --inputs full --quiet <chunks1.ptq >later/acts.ptq
    [ "$(run_of later/chunks.ptq)" != "$(run_of chunks1.ptq)" ]
    [ "$(run_of later/acts.ptq)" != "$(run_of acts1.ptq)" ]
}
