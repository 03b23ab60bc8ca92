#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# wiretools.bats - ptq-inspect and ptq-diff on streams and files.
bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_TMPDIR"
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    seeds=$BATS_TEST_DIRNAME/../fuzz/corpus/frame
    ptq-cat --quiet --make 3 --size 1K --out three.ptq
    ptq-cat --quiet --make 4 --size 1K --out four.ptq
}

@test "misuse and help" {
    run -100 ptq-inspect
    run -100 ptq-diff three.ptq
    run -100 ptq-diff - -
    run -100 ptq-inspect no-such-file
    [[ $output == "inspect: fatal: cannot open 'no-such-file'"* ]]
    : >empty
    run -100 ptq-inspect empty
    echo '{"not": "tensors"}' >text
    run -100 ptq-inspect text
    run -100 ptq-diff three.ptq text
    head -c 2000 four.ptq >cut.ptq
    run -1 ptq-diff three.ptq cut.ptq
    [ "$output" = "diff: fatal: cut.ptq: truncated in the middle of a message" ]
    ln -s gone link
    run -100 ptq-inspect link
    [[ $output == "inspect: fatal: cannot look at 'link': it is a link to 'gone', which is not there"* ]]
    printf 'GGUF\3\0\0\0' >model.gguf
    run -100 ptq-inspect model.gguf
    [[ $output == *"model.gguf: truncated at the head: 8 bytes wanted, 0 left; download it again" ]]
    ptq-cat --quiet --make 1 --size 1 --out one.ptq
    run -0 ptq-inspect one.ptq
    [[ $output == *$'\n  data  U8 [1]  1 byte  min '*$'\ntotal  1 chunk  '* ]]
    run -0 ptq-inspect --help
    run -0 ptq-diff --version
}

@test "inspect lists messages, tensors and totals" {
    run -0 ptq-inspect three.ptq
    [ "${lines[0]%%  *}" = "chunk made/0" ]
    [[ ${lines[2]} == "  data  U8 [1024]  1024 bytes  min "* ]]
    [[ ${lines[9]} == "total  3 chunks  "* ]]
    run -0 ptq-inspect --json - <three.ptq
    [ "${#lines[@]}" = 4 ]
    [[ ${lines[3]} == *'"counts":{"chunk":3}'* ]]
}

@test "inspect of a stream without its end: listed, then refused" {
    run -1 ptq-inspect "$seeds/solution.ptq"
    [[ $output == *"q.codes  U8 [5, 4]  20 bytes  min 7 max 7 mean 7 "* ]]
    [[ $output == *"without an end mark"* ]]
    head -c 1500 three.ptq >cut.ptq
    run -1 ptq-inspect cut.ptq
    [[ $output == "chunk made/0"*"truncated"* ]]
}

@test "diff: equal, packed differently, missing, changed" {
    run -0 ptq-diff three.ptq three.ptq
    [ "$output" = "3 tensors equal, 0 differences" ]
    ptq-cat --quiet --in three.ptq --out packed.ptq --zstd
    run -0 ptq-diff three.ptq - <packed.ptq
    run -1 ptq-diff three.ptq four.ptq
    [ "${lines[0]}" = "chunk made/3: only in the second" ]
    [ "${lines[1]}" = "3 tensors equal, 1 difference" ]
    run -1 ptq-diff --json four.ptq three.ptq
    [ "${lines[0]}" = '{"message":"chunk made/3","what":"","how":"only in the first"}' ]
    ptq-cat --quiet --make 3 --size 2K --out other.ptq
    run -1 ptq-diff three.ptq other.ptq
    [ "${lines[0]}" = "chunk made/0: data: U8 [1024] against U8 [2048]" ]
}
