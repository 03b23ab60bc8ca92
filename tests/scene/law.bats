#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# law.bats - several runs of one recording: the choice of bits that ptq allocate makes of them is followed by a run to the bit, and
# ptq law fits what they lost.
bats_require_minimum_version 1.5.0
load model.bash

setup_file() {
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    cd "$BATS_FILE_TMPDIR"
    narrow_model "$M" 3
    ptq run gptq --model "$M" --data "$M/calib.jsonl" --out w3 --tokens 1024 --length 128 --bits 3 --group 64 --record p.ptq --quiet
    again w2 --bits 2
    again w4 --bits 4
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

again() { # OUT MORE...: the same problems solved otherwise
    local out=$1
    shift
    ptq resolve --model "$M" --problems p.ptq --out "$out" --group 64 --quiet "$@"
}

bits_of() { # OUT: bits a weight as the journal has them, scales and zero points counted
    jq -s '[.[] | select(.record == "site") | .inputs as $K | .linears[] |
        {w: (.rows * $K), b: (.rows * $K * .bits + .rows * $K / .group * (16 + .bits))}] | (map(.b) | add) / (map(.w) | add)' \
        "$1/.ptqflow/journal.jsonl"
}

@test "what is chosen is within the target, and a run that follows it has just these bits" {
    ptq allocate --target-bpw 3 --protect none --out mixed.txt w2 w3 w4
    ptq allocate --target-bpw 3 --protect none --json w2 w3 w4 >mixed.json
    again mixed --bits 3 --overrides mixed.txt
    jq -e --argjson b "$(bits_of mixed)" '.bpw <= 3 and .bpw > 2.9 and (.bpw - $b | fabs) < 1e-9' mixed.json
    jq -e '[.sites[].bits] | unique == [2, 3] or unique == [2, 3, 4]' mixed.json
    # the losses of a recording do not depend on each other: the run loses what was said
    said=$(jq .loss mixed.json)
    jq -es --argjson said "$said" '[.[] | select(.record == "site") | .inputs as $K | .linears[] |
        {w: (.rows * $K), l: (.rel_loss * .rows * $K)}] | (map(.l) | add) / (map(.w) | add) / $said - 1 | fabs < 1e-9' \
        mixed/.ptqflow/journal.jsonl
}

@test "the first and last block keep what the run within the target gives them; weights decide" {
    ptq allocate --target-bpw 3.5 --json w2 w3 w4 | jq -e '[.sites[] | select((.block == 0 or .block == 2)).bits] | min >= 3'
    jq -c '.sites[] | {block, site, weight: (if .block == 2 then 1 else 0 end)}' <(ptq allocate --target-bpw 3 --json w2 w3 w4) >weights
    ptq allocate --target-bpw 3 --protect none --site-weights weights --json w2 w3 w4 |
        jq -e 'all(.sites[]; if .block == 2 then .bits == 4 else .bits == 2 end)'
    run -100 --separate-stderr ptq allocate --target-bpw 3 --site-weights <(head -3 weights) w2 w3 w4
    [[ $stderr == *'has no weight for b0.mlp.down'* ]]
    run -100 --separate-stderr ptq allocate --target-bpw 3 --site-weights <(echo '{"block":9,"site":"x","weight":1}') w2 w3 w4
    [[ $stderr == *':1: the runs have no site b9.x'* ]]
}

@test "other scores, and random choices to measure the exact one by" {
    # what needs no inputs is in the journal, too
    jq -es '[.[] | select(.record == "site").linears[]] | length > 0 and all(.round_off > 0 and .trace > 0)' w3/.ptqflow/journal.jsonl
    for score in relative loss round-off trace; do
        ptq allocate --target-bpw 3 --protect none --score $score --json w2 w3 w4 >exact
        ptq allocate --target-bpw 3 --protect none --score $score --search random --trials 30 --seed 7 --json w2 w3 w4 >random
        jq -es '.[1].bpw <= 3 and .[1].bpw > 2.9 and .[0].loss < .[1].loss' exact random
    done
    many=$(ptq allocate --target-bpw 3 --protect none --search random --trials 30 --seed 7 w2 w3 w4)
    [ "$many" = "$(ptq allocate --target-bpw 3 --protect none --search random --trials 30 --seed 7 w2 w3 w4)" ]
    [ "$many" != "$(ptq allocate --target-bpw 3 --protect none --search random --trials 30 --seed 8 w2 w3 w4)" ]
    jq -c 'if .record == "site" then .linears |= map(del(.round_off)) else . end' w3/.ptqflow/journal.jsonl >j
    mkdir -p older/.ptqflow && cp j older/.ptqflow/journal.jsonl
    run -100 --separate-stderr ptq allocate --target-bpw 3 --score round-off w2 older
    [[ $stderr == *'has no round-off: a run of this version has'* ]]
    ptq allocate --target-bpw 3 --json w2 older | jq -e '.by == "relative loss" and (has("against") | not)' # no second score disagrees
    # what is better by the relative loss alone is not followed
    mkdir -p apart/.ptqflow
    jq -c 'if .record == "site" then .linears |= map(.rel_loss /= 1000) else . end' w2/.ptqflow/journal.jsonl >apart/.ptqflow/journal.jsonl
    ptq allocate --target-bpw 3.2969 --protect none --score relative --json apart w3 w4 | jq -e '[.sites[].bits] | index(2) != null'
    ptq allocate --target-bpw 3.2969 --protect none --json apart w3 w4 | jq -e '.against == "w3" and ([.sites[].bits] | index(3) != null)'
    ptq allocate --target-bpw 3.2969 --protect none apart w3 w4 | grep -q "^# the relative loss alone chooses otherwise, which by the round-off is worse than 'w3' throughout"
}

@test "a share to quantize, and a divergence not to be passed" {
    ptq allocate --target-qr .9 --out share.txt w3
    ptq allocate --target-qr .9 --json w3 | jq -e '.qr >= .9 and .qr < .95 and .qb == 64 and (.target | not) and .bpw > 4'
    again share --bits 3 --overrides share.txt
    jq -es '[.[] | select(.record == "site") | .inputs as $K | .linears[] | { w: (.rows * $K), kept: (.kept // false) }] |
        (map(select(.kept).w) | add) / (map(.w) | add) | . <= .1 and . > .05' share/.ptqflow/journal.jsonl
    grep -qF "are quantized (Qr $(ptq allocate --target-qr .9 --json w3 | jq '.qr * 10000 | round / 10000')), 64 to a scale (Qb)." share/README.md

    run -100 --separate-stderr ptq allocate --max-kl .1 w2 w3
    [[ $stderr == *'ptq eval --model w2 --ref MODEL --data FILE --keep-figures'* ]]
    for w in w2 w3; do
        ptq eval --model $w --ref "$M" --data "$M/eval.jsonl" --window 128 --max-windows 2 --ref-states states --keep-figures --quiet >/dev/null
    done
    kl() { jq -s '.[0].kld_mean' "$1/.ptqflow/eval.jsonl"; }
    two=$(kl w2) three=$(kl w3)
    # what a run diverges needs no more bits than it has, and is foreseen of it; less needs more
    ptq allocate --max-kl "$two" --protect none --json w2 w3 w4 | jq -e --argjson kl "$two" '.bpw < 2.2813 and (.kl_foreseen / $kl - 1 | fabs) < 1e-9'
    ptq allocate --max-kl "$three" --protect none --json w2 w3 w4 | jq -e --argjson kl "$three" '.bpw <= 3.2969 and .bpw > 2.8 and .kl_foreseen <= $kl * (1 + 1e-9)'
    ptq allocate --max-kl .05 w2 w3 w4 | grep -q 'target: KL 0.05; 0.0.* foreseen, to be measured'
    run -100 --separate-stderr ptq allocate --max-kl 1e-9 w2 w3
    [[ $stderr == *'even the most bits that these runs allow are foreseen to diverge by '* ]]
    rm -r w3/.ptqflow/eval.jsonl
    ptq eval --model w3 --ref "$M" --data "$M/eval.jsonl" --window 128 --max-windows 1 --keep-figures --quiet >/dev/null
    run -100 --separate-stderr ptq allocate --max-kl .1 w2 w3
    [[ $stderr == *"'w2' and 'w3' were measured on different texts or windows"* ]]
    rm -r w2/.ptqflow/eval.jsonl w3/.ptqflow/eval.jsonl
}

@test "what a site, or a block, costs the model alone becomes the weight of its losses" {
    sense() { # BY
        PTQ_SENSE_ONLY='b1*' PTQ_SENSE_WINDOW=128 PTQ_SENSE_WINDOWS=2 sh "$BATS_TEST_DIRNAME/../../pipelines/sensitivity" "$M" p.ptq "$M/eval.jsonl" w2 sense "$1"
    }
    sense block
    sense site
    [ "$(jq -r .name sense/block.jsonl)" = b1 ]
    [ "$(jq -r .name sense/site.jsonl | tr '\n' ' ')" = 'b1.attn.o b1.attn.qkv b1.mlp.down b1.mlp.up ' ]
    # with all of its sites a block loses more than with one of them; the scores of those measured are their divergences
    jq -es '(.[0].kld) as $all | all(.[1:][]; .kld > 0 and .kld < $all)' sense/block.jsonl sense/site.jsonl
    for by in site block; do
        jq -es --slurpfile kl sense/$by.jsonl --slurpfile run <(jq -c 'select(.record == "site") | .inputs as $K |
                { block, site, loss: (.linears | map(.rel_loss * .rows * $K) | add) }' w2/.ptqflow/journal.jsonl) '
            [ .[] as $w | $run[] | select(.block == $w.block and .site == $w.site) | .loss * $w.weight * (if .block == 1 then 1 else 0 end) ] | add / ($kl | map(.kld) | add) - 1 |
            fabs < 1e-9' sense/weights-$by.jsonl
    done
    # the others have the mean weight
    [ "$(jq -s 'length' sense/weights-site.jsonl) $(jq -s '[.[] | select(.block != 1).weight] | unique | length' sense/weights-site.jsonl)" = '12 1' ]
    ptq allocate --target-bpw 3 --site-weights sense/weights-site.jsonl --json w2 w3 w4 | jq -e '.bpw <= 3 and .bpw > 2.9'
    before=$(cat sense/site.jsonl)
    sense site # all is there
    [ "$before" = "$(cat sense/site.jsonl)" ]
    [ ! -e sense/one ]
    run -100 sense layer
}

@test "a sweep makes each point once, and a point alone" {
    S=${PTQ_SHARED:-$BATS_TEST_DIRNAME/../../../shared}/data
    [ -d "$S/tinystories-656k" ] || skip "PTQ_SHARED has no tinystories-656k"
    head -c 20000 "$S/text-tinystories/tinystories_sample.txt" >text.txt
    jq -n --arg model "$S/tinystories-656k" '{ models: [ { $model, data: "text.txt", eval: "text.txt" } ], qb: [32], qr: [0.5], tokens: 128, length: 64, windows: 2 }' >spec
    [ "$(sh "$BATS_TEST_DIRNAME/../../pipelines/sweep" spec sweep list | cut -f 2 | tr '\n' ' ')" = "tinystories-656k-s1-gptq-w3-qb32-qr1 tinystories-656k-s1-gptq-w3-qb32-qr0.5 " ]
    sh "$BATS_TEST_DIRNAME/../../pipelines/sweep" spec sweep 2
    [ "$(wc -l <sweep/points.jsonl)" = 1 ]
    run -0 --separate-stderr sh "$BATS_TEST_DIRNAME/../../pipelines/sweep" spec sweep
    [ "$stderr" = tinystories-656k-s1-gptq-w3-qb32-qr1 ] # the other point is there
    jq -es 'sort_by(.qr) | length == 2 and .[0].qr <= .5 and .[0].qr > .3 and .[1].qr == 1 and .[0].delta < .[1].delta and all(.seed == 1 and .qb == 32)' sweep/points.jsonl
    run -100 sh "$BATS_TEST_DIRNAME/../../pipelines/sweep" spec sweep 3
}

@test "what cannot be compared or reached is refused" {
    run -100 --separate-stderr ptq allocate --target-bpw 2 w2 w3 w4
    [[ $stderr == *'the least that these runs allow is 2.2'*'add a run with fewer bits'* ]]
    run -100 ptq allocate w2 w3
    run -100 ptq allocate --target-bpw 3 --target-size 1M w2 w3
    jq -c '.sites[] | {block, site, weight: 1}' <(ptq allocate --target-bpw 3 --json w2 w3 w4) >own
    for of in w2/.ptqflow/journal.jsonl w3/config.json own; do # --out on what is read
        run -100 --separate-stderr ptq allocate --target-bpw 3 --site-weights own --out $of w2 w3 w4
        [[ $stderr == *"the journal and --out are the same file '$of'"* || $stderr == *"--out: '$of' is a file of the run 'w3'"* || $stderr == *"--site-weights and --out are the same file 'own'"* ]]
    done
    run -100 --separate-stderr ptq law fit --page w2/config.json w2 w3
    [[ $stderr == *"--page: 'w2/config.json' is a file of the run 'w2'"* ]]
    run -100 --separate-stderr ptq allocate --target-bpw 3 --measured w3 w2 w4
    [[ $stderr == *"--measured: 'w3' keeps no divergence from its model: ptq eval --model w3"* ]]
    run -100 --separate-stderr ptq allocate --target-bpw 3 --search explore w2 w3 w4
    [[ $stderr == *'--search explore: from which measured choices? --measured DIR'* ]]
    run -100 --separate-stderr ptq allocate --max-kl .1 --search explore --measured w3 w2 w3 w4
    [[ $stderr == *'--search explore: within a --target-bpw or --target-size, not for --max-kl'* ]]
    sed 's/"tokens":1024/"tokens":999/' w3/.ptqflow/journal.jsonl >j
    mkdir -p other/.ptqflow && cp j other/.ptqflow/journal.jsonl
    run -100 --separate-stderr ptq allocate --target-bpw 3 w2 other
    [[ $stderr == *'saw other tokens'* ]]
    sed '$d' w3/.ptqflow/journal.jsonl | grep -v '"done"' >other/.ptqflow/journal.jsonl
    run -100 --separate-stderr ptq allocate --target-bpw 3 w2 other
    [[ $stderr == *"'other': this run is not finished"* ]]
    jq -c 'if .record == "site" then .linears[0] |= (.loss *= -1 | .rel_loss *= -1) else . end' w3/.ptqflow/journal.jsonl >other/.ptqflow/journal.jsonl
    run -100 --separate-stderr ptq allocate --target-bpw 3 w2 other
    [[ $stderr == *"has a loss of -"*"the journal is damaged"* ]]
}

@test "a law is fitted to folders and points; kinds are not mixed" {
    run -100 --separate-stderr ptq law fit w3
    [[ $stderr == *'ptq eval --model w3 --ref MODEL --data FILE --keep-figures'* ]]
    ptq eval --model w3 --ref "$M" --data "$M/eval.jsonl" --window 128 --max-windows 2 --keep-figures --quiet >/dev/null
    for n in 1 2 3 4 5 6; do
        jq -nc --argjson n $n '{model: "tale", kind: "gptq, 3 bits, sym", params: 147456, qr: ($n / 7), qb: 64, delta: (0.001 * ($n * 0.6 | exp))}'
    done >points
    ptq law points w3 | jq -e '.qr == 1 and .qb == 64 and .params == 147456 and .kind == "gptq, 3 bits, sym" and .delta > 0'
    ptq law fit --json points w3 | jq -e '.points + .dropped == 7 and .kind == "gptq, 3 bits, sym" and (.constants | keys == ["A", "ln C"])'
    ptq law fit --json points | jq -e '.constants.A | (.value - 4.2 | fabs < 1e-9) and .low <= .high'
    ptq law fit --page law.html points >/dev/null
    grep -q 'measured, Qb 64' law.html
    grep -q 'What the law leaves' law.html
    run -100 ptq law predict --page law.html points
    ptq law predict --json --qr .5 --qb 64 points | jq -e '.delta.value / (0.001 * (2.1 | exp)) - 1 | fabs < 1e-9'
    ptq law advise --json --max-loss 1% points | jq -es 'length == 1 and (.[0].qr - (10 | log) / 4.2 | fabs < 1e-6)'
    run -100 --separate-stderr ptq law fit points <(jq -c '.kind = "x"' points)
    [[ $stderr == *"is of another kind (x)"* ]]
    run -100 ptq law guess points
    run -100 ptq law advise points
    run -100 ptq law predict --params 7X points
}
