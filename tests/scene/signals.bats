#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# signals.bats - what a run does with signals, with an end that it cannot foresee, and with another run in its folder.
bats_require_minimum_version 1.5.0
load left.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    export XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/r
    mkdir r
    mkfifo up go
}

waits() { # a stage that says when it is up and waits for a line
    printf '# a stage that waits\nset out = result\nflag overwrite =\na: ./stage ${overwrite}\n' >one.pipe
    cat >stage <<'END'
#!/bin/sh
mkdir -p result/.ptqflow
echo >up
read x <go
END
    chmod +x stage
}

start() { # SIGNAL...: a run that was started to ignore these
    (trap '' "$@"; exec ptq run one.pipe) >log 2>&1 3>&- &
    run_pid=$!
    read -r _ <up
}

finish() { # STATUS
    local code=0
    wait $run_pid || code=$?
    cat log
    [ $code = "$1" ]
    [ -z "$(ls r)" ]
}

@test "a signal that was ignored from the start does not end a run, another does" {
    waits
    start HUP INT
    kill -HUP $run_pid
    kill -INT $run_pid
    echo >go
    finish 0
    start INT
    kill -HUP $run_pid
    finish 111
    start HUP TERM
    kill -INT $run_pid
    finish 111
}

@test "a stage by hand leaves ignored what was ignored" {
    ptq-cat --quiet --make 3 --size 100 --out some
    (trap '' INT; exec ptq-cat --quiet --in go --out got) &
    stage=$!
    exec 5>go # it has opened its input
    until grep -q '^SigIgn:.*[2367abef]$' /proc/$stage/status && grep -q '^SigCgt:.*4...$' /proc/$stage/status; do
        kill -0 $stage
    done
    kill -INT $stage
    cat some >&5
    exec 5>&-
    wait $stage
    cmp some got
}

@test "what a killed run left is removed by the next, what a living one has is not" {
    waits
    start USR1
    first=$(ls r)
    kill -9 $run_pid
    wait $run_pid || true
    [ -e "r/$first/control" ]
    start USR1
    [ "$(ls r)" != "$first" ]
    [ ! -e "r/$first" ]
    second=$(ls r)
    printf '# nothing\na: true\n' >none.pipe
    ptq run none.pipe
    [ "$(ls r)" = "$second" ]
    echo >go
    finish 0
}

@test "a run that nobody listens to stops, and cleans up" {
    cat >stage <<'END'
#!/bin/sh
exec yes line >&2 # faster than it can be passed on: the supervisor must look up all the same
END
    chmod +x stage
    printf '# talks\na: ./stage\n' >talk.pipe
    code=$({ ptq run talk.pipe 2>&1 || echo $? >&4; } 4>code | head -n 2 >/dev/null; cat code)
    [ "$code" = 141 ]
    [ -z "$(ls r)" ]
}

# bats test_tags=fire
@test "a second run into a folder is told who is at work there, and leaves the first alone" {
    waits
    start USR1
    until [ -L result/.ptqflow/control ]; do kill -0 $run_pid; done
    for more in "" --overwrite; do
        run -100 ptq run one.pipe $more
        [[ "$output" == *"a run is writing to 'result' (process $run_pid, since 20"* ]]
        [[ "$output" != *remove* ]]
    done
    [ "$(ptq ctl --out result --json status | jq -r '.processes[0].name')" = a ]
    echo >go
    finish 0
    [ ! -L result/.ptqflow/control ]
}

# bats test_tags=fire
@test "two signals at once end a run as two: everything is gone" {
    cat >stage <<'END'
#!/bin/sh
echo $$ >pid
echo >up
exec sleep 1000
END
    chmod +x stage
    printf '# sleeps\na: ./stage\n' >one.pipe
    for i in 1 2 3 4 5; do
        start USR1
        kill -INT $run_pid
        kill -INT $run_pid || true
        kill -INT $run_pid || true
        finish 111
        run -1 kill -0 "$(cat pid)"
    done
}
