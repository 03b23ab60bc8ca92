#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# protocol.bats - the models of the protocol (tests/model): every order of steps and faults is safe and comes to its end, and each
# variant that is broken on purpose is found out.
bats_require_minimum_version 1.5.0
load bounds.bash

setup() {
    command -v spin >/dev/null || skip 'spin is not installed (sh ops/setup test)'
    cd "$BATS_TEST_TMPDIR"
}

model() { # NAME DEFINITIONS...: makes pan
    cp "$BATS_TEST_DIRNAME/../model/$1.pml" .
    spin -a "${@:2}" "$1.pml"
    gcc -O0 -w -DSAFETY -DCOLLAPSE -o pan pan.c
}

check() { # BROKEN: and nothing was left out for want of depth
    BROKEN=$1 ./pan -m10000 >found
    [ "$1" != 0 ] || ! grep -iE 'max search depth|not completed|too small' found
}

holds_but_for() { # BROKEN...: each variant is found, and nothing else
    local broken
    check 0
    grep -q 'errors: 0' found
    for broken; do
        check "$broken"
        grep -q 'errors: 1' found || { echo "variant $broken passes"; return 1; }
    done
}

@test "a stream over connections that break: each message once, in order, and both ends know the end" {
    model link
    holds_but_for 1 2 3 4 5
}

@test "leases with epochs, replay, commits, resume: each row counted once, no commit lost, no deadlock" {
    model leases -DFAULTS=1 -DCHUNKS=1
    holds_but_for 1 2 3 4 5 6 7
}

@test "parts leased again alone, to a worker or to the head, or with all: each lane counted once, as its sum or as its rows" {
    model parts -DPARTS=1 -DFAULTS=2
    holds_but_for 1 2 3 4 5
}
