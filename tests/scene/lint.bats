#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lint.bats - each promise that ops/lint keeps is broken once, in a small tree.
bats_require_minimum_version 1.5.0

setup() {
    lint=$BATS_TEST_DIRNAME/../../ops/lint
    cd "$BATS_TEST_TMPDIR"
    mkdir -p common/base common/wire common/model stages/a stages/b ops/tools pipelines tests
    echo '#include <stdio.h>' >common/base/err.h
    echo '#include "../../common/base/err.h"' >stages/a/a.c
    echo '#include "a.h"' >stages/a/a_more.h
    : >stages/a/a.h
}

broken() { # WORDS
    run -1 sh "$lint" .
    [[ $output == *"$1"* ]]
}

@test "a clean tree is fine" {
    run -0 sh "$lint" .
    [ "${lines[-1]}" = 'lint: fine' ]
}

@test "a library outside its file" {
    headers="zmq.h msgpack.h zstd.h cblas.h dnnl.h xxhash.h isa-l/crc.h jansson.h pcre2.h utf8proc.h jpeglib.h"
    printf '#include <%s>\n' $headers >stages/a/bad.c
    run -1 sh "$lint" .
    at=0
    for header in $headers; do
        [[ $output == *"
    stages/a/bad.c:$((++at)):#include <$header>"* ]] || { echo "$output"; return 1; }
    done
    [ "$(grep -c ' is included outside its file$' <<<"$output")" = 9 ] # three stand beside another of their kind
}

@test "a library inside its file is fine" {
    printf '#include <zmq.h>\nint zmq_is_here(void);\n' >common/wire/link_zmq.c
    run -0 sh "$lint" .
}

@test "stages include each other, common includes a stage, a layer one above" {
    echo '#include "../b/b.h"' >stages/a/bad.h
    broken 'a stage includes another stage'
    rm stages/a/bad.h
    echo '#include "../../stages/a/a.h"' >common/base/bad.h
    broken 'common includes a stage'
    echo '#include "../model/m.h"' >common/base/bad.h
    broken 'a layer of common includes one above it'
}

@test "names, sizes, words, variables, manuals" {
    : >stages/b/a.h
    broken 'file names are not unique'
    rm stages/b/a.h
    seq -f '/* %g */' 601 >stages/b/long.h
    broken 'longer than 600 lines'
    rm stages/b/long.h
    { printf 'int f(void);\nint f(void)\n{\n'; seq -f '    /* %g */' 80; printf '    return 0;\n}\n'; } >stages/b/f.c
    broken 'a function longer than 70 lines'
    rm stages/b/f.c
    printf '/* %s: later */\n' TO''DO >stages/b/w.h
    broken 'unfinished words'
    rm stages/b/w.h
    printf '#include <stdlib.h>\nchar *f(void);\nchar *f(void)\n{\n    return getenv("PTQ_SECRET");\n}\n' >stages/b/v.c
    broken 'an environment variable that no help names'
    rm stages/b/v.c
    printf 'int main(void)\n{\n    return 0;\n}\n' >stages/b/b_main.c
    broken 'a command without a manual page beside its source
    ptq-b'
}
