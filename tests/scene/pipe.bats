#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# pipe.bats - the job as a shell pipe: every stage's stream kept in a file and replayed, recorded problems, a pipe whose end goes away.
bats_require_minimum_version 1.5.0
load model.bash
load bounds.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    cut_model "$M" 2
    cd "$BATS_FILE_TMPDIR"
    ptq sample --model "$M" --data "$M/calib.jsonl" --tokens 2048 --length 256 --chunk-tokens 512 --seed 1 --quiet >chunks.ptq
    ptq forward --model "$M" --follow one --quiet <chunks.ptq | tee acts.ptq |
        ptq reduce --record recorded.ptq --quiet | tee problems.ptq |
        ptq solve --bits 4 --group 64 --quiet | tee solutions.ptq | ptq write --model "$M" one --quiet
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

sums() { # DIR: of everything but the folder of what varies
    (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
}

@test "each kept stream, replayed, gives the same checkpoint" {
    ptq write --model "$M" two --quiet <solutions.ptq
    diff <(sums one) <(sums two)
    ptq solve --bits 4 --group 64 --quiet <problems.ptq | ptq write --model "$M" three --quiet
    diff <(sums one) <(sums three)
    ptq reduce --quiet <acts.ptq | ptq solve --bits 4 --group 64 --quiet | ptq write --model "$M" four --quiet
    diff <(sums one) <(sums four)
}

@test "the recorded problems are those that went out" {
    cmp recorded.ptq problems.ptq
}

@test "a problem stream needs no model, and another grid gives another checkpoint" {
    ptq solve --bits 3 --group 64 --quiet <recorded.ptq >three-bits.ptq
    ptq write --model "$M" bits3 --quiet <three-bits.ptq
    [ "$(jq .quantization_config.bits bits3/config.json)" = 3 ]
    run -1 cmp one/model.safetensors bits3/model.safetensors
}

@test "ptq resolve: recorded problems solved again as a run, marked as such" {
    ptq resolve --problems recorded.ptq --model "$M" --out again --bits 4 --group 64 --quiet
    run -0 ptq diff --json one again
    ptq resolve --problems recorded.ptq --model "$M" --out again3 --bits 3 --group 64 --quiet
    [ "$(jq .quantization_config.bits again3/config.json)" = 3 ]
    grep -aq 'inputs[^,]*recorded' again3/model.safetensors
    run -1 grep -aq 'inputs[^,]*recorded' one/model.safetensors
    run -100 ptq resolve --problems . --model "$M" --out nothing
    [[ $output == "ptq: fatal: --problems: '.' is a folder"* ]]
    run -100 ptq resolve --problems no-such.ptq --model "$M" --out nothing
    [[ $output == *no-such.ptq* ]]
    # what the first problem tells is looked at before the start
    again() { run -100 --separate-stderr ptq resolve --problems recorded.ptq --out nothing --model "${model:-$M}" "$@"; }
    again --solver gptaq
    [[ $stderr == "ptq: fatal: --problems 'recorded.ptq': b0.attn.qkv: solver gptaq needs D"* ]]
    again --override 'b1.*: solver=qep+gptq'
    [[ $stderr == "ptq: fatal: --problems 'recorded.ptq': it holds no D"* ]]
    again --equalise length
    [[ $stderr == "ptq: fatal: --problems 'recorded.ptq': b0.attn.qkv: --equalise: the classes by length have 0 rows"* ]]
    model=$ROOT/tests/golden/conformance/qwen3 again --group 32
    [[ $stderr == "ptq: fatal: --problems 'recorded.ptq': it was recorded from another model than --model"* ]]
    [ ! -e nothing/config.json ]
}

@test "order full needs no commits, and its first problem is that of order site" {
    ptq forward --model "$M" --inputs full --quiet <chunks.ptq | ptq reduce --quiet >full.ptq
    ptq inspect --json full.ptq | jq -e -s '[.. | objects | select(.kind? == "problem")] | length > 0'
    run -1 ptq diff --json problems.ptq full.ptq
}

@test "rows of the first chunk go out before the second has come: the same checkpoint" {
    head -c 4 chunks.ptq | grep -q PTQ1
    read -r -a n < <(od -An -v -tu8 -j8 -N$((8 * $(od -An -tu4 -j4 -N4 chunks.ptq))) chunks.ptq | xargs)
    first=$((8 + 8 * ${#n[@]} + $(IFS=+; echo "${n[*]}")))
    mkfifo late
    ptq forward --model "$M" --follow late-out --quiet <late 2>late.log | tee late.acts | ptq reduce --quiet |
        ptq solve --bits 4 --group 64 --quiet | ptq write --model "$M" late-out --quiet 3>&- &
    exec 4>late
    head -c $first chunks.ptq >&4
    until_true test -s late.acts
    tail -c +$((first + 1)) chunks.ptq >&4
    exec 4>&-
    wait $!
    diff <(sums one) <(sums late-out)
}

@test "a spill file and other memory change no byte" {
    ptq forward --model "$M" --follow spilled --mem 1M --tmp . --quiet <chunks.ptq | ptq reduce --mem 1M --tmp . 2>said |
        ptq solve --bits 4 --group 64 --quiet | ptq write --model "$M" spilled --quiet
    diff <(sums one) <(sums spilled)
    [ -z "$(ls | grep ptqflow-spill)" ]
    grep -qx "reduce: sums beyond --mem lie in a file in '.'" said
    grep -q 'reduce: warning: the sums of one problem take 2.25 MiB of memory, --mem is 1 MiB' said # 768 x 769 / 2 f64
}

@test "held-out chunks and the full-precision stream come along in one pass" {
    ptq forward --model "$M" --follow dual --dual --quiet <chunks.ptq | ptq reduce --holdout 2 --quiet | tee dual.ptq |
        ptq solve --bits 4 --group 64 --quiet | ptq write --model "$M" dual --quiet
    ptq inspect dual.ptq >seen
    grep -q 'S.hold' seen
    grep -q 'D.hold' seen
}

@test "a writer that refuses its folder ends the whole pipe at once" {
    mkdir -p foreign
    touch foreign/thing
    SECONDS=0
    set +o pipefail
    ptq forward --model "$M" --follow foreign --quiet <chunks.ptq 2>forward.err | ptq reduce --quiet 2>reduce.err |
        ptq solve --bits 4 --group 64 --quiet 2>solve.err | { run -100 ptq write --model "$M" foreign --quiet; echo "$output" >write.err; }
    [ $SECONDS -lt 20 ]
    grep -q "holds something else" write.err
    grep -Eq "the stage behind this one has gone|Broken pipe" forward.err
    [ "$(ls foreign)" = thing ]
}

@test "a writer that goes when all wait for it ends the whole pipe too" {
    SECONDS=0
    set +o pipefail
    # The first byte of a solution: all rows of the first site are through, and forward waits for its commit.
    ptq forward --model "$M" --follow nobody --quiet <chunks.ptq 2>forward.err | ptq reduce --quiet 2>reduce.err |
        ptq solve --bits 4 --group 64 --quiet 2>solve.err | head -c 1 >/dev/null
    [ $SECONDS -lt 20 ]
    for stage in forward reduce solve; do
        grep -Eq "the stage behind this one has gone|Broken pipe" $stage.err
    done
}
