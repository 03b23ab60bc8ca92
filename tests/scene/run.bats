#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run.bats - the supervisor with small shell stages: starting, failing, stopping, recipes that are wrong.
bats_require_minimum_version 1.5.0
load left.bash
load idle.bash

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
    run -100 ptq slove
    [[ $output == *"did you mean solve?"* ]]
}

@test "help and version, long and short, of every command; recipes by name" {
    for flag in -h --help help; do
        run -0 --separate-stderr ptq $flag
        [[ $output == *"run the stages of a recipe"* && -z $stderr ]]
    done
    run -0 ptq -V
    [ "$output" = "$(ptq --version)" ]
    for command in $(ptq --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
        [[ $(ptq $command -h) == "Usage: ptq "* || $command = completion ]]
        [[ $(ptq help $command) == [Uu]sage:* ]]
    done
    [ "$(ptq help help)" = "$(ptq --help)" ]
    [[ $(ptq diff --help) == "Usage: ptq diff "* && $(ptq-diff --help) == "Usage: ptq-diff "* ]]
    [[ $(ptq run gptq --help) == "Usage: ptq run gptq [options]"* ]]
    run -100 ptq run --model m
    [[ $output == "ptq: fatal: the name of a recipe comes first"*"ptq run gptq --model"* ]]
    run -100 ptq top --out nowhere
    [[ $output == "top: fatal: no run is going on"* ]]
    run -100 ptq help no-such-thing
    run -0 --separate-stderr ptq recipes
    [[ $output == *"
gptaq "*" GPTAQ"* && ${#lines[@]} = $(ls "$BATS_TEST_DIRNAME"/../../pipelines/*.pipe | wc -l) && -z $stderr ]]
    run -100 ptq run gtpq
    [[ $output == *"did you mean gptq?"* ]]
    run -100 ptq run gptqq
    [[ $output == *"did you mean gptq?"* ]]
}

@test "--dry-run makes the checks of the start: a quantized model, too few tokens, text without a tokenizer, a full --out" {
    m=$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3
    mkdir quantized bare full
    ln -s "$(realpath "$m")"/* quantized
    ln -s "$(realpath "$m")"/* bare
    rm quantized/config.json bare/tokenizer.json
    jq '.quantization_config = {quant_method: "gptq"}' "$m/config.json" >quantized/config.json
    echo x >full/x
    no() { # WORDS OPTIONS...: with and without --dry-run
        local words=$1
        shift
        for dry in --dry-run --quiet; do
            run -100 ptq run gptq --data "$m/calib.jsonl" "$@" $dry
            [[ $output == "ptq: fatal: "*"$words"* ]] || { echo "$output"; return 1; }
            [ ! -e out ]
        done
    }
    no "is quantized already" --model quantized --out out
    no "--tokens 100 is less than one row of --length 256" --model "$m" --out out --tokens 100 --length 256
    no "calib.jsonl:1: text, but 'bare' has no tokenizer.json" --model bare --out out
    no "'full' holds something else" --model "$m" --out full
    echo '{"input_ids": [1, 2, 3]}' >ids.jsonl
    run -0 ptq run gptq --data ids.jsonl --model bare --out out --dry-run
    [ ! -e out ]
}

# bats test_tags=fire
@test "an address space that is limited: refused before the start by stage and figures, by hand with 111, and nothing hangs" {
    linked=$(ldd "$(command -v ptq)")
    [[ $linked != *libasan* ]] || skip "the address sanitizer reserves more than any limit"
    m=$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3
    use=(--model "$m" --data "$m/calib.jsonl" --tokens 512 --length 64)
    under() { # KIB COMMAND...
        (ulimit -v "$1" && shift && exec timeout 20 "$@" 2>&1)
    }
    run -0 under 200000 ptq --version
    run -0 under 200000 ptq-check "$m"
    for dry in --dry-run --quiet; do
        run -111 under 300000 ptq run gptq "${use[@]}" --out out $dry
        [[ $output =~ "fatal: a process of stage 'solve' takes at least "[3-9][0-9][0-9]" MiB of address space, but it is limited to 293 MiB (ulimit -v): raise the limit" ]]
        [ ! -e out ]
    done
    ptq sample --quiet "${use[@]}" | ptq forward --quiet --model "$m" --inputs full | ptq reduce --quiet >problems
    run -111 under 200000 ptq-solve --in problems --out solutions --threads 2
    [[ $output == "solve: fatal: the address space is limited (ulimit -v, ulimit -d) and has room for 0 of the 2 buffers"* ]]
    run -0 under 900000 ptq-solve --quiet --group 64 --in problems --out solutions --threads 2
}

@test "a stage that a signal ends where the address space is limited: the error says that it is" {
    linked=$(ldd "$(command -v ptq)")
    [[ $linked != *libasan* ]] || skip "the address sanitizer reserves more than any limit"
    two 'echo low >&2; kill -SEGV $$' 'exec cat /dev/null'
    run -111 ptq run ./two.pipe
    [[ $output == *"was ended by signal 11 (Segmentation fault); its last line: low"* ]]
    run -111 bash -c 'ulimit -v 400000; exec ptq run ./two.pipe'
    [[ $output == *"was ended by signal 11 (Segmentation fault); its address space is limited to 391 MiB (ulimit -v)"*"; its last line: low"* ]]
}

@test "few file descriptors: a soft limit is raised, a hard one is refused before the start by its name and what is needed" {
    m=$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3
    use=(--model "$m" --data "$m/calib.jsonl" --tokens 512 --length 64 --quiet)
    few() { # OPTION LIMIT OPTION...
        (ulimit "$1" "$2" && shift 2 && exec timeout 60 ptq run gptq "${use[@]}" "$@" 2>&1)
    }
    for n in 40 48; do
        run -111 few -n $n --out out
        [[ $output =~ "a process of this run of 6 processes takes up to 80 file descriptors, but it is limited to $n (ulimit -n): raise the limit (ulimit -n 256)" ]]
        [ ! -e out ]
    done
    run -0 few -n 80 --out out
    run -0 few -Sn 40 --out soft
}

names_it() {
    grep -q "warning: sample (process [0-9]*) has made no progress since ..:..:.., [0-9]* s ago: it stands still" said.txt
}

# bats test_tags=fire
@test "a stage that does nothing while its links answer is named, and that it goes on" {
    m=$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3
    mkfifo data
    exec 7<>data
    ptq run gptq --model "$m" --data data --tokens 512 --length 64 --group 64 --out out --stall 2 2>said.txt 7>&- &
    job=$!
    for i in {1..200}; do names_it && break; kill -0 $job; nap 0.1; done
    names_it
    timeout 20 cat "$m/calib.jsonl" >data
    exec 7>&-
    wait $job
    [ "$(grep -c "sample goes on after [0-9]* s" said.txt)" = 1 ]
}

@test "options of the stages: routed, refused before anything starts, by the name that was typed" {
    m=$BATS_TEST_DIRNAME/../../pipelines/demo/tale-qwen3
    use=(gptq --model "$m" --data "$m/calib.jsonl" --out out)
    run -0 --separate-stderr ptq run gptq --help
    [[ $output == *"--chat-template FILE"*"Stage forward"*"--modality-weights"*"Stage solve (ptq-solve): ojbkq"*"--tries N"* ]]
    [[ $output != *"--peers"* && $output != *"--status-fd"* ]]
    run -0 ptq run maca --help
    [[ $output == *"--tokens N"*"(default 524288)"* ]]
    run -0 --separate-stderr ptq run "${use[@]}" --mem 1G --forward.mem 2M --bos no --overwrite --override 'mlp.down: bits=8' --override 'b0.*: skip' --dry-run
    [[ ${lines[0]} == "sample: ptq-sample "*" --bos no"* && ${lines[0]} != *--mem* ]]
    [[ ${lines[1]} == "forward"*" --mem 2M" ]]
    [[ $output == *"reduce: ptq-reduce "*" --mem 1G"* ]]
    [[ $output == *"--override 'mlp.down: bits=8' --override 'b0.*: skip'"* ]]
    [[ ${lines[-1]} == "write: ptq-write "*" out --model "*" --overwrite" ]]
    run -0 --separate-stderr ptq run maca --model "$m" --data "$m/calib.jsonl" --out out --tokens 4096 --dry-run
    [[ ${lines[0]} == *" --tokens 4096" && ${lines[0]} != *524288* && ${lines[0]} == *"--short join"* ]]
    refused() { # WORDS OPTIONS...
        local words=$1
        shift
        run -100 ptq run "${use[@]}" "$@"
        [[ $output == "ptq: fatal: "*"$words"* ]] || { echo "$output"; return 1; }
        [ ! -e out ]
        [ -z "$(ls r)" ]
    }
    refused "--bits: '5' is not one of 2|3|4|8" --bits 5
    refused "--reduce.mem: 'x' is not a size" --reduce.mem x
    refused "stage 'solve': there is no solver 'magic'" --solver magic
    refused "stage 'solve': --override: 'mlp.down'" --override mlp.down
    refused "stage 'solve': --alpha means nothing to solver gptq" --alpha 0.5
    refused "stage 'write': format 'zip' is not known" --format gptq,zip
    refused "(gptq, gptq-v2, compressed-tensors, awq, gguf, dense, ptq): did you mean gptq?" --format gpqt
    refused "there is no solver 'gptqq': did you mean gptq?;" --solver gptqq
    refused "there is no solver 'qep+gptqq': did you mean qep+gptq?;" --solver qep+gptqq
    refused "'atc' is not one of none|act|group|pivot; did you mean act?" --order atc
    refused "no stage 'solver': did you mean solve? (it has sample, forward, reduce, solve, write)" --workers solver=2
    refused "stage 'sample': --length and --lengths" --length 64 --lengths 64,128
    refused "--threads': how stage 'forward' is run is the recipe's to say: \${forward.threads}, the cores shared out among its processes; to use fewer cores: taskset -c 0-1 ptq run" --threads 3
    refused "option '--peers'" --peers 2
    refused "option '--in'" --in file
    refused "option '--follow'" --follow out
    refused "unknown option '--chat-tmplate': did you mean --chat-template?" --chat-tmplate x
    refused "has no stage 'farward'" --farward.mem 1G
    refused "unknown option '--sample.mem'" --sample.mem 1G
    refused "given twice" --seed 1 --seed 2
    refused "needs a value" --seed
    refused "--overwrite takes no value" --overwrite=yes
    run -100 ptq run gptq --model "$m" --out out
    [[ $output == *"stage 'sample': --data FILE is missing"* ]]
    two true true
    run -100 ptq run two.pipe --a.x 1
    [[ $output == *"stage 'a' runs 'sh', whose options stand in the recipe" ]]
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
    # it may take its time after its good-bye
    two 'trap "" TERM; echo up >up; sleep 1.5; echo "a: fatal: no disk" >&2; exit 111' \
        'read x <up; echo "b: fatal: a (peer 0 at x) left the stream unfinished: a closed the link" >&2; exit 1'
    run -111 --separate-stderr ptq run two.pipe
    [[ $stderr == *"stage 'a' failed with exit code 111: no disk" ]]
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

# bats test_tags=fire
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

@test "a variable that ptq run could not be given is refused" {
    for name in help reserve workers quiet; do
        printf 'set %s = 1\na: true ${%s}\n' $name $name >v.pipe
        run -100 ptq run v.pipe
        [[ $output == *"v.pipe: a variable cannot be called '$name': ptq run has an option of that name"* ]]
    done
    printf 'set cores = 1\na: true ${cores}\n' >v.pipe
    run -100 ptq run v.pipe
    [[ $output == *"v.pipe:1: a variable cannot be called 'cores'"* ]]
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
    [[ $output == *"two stages"*"--one VALUE"*"(default true)"*"Stage a (sh)"* ]]
    [ -z "$stderr" ]
}

@test "wrong use is refused by name, with 100" {
    two 'true' 'true'
    run -100 ptq run
    run -100 ptq run no-such.pipe
    [[ $output == "ptq: fatal: recipe 'no-such.pipe' is not there"* ]]
    run -100 ptq run two.pipe --tow 3
    [[ $output == *"unknown option '--tow': did you mean --two?"* ]]
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
