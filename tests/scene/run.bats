#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run.bats - the supervisor with small shell stages: starting, failing, stopping, recipes that are wrong.
bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_TMPDIR"
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    export XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/r
    mkdir r
    mkfifo up said
}

two() { # SCRIPT SCRIPT: a recipe of two shell stages, one socket between them
    cat >two.pipe <<END
# two stages
set one = $1
set two = $2
a: sh -c \${one} @%talk
b: sh -c \${two} %talk
END
}

@test "ptq without a command is misuse, --help lists commands, --version says it" {
    run -100 ptq
    run -0 ptq --help
    [[ $output == *"run the stages of a recipe"* ]]
    run -0 ptq --version
    [[ $output == "ptq "[0-9]* ]]
    run -100 ptq no-such-thing
    [[ $output == "ptq: fatal: no command 'no-such-thing'"* ]]
    run -100 ptq ../sh
}

@test "ptq X runs ptq-X beside it, with its arguments and exit code" {
    mkdir b
    cp "$(command -v ptq)" b/
    printf '#!/bin/sh\necho "$@"\nexit 7\n' >b/ptq-hello
    chmod +x b/ptq-hello
    run -7 b/ptq hello 'a  b' --help
    [ "$output" = "a  b --help" ]
}

@test "stages run to the end, sockets get a private folder that is gone afterwards" {
    two 'echo "a $0" >&2; stat -c %a r/* >mode' 'echo "b $0" >&2'
    run -0 --separate-stderr ptq run two.pipe
    [[ $stderr == *"a @ipc://$XDG_RUNTIME_DIR/ptq-"*/talk* ]]
    [[ $stderr == *"b ipc://$XDG_RUNTIME_DIR/ptq-"*/talk* ]]
    [ "$(cat mode)" = 700 ]
    [ -z "$(ls r)" ]
}

@test "the final table and the record name every stage" {
    cat >one.pipe <<'END'
set out = result
a*2: true
END
    run -0 --separate-stderr ptq run one.pipe
    [[ $stderr == *"peak MiB each"* && $stderr == *"the result lies in result"* ]]
    [ "$(jq -r '.stages[0].name, .stages[0].processes, .variables.out' result/.ptqflow/run.json | xargs)" = "a 2 result" ]
}

@test "a failing stage stops the others and gives the run its exit code and last line" {
    for code in 1 100 111; do
        two 'trap "echo stopped >&2; exit 111" TERM; echo up >up; sleep 100 & wait' "read x <up; echo 'b: fatal: no $code' >&2; exit $code"
        run -$code --separate-stderr ptq run two.pipe
        [[ $stderr == *stopped* ]]
        [[ $stderr == *"ptq: fatal: stage 'b' failed with exit code $code: no $code" ]]
        [ "$(grep -c fatal <<<"$stderr")" = 1 ]
        [ -z "$(ls r)" ]
    done
}

@test "the stage that caused a failure is blamed, not the neighbour that ended first" {
    two 'echo "a: fatal: stream is incomplete" >&2; echo up >up; exit 1' 'read x <up; echo "b: fatal: bad tensor" >&2; exit 100'
    run -100 --separate-stderr ptq run two.pipe
    [[ $stderr == *"stage 'b' failed with exit code 100: bad tensor" ]]
    [ "$(grep -c fatal <<<"$stderr")" = 1 ]
}

@test "a stage ended by a signal is a system failure" {
    two 'kill -9 $$' 'true'
    run -111 --separate-stderr ptq run two.pipe
    [[ $stderr == *"stage 'a' was ended by signal 9 (Killed: by someone, or because memory ran out)"* ]]
}

@test "SIGTERM is passed on once; a run whose stages then finish is done" {
    printf 'set s = trap "echo drained >&2; exit 0" TERM; echo up >up; sleep 100 & wait\na: sh -c ${s}\n' >one.pipe
    ptq run one.pipe 2>log 3>&- &
    read -r x <up
    kill -TERM $!
    wait $!
    grep -q '^drained$' log
}

@test "SIGTERM and stages that do not finish: exit 111" {
    two 'trap "exit 1" TERM; echo up >up; sleep 100 & wait' 'true'
    ptq run two.pipe 2>log 3>&- &
    read -r x <up
    kill -TERM $!
    code=0; wait $! || code=$?
    [ $code = 111 ]
    grep -q 'stopped by a signal' log
}

@test "a second signal kills at once" {
    two 'trap "" TERM; echo up >up; exec sleep 100' 'true'
    ptq run two.pipe 2>said 3>&- &
    pid=$!
    exec 7<said
    read -r x <up
    kill -TERM $pid
    while read -r x <&7; do [[ $x == *stopping:* ]] && break; done
    kill -TERM $pid
    code=0; wait $pid || code=$?
    [ $code = 111 ]
    [ -z "$(ls r)" ]
}

@test "when the supervisor is killed its stages get SIGTERM" {
    two 'trap "echo gone >said; exit 0" TERM; echo up >up; sleep 100 & wait' 'true'
    ptq run two.pipe 2>log 3>&- &
    read -r x <up
    kill -KILL $!
    read -r x <said
    [ "$x" = gone ]
}

@test "values stay one word, lists repeat their option, counts are known" {
    cat >w.pipe <<'END'
set x = 1
list d =
b*3: printf [%s] --x ${x} --d ${d} ${b.count} \
    ${b.threads}
END
    run -0 ptq run w.pipe --x 'a  $(b) "c"' --d 1 --set 'd=2 2' --workers b=2 --dry-run
    [ "${lines[0]}" = "b.1: printf '[%s]' --x 'a  \$(b) \"c\"' --d 1 --d '2 2' 2 $(($(nproc) > 2 ? $(nproc) / 2 : 1))" ]
    [[ ${lines[1]} == b.2:* ]]
    [ ${#lines[@]} = 2 ]
}

@test "--log keeps what each process said, --keep the folder" {
    two 'echo first >&2' 'printf second >&2'
    run -0 ptq run two.pipe --log logs --keep
    [ "$(cat logs/a.log)" = first ]
    [ "$(cat logs/b.log)" = second ]
    [ -d r/ptq-* ]
}

@test "a recipe's --help shows its variables" {
    two 'true' 'true'
    run -0 --separate-stderr ptq run two.pipe --help
    [[ $output == *"two stages"*"--one"*"[true]"* ]]
    [ -z "$stderr" ]
}

@test "wrong use is refused by name, with 100" {
    two 'true' 'true'
    run -100 ptq run
    run -100 ptq run no-such.pipe
    [[ $output == "ptq: fatal: recipe 'no-such.pipe' is not there"* ]]
    run -100 ptq run two.pipe --three 3
    [[ $output == *"unknown option '--three'"*"--one --two"* ]]
    run -100 ptq run two.pipe --one
    [[ $output == *"option '--one' needs a value" ]]
    run -100 ptq run two.pipe --one 1 --one 2
    [[ $output == *"given twice" ]]
    run -100 ptq run two.pipe word
    run -100 ptq run two.pipe --workers a=2
    [[ $output == *"stage 'a' of two.pipe is one process" ]]
    run -100 ptq run two.pipe --set one
}

@test "recipe errors name the line" {
    printf 'a: true\n\nwhat\n' >bad.pipe
    run -100 ptq run bad.pipe
    [[ $output == "ptq: fatal: bad.pipe:3: 'what': expected"* ]]
    printf 'a: true\nb: true %%x\n' >bad.pipe
    run -100 ptq run bad.pipe
    [[ $output == "ptq: fatal: bad.pipe:2: stage 'b': no stage binds 'x'"* ]]
    printf 'a: no-such-command\n' >bad.pipe
    run -100 ptq run bad.pipe
    [[ $output == "ptq: fatal: bad.pipe:1: stage 'a': command 'no-such-command' is not beside ptq and not in PATH" ]]
}
