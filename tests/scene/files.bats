#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# files.bats - outputs that are no plain files, inputs that are outputs too, full disks, pipes that close, signals.
bats_require_minimum_version 1.5.0
load left.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$ROOT/pipelines/demo/tale-qwen3
    cd "$BATS_FILE_TMPDIR"
    ptq-sample --model "$M" --data "$M/calib.jsonl" --tokens 2048 --length 256 --quiet | ptq-cat --quiet --out chunks.ptq
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    C=$BATS_FILE_TMPDIR/chunks.ptq
}

@test "a stream is not written into the file that it is read from, under whatever name" {
    cp "$C" f
    ln -s f same
    for out in f ./f same "$PWD/f"; do
        run -100 ptq-cat --in f --out "$out"
        [[ "$output" == *"same file"* ]]
        cmp f "$C"
    done
    run -100 sh -c 'ptq-cat --out f <f'
    cmp f "$C"
    cp "$M/calib.jsonl" texts.jsonl
    run -100 ptq-sample --model "$M" --data texts.jsonl --tokens 2048 --out texts.jsonl
    [[ "$output" == *"same file"* ]]
    cmp texts.jsonl "$M/calib.jsonl"
}

@test "eval keeps nothing in the place of what it reads" {
    cp -r "$M" m
    head -n 2 "$M/eval.jsonl" >texts.jsonl
    cp texts.jsonl keep
    use=(ptq-eval --model m --ref m --data texts.jsonl --window 64 --max-windows 1)
    run -100 "${use[@]}" --logits texts.jsonl
    [[ "$output" == *"--data and --logits are the same file 'texts.jsonl'"* ]]
    run -100 "${use[@]}" --logits m/model.safetensors
    [[ "$output" == *"'m/model.safetensors' is a file of --model 'm'"* ]]
    run -100 "${use[@]}" --logits new --ref-states ./new
    cmp texts.jsonl keep
    cmp m/model.safetensors "$M/model.safetensors"
}

@test "a stage that fails leaves the file that was there, and no other" {
    echo old >f
    run -100 ptq-sample --model /no/such --data "$M/calib.jsonl" --out f
    [ "$(cat f)" = old ]
    head -c 3000 "$C" >cut
    run -1 ptq-cat --in cut --out f
    [ "$(cat f)" = old ]
    [ "$(ls)" = "$(printf 'cut\nf')" ]
}

@test "a whole stream takes the place behind a link, which stays one" {
    echo old >target
    ln -s target f
    ptq-cat --quiet --in "$C" --out f
    [ -L f ]
    cmp target "$C"
}

@test "a FIFO, a device and an open descriptor are written through" {
    mkfifo fifo
    ptq-cat --quiet --in "$C" --out fifo &
    cat fifo >got
    wait $!
    [ -p fifo ]
    cmp got "$C"
    run -111 ptq-cat --quiet --in "$C" --out /dev/full
    [[ "$output" == *"No space left"* ]]
    [ -c /dev/full ]
    ptq-cat --quiet --in "$C" --out /dev/stdout | cmp - "$C"
    ptq-cat --quiet --in "$C" --out /dev/stdout >f
    cmp f "$C"
}

@test "a report is written through a device, and not over the problems it reads" {
    ptq run gptq --model "$M" --data "$M/calib.jsonl" --tokens 512 --length 256 --bits 4 --group 64 --quiet --record p --out o
    cp p before
    run -111 ptq report o --out /dev/full
    [[ "$output" == *"No space left"* ]]
    [ -c /dev/full ]
    ptq report o --out /dev/null
    [ -c /dev/null ]
    ptq report o --out - | grep -q '<html'
    run -100 ptq report o --problems p --out p
    cmp p before
    run -100 ptq run gptq --model "$M" --data "$M/calib.jsonl" --tokens 512 --record p --out o
    run ! ptq run gptq --model "$M" --data "$M/calib.jsonl" --tokens 100000000 --length 256 --record p --out o2
    cmp p before
}

@test "a file that may grow no further is said, not died of, and nothing takes its place" {
    echo old >f
    run -111 bash -c 'ulimit -f 2; exec ptq-cat --quiet --in "$0" --out f' "$C"
    [[ "$output" == *"File too large"* ]]
    [ "$(cat f)" = old ]
}

@test "--help, --version and --dry-run into a full disk fail" {
    for p in "$(dirname "$(command -v ptq)")"/ptq*; do
        for option in --help --version; do
            run -111 bash -c '"$0" "$1" >/dev/full' "$p" $option
            [[ "$output" == *"No space left"* ]]
        done
    done
    for words in "run --help" "run gptq --help" "ctl --help" "run gptq --model $M --data $M/calib.jsonl --out o --dry-run"; do
        run -111 bash -c 'ptq $0 >/dev/full' "$words"
        [[ "$output" == *"No space left"* ]]
    done
    run -111 bash -c 'ptq-inspect --fast "$0" >/dev/full' "$M"
    run -111 bash -c 'ptq-diff "$0" "$0" >/dev/full' "$C"
    run -111 bash -c 'ptq plan --model "$0" >/dev/full' "$M"
}

@test "a stream that is closed is said, and no other file gets what was meant for it" {
    run -100 bash -c 'ptq-cat --quiet --in "$0" >&-' "$C"
    [[ "$output" == *"standard output is closed"* ]]
    run -100 bash -c 'ptq-cat --quiet --out copy <&-'
    [[ "$output" == *"standard input is closed"* ]]
    run -111 bash -c 'ptq-cat --help >&-'
    run -111 bash -c 'ptq recipes >&-'
    run -100 bash -c 'ptq-reduce --record kept --quiet <"$0" >&-' "$C" # "kept" would be the first file that is opened
    [ ! -e kept ]
    for words in recipes run ctl top resolve completion; do
        run -0 ptq $words --version
        [[ "$output" == "ptq "* ]]
    done
}

unread() { # COMMAND...: its output goes where nobody reads; prints its exit code and what it says
    mkfifo gate
    { read -r _ <gate; code=0; "$@" 2>err || code=$?; echo $code >code; } | { exec <&-; echo >gate; }
    rm gate
    echo "$(cat code) $(cat err)"
}

@test "a command whose output nobody reads ends without a word, as any filter" {
    [ "$(unread ptq-inspect --fast "$M")" = "141 " ]
    [ "$(unread ptq-inspect --json "$C")" = "141 " ]
    [ "$(unread ptq-diff --json "$C" "$C")" = "141 " ]
    [ "$(unread ptq plan --model "$M")" = "141 " ]
    [ "$(unread ptq --help)" = "141 " ]
    [ "$(unread ptq run gptq --help)" = "141 " ]
    [ "$(unread ptq-solve --help)" = "141 " ]
    [ "$(unread ptq run gptq --model "$M" --data "$M/calib.jsonl" --out o --dry-run --quiet)" = "141 " ]
}

@test "inspect and diff read a pipe once" {
    cmp <(ptq-inspect --json <(cat "$C")) <(ptq-inspect --json "$C")
    ptq-diff "$C" <(cat "$C")
    ptq-diff <(cat "$C") "$C"
    ptq-diff <(cat "$C") <(cat "$C")
    ptq-cat --quiet --make 2 --size 100 --out other
    run -1 ptq-diff <(cat "$C") <(cat other)
    run -1 ptq-inspect <(head -c 3000 "$C")
    [[ "$output" == *"truncated"* ]]
    cmp <(ptq-inspect --json <(cat "$M/model.safetensors")) <(ptq-inspect --json "$M/model.safetensors")
    ptq-diff "$M" <(cat "$M/model.safetensors")
    ptq-diff <(cat "$M/model.safetensors") <(cat "$M/model.safetensors")
    mkfifo named
    cat "$C" >named &
    ptq-diff named "$C"
    wait $!
    run -100 ptq-diff "$C" <(cat "$M/model.safetensors")
    [[ "$output" == *"one is a stream"* ]]
    run -100 ptq-inspect <(true)
    [[ "$output" == *"is empty"* ]]
    # standard input may be a file of tensors too, and what is none is said of a pipe as of a file
    cmp <(cat "$M/model.safetensors" | ptq-inspect --json -) <(ptq-inspect --json "$M/model.safetensors")
    ptq-diff "$M/model.safetensors" - <"$M/model.safetensors"
    cmp <(ptq-inspect --json - <"$C") <(ptq-inspect --json "$C")
    run -100 ptq-inspect <(echo "a line of text")
    [[ "$output" == *"not a file that can be read here"* ]]
}

@test "what is read more than once is no pipe, and that is said before the work" {
    run -100 ptq-stream sums <(cat "$C") sums.safetensors
    [[ "$output" == *"problems are read twice, give the path of a file"* ]]
    run -100 ptq-stream export <(cat "$C") codes.safetensors
    [[ "$output" == *"solutions are read twice"* ]]
    run -100 ptq-sample --quiet --model "$M" --data "$M/calib.jsonl" --weight-file <(echo '{"weights": [1]}') --out o
    [[ "$output" == *"token weights are read twice"* ]]
    run -100 ptq-sample --quiet --model "$M" --data - --data - --out o <"$M/calib.jsonl"
    [[ "$output" == *"--data - is given twice"* ]]
    run -100 ptq run gptq --model "$M" --data <(cat "$M/calib.jsonl") --out o --target-bpw 3
    [[ "$output" == *"--target-bpw has several runs read"*"a pipe can be read once: put it into a file"* ]]
    run -100 ptq run gptq --model "$M" --data "$M/calib.jsonl" --out o --target-bpw 3 --choose-on <(cat "$M/eval.jsonl")
    [[ "$output" == *"--choose-on has several runs read"* ]]
    run -100 ptq run best --model "$M" --data - --out o <"$M/calib.jsonl"
    [[ "$output" == *"the search for the best recipe has several runs read '-'"* ]]
    [ ! -e o ]
    [ ! -e o.mixed ]
    [ ! -e o.best ]
}

# bats test_tags=fire
@test "SIGTERM ends a stage that is stuck in the middle of a message, reading or writing" {
    ptq-cat --quiet --make 1 --size 4M --out big
    mkfifo in out
    ptq-cat --quiet --in in --out got &
    reader=$!
    exec 5>in
    head -c 3000000 big >&5 # more than a pipe holds: it reads on in the message
    ptq-cat --quiet --in big --out out &
    writer=$!
    exec 6<out
    [ "$(head -c 4 <&6)" = PTQ1 ] # and the rest does not fit
    kill -TERM $reader $writer
    code=0
    wait $reader || code=$?
    [ $code = 111 ]
    code=0
    wait $writer || code=$?
    [ $code = 111 ]
    [ ! -e got ]
}

@test "threads are by default as many as the process is bound to" {
    for p in forward reduce solve eval generate; do
        taskset -c "$(taskset -cp $$ | sed 's/.*: //;s/[-,].*//')" ptq-$p --help | tr -s ' \n' '  ' | grep -q -- '--threads N [^(]*(default 1)'
    done
}
