#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# write.bats - ptq-write as a process: from files, pipes and sockets, cut streams, wrong folders, kills, a full disk.
bats_require_minimum_version 1.5.0
load left.bash

setup_file() {
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    local bin
    bin=$(dirname "$(command -v ptq-write)")
    for maker in "$bin/../tests/test_write" "$bin/../build/tests/test_write"; do
        [ ! -x "$maker" ] || { "$maker" --make "$BATS_FILE_TMPDIR" && return 0; }
    done
    skip "build/tests/test_write is not built: it makes the solutions (make unit-tests)"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    in=$BATS_FILE_TMPDIR
}

sums() { # DIR: of all files that are not hidden
    (cd "$1" && find . -name '.?*' -prune -o -type f -print | sort | xargs sha256sum)
}

nothing_but_ptqflow() { # DIR
    [ "$(ls -A "$1")" = .ptqflow ]
}

@test "both formats from a file; the same bytes again by pipe, with the table and the summary on stderr" {
    run -0 --separate-stderr ptq-write --model "$in/model" --in "$in/good.ptq" --format gptq,dense out
    [ -z "$output" ]
    [[ $stderr == *"rel loss"*"worst linear"* && $stderr == *"write: gptq: 4.62 bits a weight"*"in out/gptq"* ]]
    [ -e out/gptq/quantize_config.json ]
    [ ! -e out/dense/quantize_config.json ]
    cmp "$in/model/config.json" out/dense/config.json
    cmp "$in/model/tokenizer.json" out/gptq/tokenizer.json
    [ "$(ls out/.ptqflow)" = "$(printf 'done\njournal.jsonl\nlock')" ]
    ptq-write --model "$in/model" --format gptq,dense --keep-parts other <"$in/good.ptq"
    [ "$(sums out)" = "$(sums other)" ]
    [ "$(ls other/.ptqflow/parts | wc -l)" = 8 ]
    [ "$(jq -r .record other/.ptqflow/journal.jsonl | uniq -c | xargs)" = "1 start 8 site 1 publish 1 done" ]
}

@test "numpy reads the GPTQ checkpoint as the dense one" {
    ptq-write --model "$in/model" --in "$in/good.ptq" --format gptq,dense out
    run python3 "$BATS_TEST_DIRNAME/../golden/check_gptq.py" out/gptq out/dense
    [ "$status" != 127 ] || skip "no python3"
    [ "$status" != 77 ] || skip "$output"
    [ "$output" = "14 linears equal" ]
    [ "$status" = 0 ]
}

@test "an incomplete stream, missing sites, solutions that cannot be stored: no model, a reason for followers" {
    head -c 20000 "$in/good.ptq" >cut.ptq
    run -1 --separate-stderr ptq-write --model "$in/model" --in cut.ptq cut
    nothing_but_ptqflow cut
    [ -s cut/.ptqflow/failed ]
    run -1 --separate-stderr ptq-write --model "$in/model" --in "$in/short.ptq" short
    [[ $stderr == *"write: fatal: 1 of 8 sites has no solution, the first is site 7 (block 1 mlp.down)"* ]]
    nothing_but_ptqflow short
    [[ $(cat short/.ptqflow/failed) == "1 of 8 sites"* ]]
    run -100 --separate-stderr ptq-write --model "$in/model" --in "$in/zeros.ptq" zeros
    [[ $stderr == *"zero point 0"*"cannot be stored in GPTQ v1"* ]]
    nothing_but_ptqflow zeros
    run -100 --separate-stderr ptq-write --model "$in/model" --in "$in/f32.ptq" f32
    [[ $stderr == *"--scale-type f16"* ]]
    nothing_but_ptqflow f32
    ptq-write --model "$in/model" --in "$in/f32.ptq" --format dense --overwrite f32
    [ -e f32/config.json ]
}

@test "misuse and folders that hold something else" {
    run -100 ptq-write
    run -100 --separate-stderr ptq-write out
    [[ $stderr == *"--model"* ]]
    run -100 ptq-write --model "$in/model" --in "$in/good.ptq" --format gguff out
    [ ! -e out ]
    run -100 ptq-write --model nowhere --in "$in/good.ptq" out
    mkdir home
    echo precious >home/notes
    run -100 --separate-stderr ptq-write --model "$in/model" --in "$in/good.ptq" --overwrite home
    [[ $stderr == *"'home' holds something else ('notes')"* ]]
    [ "$(ls -A home)" = notes ]
    run -100 ptq-write --model "$in/model" --in "$in/good.ptq" --overwrite home/notes
    run -100 ptq-write --model "$in/model" --in "$in/good.ptq" --overwrite home/notes/below
    run -100 ptq-write --model "$in/model" --in "$in/good.ptq" /proc/out
    [ "$(cat home/notes)" = precious ]
    if [ "$(id -u)" != 0 ]; then # root may write anywhere
        mkdir -m 555 shut
        run -100 ptq-write --model "$in/model" --in "$in/good.ptq" shut/out
    fi
    ptq-write --quiet --model "$in/model" --in "$in/good.ptq" out
    run -100 --separate-stderr ptq-write --model "$in/model" --in "$in/good.ptq" out
    [[ $stderr == *"finished output; --overwrite"* ]]
    [ -e out/config.json ]
    ptq-write --model "$in/model" --in "$in/good.ptq" --overwrite out
}

# Starts a writer that waits for more, and returns when it has committed all sites of short.ptq.
start_writer() { # ARG...
    mkfifo feed
    ptq-write --verbose --model "$in/model" --in feed "$@" out 2>log &
    writer=$!
    exec 7>feed
    # all but the end mark, which is the last message
    head -c "$(($(stat -c %s "$in/short.ptq") - 300))" "$in/short.ptq" >&7
    tail -n +1 -f --pid=$writer log | grep -q -m1 '(6 of 8)'
}

@test "SIGTERM: exit 111, an unfinished run that another start refuses, and --overwrite starts again" {
    start_writer
    nothing_but_ptqflow out
    run -100 --separate-stderr ptq-write --model "$in/model" --in "$in/good.ptq" --overwrite out
    [[ $stderr == *"another ptq-write is at work"* ]]
    kill $writer
    exec 7>&-
    code=0; wait $writer || code=$?
    [ $code = 111 ]
    grep -q "^write: fatal: asked to stop with 6 of 8 sites" log
    nothing_but_ptqflow out
    run -100 --separate-stderr ptq-write --model "$in/model" --in "$in/good.ptq" out
    [[ $stderr == *"unfinished run"* ]]
    ptq-write --model "$in/model" --in "$in/good.ptq" --overwrite out
    ptq-write --model "$in/model" --in "$in/good.ptq" fresh
    [ "$(sums out)" = "$(sums fresh)" ]
}

@test "kill -9: nothing to load, and --overwrite gives the same bytes as an undisturbed run" {
    start_writer
    kill -9 $writer
    exec 7>&-
    code=0; wait $writer || code=$?
    [ $code = 137 ]
    nothing_but_ptqflow out
    ptq-write --model "$in/model" --in "$in/good.ptq" --overwrite out
    ptq-write --model "$in/model" --in "$in/good.ptq" fresh
    [ "$(sums out)" = "$(sums fresh)" ]
}

@test "commits go to every peer, also to one that comes late" {
    command -v ptq-cat >/dev/null || skip "ptq-cat is not built"
    ep=ipc://$BATS_TEST_TMPDIR/commits
    mkfifo feed
    ptq-write --verbose --model "$in/model" --in feed --commits "@$ep" --commit-peers 2 out 2>log &
    writer=$!
    ptq-cat --in "$ep" --out early.ptq &
    early=$!
    exec 7>feed
    head -c "$(($(stat -c %s "$in/good.ptq") / 2))" "$in/good.ptq" >&7
    tail -n +1 -f --pid=$writer log | grep -q -m1 '(2 of 8)'
    ptq-cat --in "$ep" --out late.ptq &
    late=$!
    tail -c "+$(($(stat -c %s "$in/good.ptq") / 2 + 1))" "$in/good.ptq" >&7
    exec 7>&-
    wait $writer $early $late
    cmp early.ptq late.ptq
    [ -e out/model.safetensors ]
}

@test "a full disk: exit 111, the journal intact, no half model" {
    [ "$(id -u)" = 0 ] || skip "only root can mount a small file system"
    mkdir out
    mount -t tmpfs -o size=104k none out || skip "no mount here"
    run --separate-stderr ptq-write --model "$in/model" --in "$in/good.ptq" --format dense out
    left=$(ls -A out)
    lines=$(jq -r .record out/.ptqflow/journal.jsonl | uniq -c | xargs)
    umount out
    [ "$status" = 111 ]
    [[ $stderr == *"No space left on device"* ]]
    [ "$left" = .ptqflow ]
    [ "$lines" = "1 start 8 site" ]
}
