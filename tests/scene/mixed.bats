#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# mixed.bats - ptq run --target-bpw: one command measures, chooses the bits of every site and follows the choice; ended early it goes on.
bats_require_minimum_version 1.5.0

setup_file() {
    root=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$root/bin}:$PATH"
    export M=$root/pipelines/demo/tale-qwen3
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

words() { # MORE...: of a run that chooses between 3 and 4 bits
    echo run gptq --model "$M" --data "$M/calib.jsonl" --out mix --tokens 256 --length 64 --group 64 --choose-bits 3,4 --target-bpw 3.7 "$@"
}

sums() { # DIR
    (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
}

@test "one command chooses within the target, and goes on where it ended; plan prints the same choice" {
    run -100 --separate-stderr ptq plan --model "$M" --group 64 --target-bpw 3.7 --out mix
    [[ $stderr == *'--losses DIR says where they are'* ]]

    mkdir mix.mixed && touch mix.mixed/w4 # in the way of the second step
    run -100 ptq $(words)
    [[ $output == *'step 1 of 4: one pass at 3 bits'*'step 2 of 4: the same problems at 4 bits'*'this step failed, with 100'* ]]
    rm mix.mixed/w4
    run -0 ptq $(words)
    [[ $output == *'step 1 of 4, done before: one pass'*'step 2 of 4: the same'*'runner-up: '*'step 4 of 4: '* ]]
    [ ! -e mix.mixed/problems.ptq ] && [ -z "$(find mix.mixed -name '*.safetensors')" ]
    jq -es '[.[] | select(.record == "site") | .inputs as $K | .linears[] | {w: (.rows * $K), b: (.rows * $K * (.bits + (16 + .bits) / .group)), bits}] |
        ((map(.b) | add) / (map(.w) | add)) as $bpw | $bpw <= 3.7 and $bpw > 3.5 and (map(.bits) | unique) == [3, 4]' mix/.ptqflow/journal.jsonl

    ptq plan --model "$M" --group 64 --target-bpw 3.7 --out mix >plan
    grep -q '^runner-up: ' plan
    diff <(grep -o '^  b[0-9].*group=64' plan | tr -d ' ') <(grep '^b' mix.mixed/choice.txt | tr -d ' ')
    ptq plan --model "$M" --group 64 --target-bpw 3.7 --losses mix.mixed/w3 --losses mix.mixed/w4 --json 2>said | jq -e '.bits <= 3.7 and .bits > 3.5'
    grep -q 'bits a weight (target 3.7000)' said

    # another target needs no further pass; the same one has the same bytes
    mv mix first
    run -0 ptq $(words)
    [[ $output == *'step 1 of 4, done before'*'step 2 of 4, done before'* ]]
    diff <(sums first) <(sums mix)
}

@test "asked to stop it stops, with the step that runs" {
    ptq $(words) >said 2>&1 3>&- &
    until [ -e mix.mixed/w3/.ptqflow/control ] || ! kill -0 $!; do :; done
    kill -TERM $!
    code=0
    wait $! || code=$?
    [ $code = 111 ]
    grep -q 'asked to stop; the same command goes on' said
    [ ! -e mix ] && [ ! -e mix.mixed/pass.done ]
}

@test "what the choice replaces, or cannot meet, is refused before anything starts" {
    run -100 ptq $(words --bits 4)
    [[ $output == *"option '--bits': --target-bpw chooses the bits"* ]]
    run -100 ptq $(words --record p.ptq)
    [[ $output == *"option '--record'"* ]]
    run -100 ptq $(words --format awq)
    [[ $output == *'of the widths 3,4 1 can be stored'* ]]
    run -100 ptq run gptq --model "$M" --data "$M/calib.jsonl" --out mix --target-bpw 2.2
    [[ $output == *'2 bits with their scales take 2.281 already'* ]]
    run -100 ptq run gptq --model "$M" --data "$M/calib.jsonl" --out mix --target-bpw 3 --choose-bits 4,3
    [[ $output == *"'4,3' is no list of widths"* ]]
    [ ! -e mix.mixed ]
}
