#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# resume.bats - a run that ended early is gone on with by the same command: the bytes of one that was never interrupted, or a refusal that names why not.
bats_require_minimum_version 1.5.0
load bounds.bash
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    narrow_model "$M" 3
    cd "$BATS_FILE_TMPDIR"
    job whole --quiet
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

committed() { # OUT N: the N-th site is there
    local part
    printf -v part '%05d.ptq' $(($2 - 1))
    [ -e "$1/.ptqflow/job.json" ] && [ -e "$1/.ptqflow/parts/$part" ]
}

job() { # OUT MORE...
    local out=$1
    shift
    ptq run gptq --model "$M" --data "$M/calib.jsonl" --out "$out" --tokens 512 --length 128 --chunk-tokens 128 --group 64 --seed 1 "$@"
}

sites() { # OUT
    grep -c '"record": *"site"' "$1/.ptqflow/journal.jsonl" || true
}

sums() { # DIR: of everything but the folder of what varies
    (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
}

started() { # PID: when, in ticks; nothing of one that is gone. Another may soon have its number
    awk '{ print $22 }' "/proc/$1/stat" 2>/dev/null || true
}

killed() { # OUT N MORE...: all processes of a run are killed when it has committed N sites more
    local all p at=() out=$1 until=$(($2 + $([ -e "$1/.ptqflow/journal.jsonl" ] && sites "$1" || echo 0)))
    shift 2
    job "$out" --solve.fault delay:150 "$@" >log 2>&1 3>&- & # each solution takes a while: the run is still there when it is to be killed
    until committed "$out" "$until"; do
        kill -0 $! || { cat log; return 1; }
        nap 0.01
    done
    all="$(pgrep -P $!) $!"
    kill -STOP $all
    for p in $all; do at+=("$p $(started "$p")"); done
    kill -KILL $all
    wait $! || true
    for p in "${at[@]}"; do while [ -n "${p#* }" ] && [ "$(started "${p% *}")" = "${p#* }" ]; do nap 0.01; done; done
    [ ! -e "$out/config.json" ]
}

@test "killed twice, and gone on with: each site solved once, the same bytes, by other workers into another format beside" {
    killed cut 2 --workers forward=2
    first=$(sites cut)
    killed cut 2 --workers forward=1
    second=$(sites cut)
    run -0 job cut --workers forward=3 --format gptq,dense
    [[ $output == *"going on with 'cut' behind site $second of 12"* ]]
    [ "$first" -lt "$second" ]
    diff <(sums whole) <(sums cut/gptq)
    jq -r 'select(.record == "site") | .order' cut/.ptqflow/journal.jsonl | sort -n | diff - <(seq 0 11)
    [ "$(jq -c 'select(.record == "resume") | .from' cut/.ptqflow/journal.jsonl | xargs)" = "$first $second" ]
}

@test "asked for something else it is refused, with what differs" {
    killed other 2
    refused() { # WORDS OPTIONS...
        local words=$1
        shift
        run -100 job other "$@"
        [[ $output == *"'other' holds an unfinished run, which goes on when the same is asked for"*"$words"* ]] || { echo "$output"; return 1; }
    }
    refused "stage 'solve': --bits was nothing and is '3' now" --bits 3
    refused "stage 'forward': --products was nothing and is 'bf16' now" --products bf16
    refused "stage 'reduce': --holdout was nothing and is '2' now" --holdout 2
    refused "stage 'solve': --solver was nothing and is 'rtn' now" --solver rtn
    run -100 job other --record problems.ptq
    [[ $output == *"--record would miss the "*" sites"* ]]
    # the same words, other text
    mv "$BATS_FILE_TMPDIR/other" moved
    head -n 12 "$M/calib.jsonl" >text.jsonl
    here() { ptq run gptq --model "$M" --data text.jsonl --out text --tokens 512 --length 128 --chunk-tokens 128 --seed 1 --workers forward=1 "$@"; }
    here --solve.fault delay:150 >log 2>&1 3>&- &
    until committed text 3; do kill -0 $! && nap 0.01; done
    kill -INT $(pgrep -f "ptq run gptq .* --out text ")
    wait $! || true
    grep -q "of 12 sites are committed in 'text': the same command again goes on behind them" log
    sed -i 's/the/teh/' text.jsonl
    run -100 here
    [[ $output == *"the run to go on with is "*"the text, the model or an option is another now"* ]]
    [ ! -e text/config.json ]
    run -0 here --overwrite
}

@test "a part that is damaged, missing or of no record is never taken over" {
    killed bad 3
    cp -r bad kept
    printf x | dd of=bad/.ptqflow/parts/00001.ptq bs=1 seek=900 conv=notrunc status=none
    spoilt() { # WORDS...: refused as wrong input, at once, with what to do
        run -100 job bad
        [[ $output != *"begin again"* && $output != *"takes its place"* && $output == *"$1"*"--overwrite starts again"* ]] || { echo "$output"; return 1; }
        rm -r bad && cp -r kept bad
    }
    spoilt "going on with 'bad': bad/.ptqflow/parts/00001.ptq: "
    truncate -s 500 bad/.ptqflow/parts/00001.ptq
    spoilt "bad/.ptqflow/parts/00001.ptq: truncated"
    rm bad/.ptqflow/parts/00002.ptq
    spoilt "'bad/.ptqflow/parts/00002.ptq' is missing"
    cp bad/.ptqflow/parts/00001.ptq bad/.ptqflow/parts/00000.ptq
    spoilt "'bad/.ptqflow/parts/00000.ptq' is not what was written there"
    rm -r bad/.ptqflow/parts && : >bad/.ptqflow/parts
    run -100 job bad
    [[ $output == *"'bad' holds an unfinished run (--overwrite starts again): "*"parts': Not a directory" ]]
    rm -r bad && cp -r kept bad
    sed -i '2s/{/[/' bad/.ptqflow/journal.jsonl
    run -100 job bad
    [[ $output == *"'bad' holds an unfinished run (--overwrite starts again): 'bad/.ptqflow/journal.jsonl line 2': not valid JSON"* ]]
    touch bad/mine # whose it is that journal would say
    run -100 job bad --overwrite --restarts 0
    [[ $output == *"journal.jsonl line 2"*"give another folder, or remove this one" && -e bad/mine ]]
    rm bad/mine bad/.ptqflow/job.json
    run -0 job bad --overwrite --quiet
    rm -r bad && cp -r kept bad
    rm bad/.ptqflow/job.json
    run -100 job bad
    [[ $output == *"it was not started by ptq run, or ended before it could say for what"* ]]
    run -0 job bad --overwrite --quiet
    diff <(sums whole) <(sums bad)
}

@test "all sites committed, the checkpoint not there: only that is made" {
    job full --quiet --keep-parts
    grep -v '"publish"\|"done"' full/.ptqflow/journal.jsonl >journal
    mv journal full/.ptqflow/journal.jsonl
    rm -f full/.ptqflow/done full/*
    run -0 job full
    [[ $output == *"all 12 sites are committed, the checkpoint is left to write"* ]]
    diff <(sums whole) <(sums full)
    run -100 job full
    [[ $output == *"holds an earlier output"* ]]
}

@test "two streams, held-out chunks and weights by attention, cut in the middle" {
    more=(--dual --solver qep+gptq --token-weights attention --holdout 2 --workers forward=2)
    job dual --quiet "${more[@]}"
    killed half 4 "${more[@]}"
    run -0 job half --quiet "${more[@]}"
    diff <(sums dual) <(sums half)
}
