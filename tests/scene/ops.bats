#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ops.bats - set-up and the TAP filter, without changing this machine.
bats_require_minimum_version 1.5.0

setup() {
    ops=$BATS_TEST_DIRNAME/../../ops
    cd "$BATS_TEST_TMPDIR"
    mkdir fake
}

fake() { # NAME SCRIPT: a command that stands in for the real one
    printf '#!/bin/sh\n%s\n' "$2" >"fake/$1"
    chmod +x "fake/$1"
}

@test "setup with everything there does nothing" {
    fake dpkg-query 'echo install ok installed'
    fake apt-get 'touch called'
    PATH=$PWD/fake:$PATH run -0 sh "$ops/setup" test fuzz
    [ -z "$output" ]
    [ ! -e called ]
}

@test "setup installs what is missing, says so, as root" {
    fake dpkg-query 'case $* in *libzmq3-dev*) exit 1 ;; *) echo install ok installed ;; esac'
    fake apt-get 'echo "$*" >>called'
    fake id 'echo 0'
    PATH=$PWD/fake:$PATH run -0 sh "$ops/setup"
    [ "$output" = 'setup: installing: libzmq3-dev' ]
    [ "$(cat called)" = "update
install -y --no-install-recommends libzmq3-dev" ]
}

@test "setup with sudo" {
    fake dpkg-query 'case $* in *libzmq3-dev*) exit 1 ;; *) echo install ok installed ;; esac'
    fake apt-get 'echo "$*" >>called'
    fake id 'echo 1000'
    fake sudo 'echo sudo >>called; exec "$@"'
    PATH=$PWD/fake:$PATH run -0 sh "$ops/setup"
    [ "$(grep -c sudo called)" = 2 ]
}

@test "setup without the right to install says which command to run" {
    fake dpkg-query 'exit 1'
    fake id 'echo 1000'
    ln -s "$(command -v sh)" "$(command -v grep)" fake/
    PATH=$PWD/fake run -100 sh "$ops/setup"
    [[ $output == *"as root, run:"*"apt-get update && apt-get install -y --no-install-recommends gcc make"* ]]
}

@test "setup whose apt fails: 111 and what apt said" {
    fake dpkg-query 'exit 1'
    fake id 'echo 0'
    fake apt-get 'echo no network; exit 1'
    PATH=$PWD/fake:$PATH run -111 sh "$ops/setup"
    [[ $output == *"no network"*"'apt-get update' failed"* ]]
}

@test "setup with a word it does not know" {
    run -100 sh "$ops/setup" everything
    [[ $output == *"'everything'"* ]]
}

@test "tap keeps failures and exit codes, and mends skips" {
    fake prog 'echo 1..2; echo "not ok 1 # SKIP a"; echo "not ok 2 - b"; exit 1'
    run -1 sh "$ops/tap" "$PWD/fake/prog"
    [ "$output" = "1..2
ok 1 # SKIP a
not ok 2 - b" ]
}

@test "the loops over exponentials are vector code" {
    command -v objdump >/dev/null || skip 'no objdump'
    code() { objdump -d "$PTQ_BIN/ptq-forward" --disassemble="$1.avx2"; }
    code exp_sum | grep -q 'ret' || skip 'no code for AVX2 of this name: another compiler or CPU'
    if code exp_sum | grep -q asan; then skip 'instrumented code'; fi
    for name in exp_sum silu_mul sigmoid_mul gelu_mul cap_at; do
        [ "$(code "$name" | grep -c 'v[a-z]*ps .*%ymm')" -gt 20 ] || { echo "$name is scalar"; return 1; }
    done
}
