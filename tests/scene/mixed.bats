#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# mixed.bats - ptq run --target-bpw: one command measures, chooses the bits of every site and follows the choice; ended early it goes on.
bats_require_minimum_version 1.5.0
load bounds.bash

setup_file() {
    root=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$root/bin}:$PATH"
    export M=$root/tests/golden/conformance/llama3 # four small blocks with random weights
    export IDS=$BATS_FILE_TMPDIR/ids.jsonl
    jq -nc 'range(40) as $row | { input_ids: [ range(64) | (. * 7919 + $row * 104729 + . * . * 31) % 320 ] }' >"$IDS"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

words() { # MORE...: of a run that chooses between 3 and 4 bits
    echo run gptq --model "$M" --data "$IDS" --out mix --tokens 256 --length 64 --group 32 --choose-bits 3,4 ${TARGET:---target-bpw 4} "$@"
}

sums() { # DIR
    (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
}

@test "one command chooses within the target, and goes on where it ended; plan prints the same choice" {
    run -100 ptq run gptq --model "$M" --data "$IDS" --out none --tokens 64 --length 64 --group 32 --choose-bits 3,4
    [[ $output == *"--choose-bits goes with --target-bpw, --target-size or --max-kl" ]]
    run -100 --separate-stderr ptq plan --model "$M" --length 64 --group 32 --target-bpw 4 --out mix
    [[ $stderr == *'--losses DIR says where they are'* ]]

    mkdir mix.mixed && touch mix.mixed/w4 # in the way of the second step
    run -100 ptq $(words)
    [[ $output == *'step 1 of 4: one pass at 3 bits'*'step 2 of 4: the same problems at 4 bits'*'this step failed, with 100'* ]]
    rm mix.mixed/w4
    run -0 ptq $(words)
    [[ $output == *'step 1 of 4, done before: one pass'*'step 2 of 4: the same'*'runner-up: '*'step 4 of 4: '* ]]
    [ ! -e mix.mixed/problems.ptq ]
    [ -z "$(find mix.mixed -name '*.safetensors')" ]
    jq -es '[.[] | select(.record == "site") | .inputs as $K | .linears[] | {w: (.rows * $K), b: (.rows * $K * (.bits + (16 + .bits) / .group)), bits}] |
        ((map(.b) | add) / (map(.w) | add)) as $bpw | $bpw <= 4 and $bpw > 3.8 and (map(.bits) | unique) == [3, 4]' mix/.ptqflow/journal.jsonl

    ptq plan --model "$M" --length 64 --group 32 --target-bpw 4 --out mix >plan
    grep -q '^runner-up: ' plan
    diff <(grep -o '^  b[0-9].*group=32' plan | tr -d ' ') <(grep '^b' mix.mixed/choice.txt | tr -d ' ')
    ptq plan --model "$M" --length 64 --group 32 --target-bpw 4 --losses mix.mixed/w3 --losses mix.mixed/w4 --json 2>said | jq -e '.bits <= 4 and .bits > 3.8'
    grep -q 'bits a weight (target 4.0000)' said

    # another target needs no further pass; the same one, said as a size, has the same bytes
    mv mix first
    size=$(jq -s '[.[] | select(.record == "site") | .inputs as $K | .linears[] | .rows * $K] | add / 2' first/.ptqflow/journal.jsonl)
    run -0 ptq $(TARGET="--target-size $size" words)
    [[ $output == *'step 1 of 4, done before'*'step 2 of 4, done before'*'(target 4.0000)'* ]]
    diff <(sums first) <(sums mix)
    diff <(grep '^  b[0-9]' plan) <(ptq plan --model "$M" --length 64 --group 32 --target-size "$size" --out mix | grep '^  b[0-9]')
}

@test "choices are measured on a text, later ones by what earlier ones showed, and the one that diverges least is followed" {
    jq -nc 'range(4) as $row | { input_ids: [ range(64) | (. * 104729 + $row * 7919 + . * . * 17) % 320 ] }' >held.jsonl
    run -0 ptq $(words --choose-on held.jsonl --choose-trials 6)
    lines=$(sed -n 's/^ptq: choice \([0-9]*\), by \(.*\): KL \([0-9.e-]*\) .*/\3 \1 \2/p' <<<"$output")
    [ "$(wc -l <<<"$lines")" = 6 ]
    [[ $lines == *'relative losses'*'the same bits everywhere'*'what was measured so far'* ]]
    # all are different, and within the target
    [ "$(for n in 0 1 2 3 4 5; do grep -v '^#' mix.mixed/tries/$n.txt | sha256sum; done | sort -u | wc -l)" = 6 ]
    for n in 0 1 2 3 4 5; do
        jq -es '[.[] | select(.record == "site") | .inputs as $K | .linears[] | {w: (.rows * $K), b: (.rows * $K * (.bits + (16 + .bits) / .group))}] |
            (map(.b) | add) / (map(.w) | add) <= 4' mix.mixed/tries/$n/.ptqflow/journal.jsonl
    done
    least=$(sort -g <<<"$lines" | head -n 1 | cut -d ' ' -f 2)
    cmp mix.mixed/tries/$((least - 1)).txt mix.mixed/choice.txt
    [ -z "$(find mix.mixed -name '*.safetensors')" ]
    [ -e mix/config.json ]
}

@test "a share is quantized to the bits that are given, the rest stays; a divergence is met with the fewest bits" {
    run -0 ptq run gptq --model "$M" --data "$IDS" --out share --tokens 256 --length 64 --group 32 --bits 3 --target-qr .6
    jq -es '[.[] | select(.record == "site") | .inputs as $K | .linears[] | {w: (.rows * $K), kept: (.kept // false), bits}] |
        ((map(select(.kept | not).w) | add) / (map(.w) | add)) as $qr | $qr >= .6 and $qr < .9 and (map(select(.kept | not).bits) | unique) == [3]' share/.ptqflow/journal.jsonl
    grep -q '^Of the weights of these linears [0-9.]*% are quantized (Qr 0\.' share/README.md
    ptq plan --model "$M" --length 64 --group 32 --bits 3 --target-qr .6 --out share >plan
    grep -q '(target: a share of 0.6 quantized)' plan
    diff <(grep -o 'Qr 0[.0-9]*), [0-9]* to a' plan) <(grep -o 'Qr 0[.0-9]*), [0-9]* to a' share/README.md)

    jq -nc 'range(4) as $row | { input_ids: [ range(64) | (. * 104729 + $row * 7919 + . * . * 17) % 320 ] }' >held.jsonl
    run -0 ptq run gptq --model "$M" --data "$IDS" --out close --tokens 256 --length 64 --group 32 --choose-bits 3,4,8 --max-kl .2 --choose-on held.jsonl --choose-trials 3 --products bf16
    [ "$(jq -s 'map(.products) | unique == ["bf16"]' close.mixed/tries/*/.ptqflow/eval.jsonl)" = true ] # as the run multiplies
    # the choice that was followed met it, and of those measured that did none is smaller
    jq -n 'reduce inputs as $x ([]; . + [$x.kld_mean])' close.mixed/tries/*/.ptqflow/eval.jsonl >kl
    n=0 followed=
    while [ -e close.mixed/tries/$n ]; do
        bits=$(sed -n '1s/^# \([0-9.]*\) bits a weight.*/\1/p' close.mixed/tries/$n.txt)
        met=$(jq -s 'last.kld_mean <= .2' close.mixed/tries/$n/.ptqflow/eval.jsonl)
        ! cmp -s close.mixed/tries/$n.txt close.mixed/choice.txt || followed="$met $bits"
        [ "$met" = false ] || echo "$bits"
        n=$((n + 1))
    done >met
    [ $n -ge 1 ]
    [ "$followed" = "true $(sort -g met | head -n 1)" ]
    ptq plan --model "$M" --length 64 --group 32 --max-kl .2 --out close | grep -q '(target: KL 0.2; '
    run -100 ptq run gptq --model "$M" --data "$IDS" --out far --tokens 256 --length 64 --group 32 --choose-bits 3,4 --max-kl 1e-3 --choose-on held.jsonl --choose-trials 1
    [[ $output == *'even the most bits that these runs allow are foreseen to diverge by'* ]]
}

@test "asked to stop it stops, with the step that runs" {
    ptq $(words) >said 2>&1 3>&- &
    until_true test -e mix.mixed/w3/.ptqflow/control
    kill -TERM $!
    code=0
    wait $! || code=$?
    [ $code = 111 ]
    grep -q 'asked to stop; the same command goes on' said
    [ ! -e mix ]
    [ ! -e mix.mixed/pass.done ]
}

@test "what the choice replaces, or cannot meet, is refused before anything starts" {
    run -100 ptq $(words --bits 4)
    [[ $output == *"option '--bits': --target-bpw chooses the bits"* ]]
    run -100 ptq $(words --bits 4 --dry-run)
    [[ $output == *"option '--bits': --target-bpw chooses the bits"* ]]
    run -100 ptq $(words --record p.ptq)
    [[ $output == *"option '--record'"* ]]
    run -100 ptq $(words --choose-on nowhere.jsonl)
    [[ $output == *"--choose-on: 'nowhere.jsonl' is not there"* ]]
    run -100 ptq $(words --max-kl .1)
    [[ $output == *'say one of --target-bpw, --target-size, --target-qr and --max-kl'* ]]
    run -100 ptq $(TARGET="--target-size 1K" words)
    [[ $output == *'--target-size 1024: 3 bits with their scales take '*' already'* ]]
    run -100 ptq plan --model "$M" --target-bpw 3 --target-size 1M
    [[ $output == *'say one of --target-bpw, --target-size, --target-qr and --max-kl'* ]]
    run -100 ptq $(words --choose-trials 3)
    [[ $output == *'--choose-trials goes with --choose-on'* ]]
    run -100 ptq run gptq --model "$M" --data "$IDS" --out mix --length 64 --group 32 --max-kl .1
    [[ $output == *'--max-kl: divergence on which text? --choose-on FILE'* ]]
    run -100 ptq run gptq --model "$M" --data "$IDS" --out mix --length 64 --group 32 --target-qr .5 --choose-bits 3,4
    [[ $output == *'--target-qr quantizes to --bits'* ]]
    run -100 ptq $(words --format awq)
    [[ $output == *'of the widths --choose-bits 3,4 only 1 can be stored'* ]]
    run -100 ptq run gptq --model "$M" --data "$IDS" --out mix --length 64 --tokens 256 --group 32 --target-bpw 2.2
    [[ $output == *'2 bits with their scales take 2.5625 already'* ]]
    run -100 ptq run gptq --model "$M" --data "$IDS" --out mix --length 64 --tokens 256 --group 32 --target-bpw 3 --choose-bits 4,3
    [[ $output == *"'4,3' is no list of widths"* ]]
    [ ! -e mix.mixed ]
}
