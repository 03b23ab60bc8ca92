#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# report.bats - ptq report on runs of the small model: whole, recorded, cut off, broken; the page itself.
bats_require_minimum_version 1.5.0
load model.bash

setup_file() {
    root=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$root/bin}:$PATH"
    model=$BATS_FILE_TMPDIR/model
    narrow_model "$model" 2
    cd "$BATS_FILE_TMPDIR"
    ptq run "$root/pipelines/maca.pipe" --model "$model" --data "$model/calib.jsonl" --out 'a <b> & c' --tokens 3072 \
        --lengths 64,128,512 --classes both --cross length --record problems.ptq --workers forward=1 --quiet 2>log || { cat log >&2; return 1; }
    ptq report 'a <b> & c' --problems problems.ptq --blocks 0,1 --out page.html
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    out='a <b> & c'
}

@test "the page is well-formed" {
    command -v xmllint >/dev/null || skip "no xmllint (libxml2-utils)"
    run -0 xmllint --noout page.html
    [ -z "$output" ]
}

@test "the page needs nothing from elsewhere" {
    run -1 grep -oE '(https?:)?//[^ ]*' page.html
    run -1 grep -oiE '<(script|link|iframe|img|object)|@import|url\(' page.html
    grep -q "default-src 'none'" page.html
    grep -q 'prefers-color-scheme:dark' page.html
}

@test "who waited for whom, no longer than there was time, and every process has its band" {
    grep -q 'Who waited for whom' page.html
    jq -e '[.processes[] | (.to - .from) as $took | ([.waited[]? | .seconds] | add // 0) as $all |
        $all <= $took + 0.01 and ([.waited[]? | .each | add // 0] | add // 0) <= $all + 0.1] | all and length >= 5' "$out/.ptqflow/waits.json"
    # the solver has nothing to do before the first problem is there
    jq -e '.processes[] | select(.stage == "solve") | .waited[] | select(.for == "for reduce") | .seconds > 0' "$out/.ptqflow/waits.json"
    for name in $(jq -r '.processes[].name' "$out/.ptqflow/waits.json"); do
        grep -qE "class=\"tick\" text-anchor=\"end\">$name<" page.html
    done
}

@test "names of folders are escaped" {
    grep -q 'a &lt;b&gt; &amp; c' page.html
    run -1 grep -q 'a <b>' page.html
}

@test "every site of the journal is in the page, and every length" {
    sites=$(grep -c '"record":"site"' "$out/.ptqflow/journal.jsonl")
    [ "$sites" = 8 ]
    grep -q "$sites of $sites: 2 blocks of 4" page.html
    # the last table: block and site in the first two cells of a row
    rows=$(sed -n '/All numbers/,$p' page.html | grep -cE '^<tr><td>[01]</td><td class="t">(attn\.qkv|attn\.o|mlp\.up|mlp\.down)</td>')
    [ "$rows" = "$sites" ]
    for length in 64 128 512; do
        grep -qE "^<tr><td>$length</td>" page.html
    done
    [ "$(grep -c '<title>relative\|<title>Relative loss' page.html)" = 1 ]
    # a point for each site in that chart
    points=$(sed -n '/<title>Relative loss/,/<\/svg>/p' page.html | grep -c ', block ')
    [ "$points" = "$sites" ]
}

@test "the loss on each class of rows, and what one length alone would have given" {
    grep -q 'Loss by class of rows' page.html
    # 3 lengths of 8 sites with all they need; a solution from its own length alone is the best on it at nearly every site
    jq -es '[ .[] | select(.record == "site") | .classes ] | length == 8 and
        all(.[]; [ .[] | select(.kind == "length") | .name ] == [ "64", "128", "512" ] and all(.[]; .loss > 0 and .energy > .loss and (.cross | length) == 3)) and
        ([ .[] | map(select(.kind == "length") | .cross) | [ range(3) as $i | .[$i][$i] == (.[$i] | min) ] | .[] ] | (map(select(.)) | length) >= 0.8 * length)' \
        "$out/.ptqflow/journal.jsonl"
    # the lengths of a site add up to its loss
    jq -es 'all(.[] | select(.record == "site"); ([ .classes[] | select(.kind == "length") | .loss * .sum_w ] | add) / (.loss * .sum_w) | . > 0.999 and . < 1.001)' \
        "$out/.ptqflow/journal.jsonl"
    [ "$(sed -n '/By length of the sequence/,/By position/p' page.html | grep -c '<title>.*attn.o')" = 1 ]
    sed -n '/Had only one length been seen/,/<\/table>/p' page.html | grep -q 'on at 0'
}

@test "spectra of the blocks that were asked for, of each kind of site and length" {
    [ "$(grep -cE '<title>Block [01], (attn\.qkv|attn\.o|mlp\.up|mlp\.down): [0-9]+ channels</title>' page.html)" = 8 ]
    lines=$(sed -n '/<title>Block 1, mlp.down: 192 channels/,/<\/svg>/p' page.html | grep -c 'key')
    [ "$lines" = 3 ]
}

@test "bytes and times are there" {
    grep -q 'Bytes moved' page.html
    run -1 grep -q 'class="missing"' page.html
    sed -n '/<h3>Bytes moved/,/<\/table>/p' page.html | grep -qE '<td class="t">all</td><td>8</td><td>[0-9.]+ m?s</td><td>[0-9.]+ MiB</td>'
}

@test "by default the page lies beside the journal; - is stdout" {
    run -0 ptq report "$out"
    [[ $output == "$out/.ptqflow/report.html: 8 of 8 sites"* ]]
    grep -q -- '--record FILE' "$out/.ptqflow/report.html"
    ptq report "$out" --out - | cmp - "$out/.ptqflow/report.html"
}

@test "the same page again, byte for byte" {
    ptq report "$out" --problems problems.ptq --blocks 0,1 --out - | cmp - page.html
}

@test "a run in progress: an unfinished last line, no run.json, half a recorded stream" {
    mkdir -p part/.ptqflow
    head -n 8 "$out/.ptqflow/journal.jsonl" >part/.ptqflow/journal.jsonl
    printf '{"record":"site","or' >>part/.ptqflow/journal.jsonl
    head -c 3000000 problems.ptq >half.ptq
    run -0 ptq report part --problems half.ptq --out part.html
    [[ $output == *"7 of 8 sites"* ]]
    grep -q 'The run is not done' part.html
    grep -q 'last line is not whole' part.html
    grep -q 'there is no run.json' part.html
    grep -q 'was read as far as it goes' part.html
    command -v xmllint >/dev/null || skip "no xmllint (libxml2-utils)"
    xmllint --noout part.html
}

@test "wide tables scroll, and show it" {
    grep -q 'no-repeat local' page.html
    # no table outside of such a wrapper
    [ "$(grep -o '<table' page.html | wc -l)" = "$(grep -o '<div class="scroll"[^>]*><table' page.html | wc -l)" ]
}

@test "problems of another run are refused" {
    mkdir -p other/.ptqflow
    sed 's/"run":"[-0-9a-f]*"/"run":"0123456789abcdef"/' "$out/.ptqflow/journal.jsonl" >other/.ptqflow/journal.jsonl
    run -100 ptq report other --problems problems.ptq --out other.html
    [[ $output == *"b0.attn.qkv is of run "*"of run 0123456789abcdef: give the stream that this run recorded"* ]]
    [ ! -e other.html ]
}

@test "a broken line is named; nothing is written" {
    mkdir -p broken/.ptqflow
    { head -n 3 "$out/.ptqflow/journal.jsonl"; echo '{"record":'; } >broken/.ptqflow/journal.jsonl
    run -100 ptq report broken --out broken.html
    [[ $output == *"report: fatal: 'broken/.ptqflow/journal.jsonl line 4'"* ]]
    [ ! -e broken.html ]
}

@test "wrong use is refused" {
    run -100 ptq report nowhere
    [[ $output == *"nowhere/.ptqflow/journal.jsonl"* ]]
    run -100 ptq report "$out" --blocks 1,x --out -
    [[ $output == *"'--blocks'"* ]]
    run -100 ptq report "$out" --problems page.html --out -
    [[ $output == *"page.html"* ]]
    run -100 ptq report
}
