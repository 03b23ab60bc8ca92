#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# link.bats - streams between real processes: pipes, files and sockets joined by ptq-cat; cut short, killed, refused.
bats_require_minimum_version 1.5.0
load left.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    at=ipc://$BATS_TEST_TMPDIR/s/a
}

ends_with() { # STATUS PID: waits for a process of this shell
    local status=0
    wait "$2" || status=$?
    [ "$status" = "$1" ] || { echo "exit status $status instead of $1"; return 1; }
}

make_stream() { # N SIZE FILE
    ptq-cat --quiet --make "$1" --size "$2" --out "$3"
}

@test "help goes to standard output with 0, misuse is 100" {
    run -0 --separate-stderr ptq-cat --help
    [[ $output == *"--in EP"* ]]
    run -100 ptq-cat --make
    run -100 ptq-cat --quiet --in no-such-file --out x
    [[ $output == "cat: fatal: cannot open 'no-such-file': No such file or directory" ]]
    run -100 ptq-cat --quiet --make 1 --out @tcp://0.0.0.0:5999
    [[ $output == *"--insecure"* ]]
}

@test "a stream is the same after a pipe, a file and a socket, whichever end binds" {
    make_stream 20 300K a.ptq
    ptq-cat --quiet <a.ptq | ptq-cat --quiet >b.ptq
    cmp a.ptq b.ptq
    ptq-cat --quiet --in "@$at" --out c.ptq &
    run -0 ptq-cat --quiet --in a.ptq --out "$at"
    wait $!
    cmp a.ptq c.ptq
    ptq-cat --quiet --in a.ptq --out "@$at" &
    run -0 ptq-cat --quiet --in "$at" --out d.ptq
    wait $!
    cmp a.ptq d.ptq
    [ "$(stat -c %a s)" = 700 ]
}

@test "zstd on the way changes no tensor" {
    make_stream 5 1M a.ptq
    ptq-cat --quiet --zstd --in a.ptq --out z.ptq
    [ "$(stat -c %s z.ptq)" -lt 100000 ]
    ptq-cat --quiet --in z.ptq --out b.ptq
    cmp a.ptq b.ptq
}

in_memory() { # FILE: what a sender says of its socket
    sed -n 's/^cat: link out ipc:.* raw, \([0-9]*\) in memory.*/\1/p' "$1"
}

@test "within a host large tensors stay where they are; another namespace of processes gets bytes" {
    make_stream 60 300K a.ptq
    ptq-cat --verbose --make 60 --size 300K --out "@$at" 2>said &
    run -0 ptq-cat --quiet --in "$at" --out b.ptq
    ends_with 0 $!
    cmp a.ptq b.ptq
    [ "$(in_memory said)" -gt 0 ]
    unshare -rpmn --fork --mount-proc true || skip "no namespaces to be had here"
    ptq-cat --verbose --make 60 --size 300K --out "@$at" 2>said &
    run -0 unshare -rpmn --fork --mount-proc ptq-cat --quiet --in "$at" --out c.ptq
    ends_with 0 $!
    cmp a.ptq c.ptq
    [ "$(in_memory said)" = 0 ]
}

@test "a pipe that is cut is incomplete, and so is what was made of it" {
    make_stream 5 10K a.ptq
    size=$(stat -c %s a.ptq)
    for cut in 1 100 $((size / 2)) $((size - 1)); do
        head -c "$cut" a.ptq >cut.ptq
        run -1 ptq-cat --quiet --in cut.ptq --out b.ptq
        if [ "$cut" -le 100 ]; then # not one message came: nothing is kept
            [ ! -e b.ptq ]
            continue
        fi
        run -1 ptq-cat --quiet --in b.ptq --out /dev/null
        [[ $output == *incomplete* ]]
    done
    : >empty.ptq
    run -1 ptq-cat --quiet --in empty.ptq --out /dev/null
    [[ $output == *"without an end mark"* ]]
    cat a.ptq a.ptq >two.ptq
    run -1 ptq-cat --quiet --in two.ptq --out /dev/null
    [[ $output == *"follows the end mark"* ]]
}

@test "a sender cut short makes the receiver fail with its reason, over a socket too" {
    make_stream 5 10K a.ptq
    head -c 20000 a.ptq >cut.ptq
    ptq-cat --quiet --in "@$at" --out b.ptq 2>said &
    run -1 ptq-cat --quiet --in cut.ptq --out "$at"
    ends_with 1 $!
    grep -q "incomplete" said
    grep -q "truncated" said
}

@test "two senders, one receiver: all that both sent, once both have ended" {
    make_stream 10 1K a.ptq
    ptq-cat --in "@$at" --peers-in 2 --out b.ptq 2>said &
    run -0 ptq-cat --quiet --in a.ptq --out "$at"
    run -0 ptq-cat --quiet --in a.ptq --out "$at"
    wait $!
    grep -q "in: 20 messages" said
}

@test "one sender to two: any divides, all repeats" {
    make_stream 10 1K a.ptq
    ptq-cat --quiet --in a.ptq --route all --peers-out 2 --out "@$at" &
    sender=$!
    ptq-cat --quiet --in "$at" --out b.ptq &
    receiver=$!
    run -0 ptq-cat --quiet --in "$at" --out c.ptq
    ends_with 0 $sender
    ends_with 0 $receiver
    cmp a.ptq b.ptq
    cmp a.ptq c.ptq
    ptq-cat --quiet --in a.ptq --peers-out 2 --out "@$at" &
    sender=$!
    ptq-cat --in "$at" --out b.ptq 2>said.b &
    receiver=$!
    ptq-cat --in "$at" --out c.ptq 2>said.c
    ends_with 0 $sender
    ends_with 0 $receiver
    n=$(sed -n 's/.* in: \([0-9]*\) messages.*/\1/p; s/^cat: in: \([0-9]*\) messages.*/\1/p' said.b said.c | awk '{ sum += $1 } END { print sum }')
    [ "$n" = 10 ]
}

# bats test_tags=fire
@test "another run is refused, and both say why" {
    make_stream 1 1K a.ptq
    ptq-cat --quiet --run aaa --in "@$at" --out b.ptq 2>said &
    receiver=$!
    run -100 ptq-cat --quiet --run bbb --in a.ptq --out "$at"
    [[ $output == *"run bbb where run aaa is going on"* ]]
    run -0 ptq-cat --quiet --run aaa --in a.ptq --out "$at"
    ends_with 0 $receiver
    grep -q "run bbb where run aaa is going on" said
}

# Starts a sender that reads the fifo "slow" and a receiver, and lets one whole message through.
hanging_pair() {
    mkfifo slow got
    ptq-cat --quiet --in slow --out "$at" 2>said &
    victim=$!
    exec 7>slow
    ptq-cat --quiet --in "@$at" --out got 2>heard 7>&- &
    reader=$!
    exec 8<got
    make_stream 0 1K end.ptq
    make_stream 1 1K one.ptq
    head -c $(($(stat -c %s one.ptq) - $(stat -c %s end.ptq))) one.ptq >&7
    head -c 100 <&8 >/dev/null
}

# bats test_tags=fire
@test "a killed sender is reported within seconds, by name" {
    hanging_pair
    kill -9 $victim
    SECONDS=0
    ends_with 111 $reader
    [ $SECONDS -lt 20 ] # by the connection that is gone; silence alone is given 30
    grep -q "cat (peer 0 at ipc:.*) is gone" heard
}

@test "SIGTERM drains: the stream is ended as cut short" {
    hanging_pair
    kill -TERM $victim
    ends_with 111 $victim
    ends_with 1 $reader
    grep -q "asked to stop" heard
}
