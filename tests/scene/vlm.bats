#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vlm.bats - the recipes for models that see, from pictures to a checkpoint, and what their kept sums serve afterwards.
bats_require_minimum_version 1.5.0
load bounds.bash

find_shapes() {
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    shapes=${PTQ_SHARED:-$BATS_TEST_DIRNAME/../../../shared}/data/shapes-vlm
    [ -d "$shapes" ] || skip "data/shapes-vlm is not on this machine (PTQ_SHARED)"
    asked=(--model "$shapes" --data "$shapes/calib/calib.jsonl" --tokens 512 --chunk-tokens 100 --bits 3 --quiet)
}

setup_file() {
    shapes=${PTQ_SHARED:-$BATS_TEST_DIRNAME/../../../shared}/data/shapes-vlm
    [ -d "$shapes" ] || return 0 # each test says so
    find_shapes
    cd "$BATS_FILE_TMPDIR"
    ptq run vlm "${asked[@]}" --out images 2>log
}

setup() {
    find_shapes
    cd "$BATS_TEST_TMPDIR"
    images=$BATS_FILE_TMPDIR/images
}

site() { # RUN FILTER: of the journal's lines of sites
    jq -c 'select(.record == "site") | '"$2" "$1/.ptqflow/journal.jsonl" | sort -u
}

mix_of() { # RUN: what the provenance says of it
    ptq inspect --json "$1" | jq -c 'first(.. | objects | select(.stage? == "solve")) | .mix'
}

@test "images and text, the text alone, and both by ratios from gradients: three recipes, one pass of sums for all of their mixes" {
    ptq run vlm-weighted "${asked[@]}" --record problems.ptq --out weighted
    [ "$(mix_of weighted)" = '"auto"' ]
    [ "$(ptq inspect --json problems.ptq | jq -c 'select(.kind == "problem") | .meta.ratios.image > 0' | sort -u)" = true ]
    [ "$(ptq inspect --json problems.ptq | jq -c 'select(.kind == "problem") | .meta.ratios.image' | sort -u | wc -l)" -gt 1 ] # not one for all blocks
    ptq resolve --model "$shapes" --problems problems.ptq --bits 3 --mix auto --out again --quiet
    run -0 ptq diff weighted again # the same sums, the same mix; only the provenance differs
    [ "$(site "$images" '[.tokens, (.classes | map(.tokens)), .mix]')" = '[486,[406,80],null]' ]
    run -1 ptq diff weighted "$images"
    ptq run vlm-text "${asked[@]}" --out words
    [ "$(site words '[.tokens, .mix.text, .mix.image]')" = '[406,1,0]' ]
    [ "$(site weighted '.mix.image > 0')" = true ]
    [ "$(site weighted .mix.image | wc -l)" -gt 1 ]
    [ "$(mix_of words | jq '.text == 1 and .image == 0')" = true ]
    run -1 ptq diff words "$images"
}

pids() { # STAGE OUT: of the processes that are there
    ptq ctl --out "$2" --json status | jq -r --arg stage "$1" '.processes[] | select(.stage == $stage and .state != "ended") | .pid'
}

@test "a reducer of its own for images: the bytes of a single one, and lost like any other" {
    mkdir bin # a solver that waits until the other is lost
    ln -s "$BATS_TEST_DIRNAME/../../pipelines" .
    ln -s "$(dirname "$(command -v ptq)")"/ptq-* bin
    cp "$(command -v ptq)" bin
    mkfifo go
    printf '#!/bin/sh\n[ -e lost ] || read -r word <go\nexec %s "$@"\n' "$(command -v ptq-solve)" >solve
    chmod +x solve && mv solve bin/ptq-solve
    PATH=$PWD/bin:$PATH ptq run routed-vlm "${asked[@]}" --out lost-one --workers forward=2 >log 2>&1 3>&- &
    run=$!
    until_true test -e lost-one/.ptqflow/control
    reducer=$(pids images lost-one)
    touch lost
    kill -KILL "$reducer"
    wait_code $run 0
    grep -q "stage 'images' was ended by signal 9.*begin again behind site 0 of 20" log
    run -0 ptq diff "$images" lost-one
    jq -es 'map(select(.record == "site")) | length == 20 and all(.classes | map(.tokens) == [406, 80])' lost-one/.ptqflow/journal.jsonl
}

@test "the page of a run: losses by modality, and its images with what their tokens count" {
    ptq sample "${asked[@]:0:6}" --quiet | ptq importance --model "$shapes" --quiet --out chunks.ptq
    ptq report "$images" --chunks chunks.ptq --out page.html --quiet
    # modality, tokens, shares of the weight, the energy and the loss, relative loss, effective sample size
    sed -n '/By modality/,/<\/table>/p' page.html | grep -qE '>image</td><td>80</td><td>16.5 %</td>(<td>[0-9.]+ %</td>){2}<td>0.0[0-9]+</td><td>80</td>'
    [ "$(grep -c 'href="data:image/bmp;base64,' page.html)" = 5 ]
    [ "$(grep -c '<rect class="c6" .*fill-opacity' page.html)" = 80 ] # 5 pictures of 16 tokens
    run -1 grep -oE '(src|href)="[^d]|url\(|<script' page.html
    grep -q "default-src 'none'; style-src 'unsafe-inline'; img-src data:" page.html
    ! command -v xmllint >/dev/null || xmllint --noout page.html
}

@test "a mix that the problems do not say is refused by name" {
    run -100 ptq run vlm "${asked[@]}" --mix auto --out out
    [[ $output == *"--mix auto: no stage of "*"says how much each modality is to count"*"vlm-weighted"* ]]
    run -100 ptq importance --model "$shapes" --give ratios --in none.ptq
    [[ $output == *"--give ratios is of --method mbq"* ]]
}
