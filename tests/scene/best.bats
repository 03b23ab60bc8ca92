#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# best.bats - ptq run best: trials on few tokens, judged on rows that no run sees, then the run, with a note of what was found; and
# ptq-write --note alone.
bats_require_minimum_version 1.5.0

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

best() { # MORE...
    ptq run best --model "$M" --data "$IDS" --out best --tokens 256 --length 64 --bits 3 --group 32 --held 512 --probe 128 "$@"
}

@test "a search tries, chooses the least divergence, says why, and goes on where it ended" {
    mkdir -p best.best && touch best.best/trial-1 # in the way of the second trial
    run -100 best --dual --solver qep+gptq --budget 100
    [[ $output == *'trial 0, qep+gptq, rows of 64'*'trial 1, a rotated model'*'this step failed, with 100'* ]]
    [ ! -e best ]
    rm best.best/trial-1
    run -0 best --dual --solver qep+gptq --budget 100
    [[ $output == *'done before: rows to judge trials on'*'done before: trial 0'*'trial 1, a rotated model'*'the run itself'* ]]

    # the held-out rows are behind those of the calibration
    ptq sample --model "$M" --data "$IDS" --tokens 1024 --length 512 --chunk-tokens 512 --quiet | ptq inspect - --json >chunks
    mean=$(jq -s '.[1].tensors[0].mean' chunks)
    jq -es --argjson mean "$mean" 'length == 1 and (.[0].input_ids | length == 512 and (add / 512 - $mean | fabs) < 1e-9)' best.best/held.jsonl
    note=$(jq -r 'select(.record == "note").text' best/.ptqflow/journal.jsonl)
    [[ $note == *'| a rotated model | '* && $note == *'on 128 of 256 calibration tokens'* ]]
    grep -qF '## Why so' best/README.md
    grep -qF '| a rotated model | ' best/README.md

    ptq report --out report.html best
    grep -q '>Why so<' report.html
    grep -qF '| a rotated model | ' report.html

    # the way that is kept is the one with the least divergence, and it is what the run has been asked for
    kl0=$(jq .kld_mean best.best/trial-0/.ptqflow/eval.jsonl) kl1=$(jq .kld_mean best.best/trial-1/.ptqflow/eval.jsonl)
    model=$(jq -r 'select(.record == "start").model' best/.ptqflow/journal.jsonl)
    if jq -en "$kl1 < .99 * $kl0"; then
        [[ $model == *best.best/rotated ]]
        [[ $note == *'a rotated model'*'kept |'* ]]
    else
        [[ $model == "$M" ]]
        [[ $note == *'a rotated model'*'no better |'* ]]
    fi
    # trials leave no checkpoints, the search nothing large
    [ ! -e best.best/rotated ]
    [ ! -e best.best/states.safetensors ]
    [ -z "$(find best.best/trial-* -name '*.safetensors')" ]
}

@test "--search none is the recipe as it stands" {
    run -0 best --solver gptq --search none --dry-run
    [[ $output == *'ptq-forward '*'--solver gptq'* && $output != *' --search'* && $output != *--dual* ]]
    [ ! -e best.best ]
}

@test "without words of its own a search begins with qep+gptq; a budget of nothing ends it there" {
    run -0 best --budget 0 --products bf16
    [[ $output == *'trial 0, qep+gptq, rows of 64'*'more trials would cost more than 0 times the run'* && $output != *'trial 1'* ]]
    jq -es '[.[] | select(.record == "site").solver] | unique == ["qep+gptq"]' best/.ptqflow/journal.jsonl
    grep -qF 'Not tried, because the budget was spent: 3 more.' best/README.md
    [ "$(jq -r .products best.best/trial-0/.ptqflow/eval.jsonl)" = bf16 ] # judged as it is made
}

@test "what few tokens leave in doubt, kept or not, is tried again on half of them" {
    run -0 ptq run best --model "$M" --data "$IDS" --out best --tokens 512 --length 64 --bits 3 --group 32 --held 512 --probe 64 --budget 100 --rotate no
    kl() { jq .kld_mean "best.best/trial-$1/.ptqflow/eval.jsonl"; }
    # trials 1 and 2 are --fit mse and qronos; of one window, so that nothing is in doubt but by how little it changes
    jq -n "$(kl 0) as \$kl | ($(kl 1) < .99 * \$kl) as \$fit | (if \$fit then $(kl 1) else \$kl end) as \$next | ($(kl 2) < .99 * \$next) as \$solver |
        [ { name: \"scales of the least square error\", kept: \$fit, gain: (\$kl / $(kl 1) | log) },
          { name: \"solver qronos\", kept: \$solver, gain: (\$next / $(kl 2) | log) } ] |
        map(select(.gain | fabs <= (1.1 | log))) | sort_by(.gain | fabs)" >close
    [ "$(grep -c ', half of the tokens |' best/README.md)" = "$(jq 'if length > 0 then length + 1 else 0 end' close)" ]
    jq -r '.[] | "| \(if .kept then "without " else "" end)\(.name), half of the tokens |"' close >rows
    diff rows <(grep -oE '^\| .*, half of the tokens \|' best/README.md | tail -n +2)
    # the first of them: what it gains on half of the tokens goes on to all of them, half as far as from 64 to 256
    n=$(jq length close)
    [ "$n" -gt 0 ] || skip "on this kind of CPU nothing is close"
    kept=$(jq -n --slurpfile close close "($(kl 3) / $(kl 4) | log) as \$half | \$close[0][0] as \$c | (if \$c.kept then - \$c.gain else \$c.gain end) as \$few |
        \$half + (\$half - \$few) / 2 > - (.99 | log)")
    [[ $(grep ', half of the tokens |' best/README.md | sed -n 2p) == *"$([ "$kept" = true ] && echo '| kept |' || echo '| no better |')" ]]
}

@test "what cannot be judged, and wrong words, are refused before anything starts" {
    run -100 best --search worst
    [[ $output == *'--search worst: it is best, or none'* ]]
    run -100 best --budget much
    [[ $output == *'--budget much: a number from 0 on is wanted'* ]]
    run -100 best --rotate maybe
    run -100 best --judge nowhere.jsonl
    [[ $output == *"--judge: 'nowhere.jsonl' is not there"* ]]
    run -100 best --mode head
    [[ $output == *'--judge FILE, or --mode concat'* ]]
    run -100 best --target-bpw 3
    run -100 ptq run gptq --model "$M" --data "$IDS" --out x --tokens 64 --length 64 --group 32 --note nowhere
    [[ $output == *"--note"*"nowhere"* ]]
    [ ! -e best ]
    [ ! -e best.best ]
    [ ! -e x/config.json ]
}
