#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# swap.bats - solvers that come and go during a run: swapped, scaled, started by hand, killed; and ptq ctl used wrongly.
bats_require_minimum_version 1.5.0
load bounds.bash
load model.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$BATS_FILE_TMPDIR/model
    narrow_model "$M" 4
    export JOB="--tokens 1024 --length 128 --chunk-tokens 256 --seed 1 --workers forward=1"
    cd "$BATS_FILE_TMPDIR"
    printf 'import os, sys\nos.execvp(sys.argv[1], sys.argv[1:])\n' >via.py
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

job() { # RECIPE OUT MORE...
    local recipe=$1 out=$2
    shift 2
    exec ptq run "$recipe" --model "$M" --data "$M/calib.jsonl" --out "$out" $JOB "$@"
}

start() { # RECIPE OUT MORE...: in the background, until ptq ctl finds it
    out=$2
    job "$@" --forward.fault delay:30 >"$2.log" 2>&1 3>&- & # not faster than what is done to it
    run_pid=$!
    until [ -e "$out/.ptqflow/control" ] && [ -e "$out/.ptqflow/journal.jsonl" ]; do alive; done
}

alive() { # a moment later the run is still there
    kill -0 "$run_pid" || { cat "$out.log"; return 1; }
    nap 0.02
}

finish() { # STATUS
    local code=0
    wait "$run_pid" || code=$?
    [ "$code" = "$1" ] || { cat "$out.log"; return 1; }
}

sites() { # in the journal
    local line n=0
    while read -r line; do [[ $line != *'"record":'?(' ')'"site"'* ]] || n=$((n + 1)); done <"$out/.ptqflow/journal.jsonl"
    echo $n
}

await() { # N: so many sites are in the journal
    while [ "$(sites)" -lt "$1" ]; do alive; done
}

pid_of() { # NAME
    ptq ctl --out "$out" --json status | jq -r --arg n "$1" '.processes[] | select(.name == $n) | .pid'
}

sums() { # DIR: of everything but the folder of what varies
    (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
}

each_site_once() { # OUT [SITES]
    [ "$(jq -r 'select(.record == "site") | .order' "$1/.ptqflow/journal.jsonl" | sort -n | xargs)" = "$(seq 0 $((${2:-16} - 1)) | xargs)" ]
}

solved_by() { # SOLVER: --only options of the sites it solved in $out
    jq -r --arg s "$1" 'select(.record == "site" and .solver == $s) | "--only b\(.block).\(.site)"' "$out/.ptqflow/journal.jsonl" | xargs
}

assigned() { # the recipe with a stage for each solver, and the sites of each given in advance
    local stage=$(grep '^solve\*1 elastic:' "$ROOT/pipelines/gptq.pipe")
    sed '/^solve\*1 elastic:/d; s/--peers ${solve.count}/--peers 2/' "$ROOT/pipelines/gptq.pipe"
    for solver in gptq rtn; do
        sed "s/^solve\*1 elastic:/$solver elastic:/; s/--threads \${solve.threads}/--threads 1 --solver $solver $(solved_by $solver)/" <<<"$stage"
    done
}

@test "twenty swaps at random moments: each site once, the bytes of the same assignment given in advance" {
    narrow_model six 6 # more sites than swaps
    M=six
    start "$ROOT/pipelines/gptq.pipe" swapped
    forward=$(pid_of forward)
    RANDOM=4
    at=0
    for ((k = 1; k <= 20; k++)); do
        solver=$([ $((k % 2)) = 1 ] && echo rtn || echo gptq)
        await $at
        how=$((RANDOM % 3))
        case $(($(sites) > k ? 0 : how)) in # the run stands still, goes on, or goes on in the middle of the swap
        0) ptq ctl --out swapped swap solve "ptq-solve --solver $solver" >>ctl.log ;;
        1) kill -CONT "$forward"
           ptq ctl --out swapped swap solve "ptq-solve --solver $solver" >>ctl.log ;;
        2) ptq ctl --out swapped swap solve ptq-solve --solver $solver >>ctl.log & ctl=$!
           kill -CONT "$forward"
           wait $ctl ;;
        esac
        kill -STOP "$forward" # so that twenty swaps fit into the run
        at=$(sites)
        if [ $at -le $k ] && [ $((RANDOM % 2)) = 1 ]; then
            kill -CONT "$forward"
            at=$((at + 1))
        fi
    done
    kill -CONT "$forward"
    finish 0
    [ "$(grep -c joined ctl.log)" = 20 ]
    each_site_once swapped 24
    [ -n "$(solved_by rtn)" ]
    [ -n "$(solved_by gptq)" ]
    [[ $(head -c 20000 swapped/model.safetensors) == *'\"solver\":\"rtn\"'* ]]
    grep -q '^Solvers: ' swapped/README.md
    assigned >assigned.pipe
    (job "$PWD/assigned.pipe" advance --quiet)
    diff <(sums swapped) <(sums advance)
}

@test "killed solvers: their problems go to others or to one started anew, and no byte differs" {
    (job "$ROOT/pipelines/gptq.pipe" plain --quiet --record problems.ptq)
    start "$ROOT/pipelines/gptq.pipe" killed
    for n in 3 7; do
        await $n
        names=$(ptq ctl --out killed --json status | jq -r '.processes[] | select(.stage == "solve" and .state == "at work") | .pid')
        kill -STOP $names # what is sent to it now it cannot solve
        ptq ctl --out killed scale solve 2
        kill -KILL $names
    done
    await 11
    names=$(ptq ctl --out killed --json status | jq -r '.processes[] | select(.stage == "solve" and .state != "ended") | .pid')
    kill -KILL $names # all that there are
    finish 0
    grep -q 'goes to the others of its stage' killed.log
    grep -q 'another is started in its place' killed.log
    each_site_once killed
    diff <(sums plain) <(sums killed)
}

@test "a run that goes on names what was solved before by a solver that was swapped in, and so does the model card" {
    M=six
    start "$ROOT/pipelines/gptq.pipe" left
    await 1
    forward=$(pid_of forward)
    kill -STOP "$forward" # so that the run is still there
    ptq ctl --out left swap solve "ptq-solve --solver rtn"
    at=$(sites)
    kill -CONT "$forward"
    await $((at + 2))
    kill -STOP "$run_pid"
    kill -KILL $(pgrep -P "$run_pid") "$run_pid"
    wait "$run_pid" || true
    run -0 --separate-stderr job "$ROOT/pipelines/gptq.pipe" left --forward.fault delay:30
    grep -qE "warning: the earlier run had swapped its solver: it solved sites? .* by rtn; those behind site [0-9]+ are solved by gptq again" <<<"$stderr"
    by_rtn=$(jq -r 'select(.record == "site" and .solver == "rtn") | .order' left/.ptqflow/journal.jsonl | wc -l)
    [ "$by_rtn" -ge 1 ]
    grep -qE "^Solvers: gptq: $((24 - by_rtn)) sites?, rtn: $by_rtn sites?\.$" left/README.md
}

@test "solvers started by hand join and leave" {
    start "$ROOT/pipelines/gptq.pipe" hand
    dir=$(ptq ctl --out hand --json status | jq -r .run)
    [ -d "$dir" ]
    hand() { ptq-solve --quiet --in "ipc://$dir/problems" --out "ipc://$dir/solutions" --group 64 --order act 3>&- & }
    hand; first=$!
    await 5
    kill -TERM $first
    wait $first
    hand; second=$!
    kill -TERM "$(pid_of solve)" # the run's own leaves as well
    finish 0
    wait $second
    each_site_once hand
    diff <(sums plain) <(sums hand)
}

@test "solvers by pattern; a problem that nobody accepts waits and is named" {
    start "$ROOT/pipelines/routed.pipe" routed
    ptq ctl --out routed swap mlp "ptq-solve --only mlp.up"
    while ! grep -q 'b[0-9]*.mlp.down waits at .*: no peer present accepts it' routed.log; do alive; done
    ptq ctl --out routed swap mlp "ptq-solve --only mlp.*"
    finish 0
    each_site_once routed
    [ "$(jq -r 'select(.record == "site") | "\(.site[:4]) \(.solver)"' routed/.ptqflow/journal.jsonl | sort -u | xargs)" = "attn rtn mlp. gptq" ]
    run -100 --separate-stderr ptq-solve --quiet --group 64 --only 'attn.*' --out none.ptq --in problems.ptq # nobody else is there to take it
    [[ $stderr == *"b0.mlp.up does not fit --only"* ]]
}

@test "what ptq run would not start swap refuses, before any process starts; fewer engines are told" {
    start "$ROOT/pipelines/gptq.pipe" refused --format awq
    forward=$(pid_of forward)
    kill -STOP "$forward" # so that the run is still there
    refused() { # WORDS COMMAND...
        local words=$1
        shift
        run -100 ptq ctl --out refused swap solve "$@"
        [[ $output == "ctl: fatal: "*"$words"*"; the run goes on as before" ]] || { echo "$output"; return 1; }
        [ "$(ptq ctl --out refused --json status | jq '.processes | length')" = 5 ]
    }
    refused "--solver gptaq, or an --override, needs the full-precision inputs" "ptq-solve --solver gptaq"
    refused "--group: 48 does not divide the 64 inputs of" "ptq-solve --group 48"
    refused "AWQ" "ptq-solve --bits 3"
    refused "stage 'solve': " "ptq-solve --bits 5"
    run -0 ptq ctl --out refused swap solve "ptq-solve --solver rtn"
    [ "${#lines[@]}" = 2 ]
    kill -CONT "$forward"
    finish 0
    run -1 grep 'said at the start' refused.log

    start "$ROOT/pipelines/gptq.pipe" fewer
    kill -STOP "$(pid_of forward)"
    run -0 ptq ctl --out fewer swap solve "ptq-solve --group 32 --grid asym"
    [[ ${lines[0]} == "1 new of stage 'solve' joined" ]]
    [[ ${lines[1]} == "the gptq checkpoint will load in none of those that were tried; not transformers ("* ]]
    run ptq ctl --out fewer swap solve "python3 $BATS_FILE_TMPDIR/via.py ptq-solve --quiet --group 64 --in %problems --out %solutions"
    [ "$status" = 0 ] || { echo "$output" && cat fewer.log && return 1; }
    [[ $(ptq ctl --out fewer --json status | jq -r '.processes[-1].command | join(" ")') == "python3 "*"/via.py ptq-solve --quiet --group 64 --in ipc://"*"/problems --out ipc://"*"/solutions" ]]
    run -0 ptq ctl --out fewer swap solve "ptq-solve"
    [[ $(ptq ctl --out fewer --json status | jq -r '.processes[-1].command | join(" ")') == "ptq-solve --in ipc://"*" --group 32 --grid asym" ]]
    kill -CONT "$(pid_of forward)"
    finish 0
    grep -q 'the gptq checkpoint loads, other than was said at the start, in .*GPTQModel (zero points)' fewer.log
}

@test "ptq ctl: misuse, refusals that leave the run as it is, stop" {
    run -0 ptq ctl --help
    run -0 ptq top --help
    run -100 ptq ctl
    run -100 ptq ctl dance
    run -100 ptq ctl swap solve
    run -100 ptq ctl --out
    run -100 ptq ctl --out a --run b status
    run -100 ptq ctl scale solve many
    run -100 ptq ctl status
    [[ $output == "ctl: fatal: no run is going on in $XDG_RUNTIME_DIR" ]]
    run -100 ptq ctl --out nowhere status
    [[ $output == "ctl: fatal: no run is going on that writes to 'nowhere'"* ]]
    start "$ROOT/pipelines/gptq.pipe" stopped --write.fault delay:5000 # not over before it is told to stop
    run -100 ptq ctl swap forward "ptq-forward"
    [[ $output == *"stage 'forward' is not marked elastic in the recipe: it holds state of the run"* ]]
    run -100 ptq ctl scale dance 2
    [[ $output == *"there is no stage 'dance'; processes of these may come and go: solve" ]]
    run -100 ptq ctl swap solve "ptq-solve --solver none"
    [[ $output == *"stage 'solve': there is no solver 'none'"*"the run goes on as before" ]]
    run -100 ptq ctl swap solve "no-such-command"
    [[ $output == *"'no-such-command' is not beside ptq and not in PATH" ]]
    run -100 ptq ctl swap solve "ptq-solve 'open"
    run -0 ptq ctl swap solve "ptq-solve --damp= --damp 0.02"
    run -0 ptq top
    [[ $output == *"solve."*"at work"* ]]
    printf '%s\n' "${lines[@]}" | tail -n +2 | awk 'length > 79 { exit 1 }' # what is no terminal has 80 columns
    run -0 ptq ctl status --out stopped --json
    [[ ${lines[0]} == '{'*'"processes"'* ]]
    [ "$(ptq top --json | jq -r .ok)" = true ]
    if command -v script >/dev/null; then # 50 columns, and q
        printf q | SHELL=/bin/sh timeout 60 script -qec 'stty cols 50; ptq top' typed >/dev/null
        tr -d '\r' <typed | sed 's/^q//; s/\x1b\[[HJ]//g' | awk '/%/ { n++; wide += length > 49 } END { exit n < 3 || wide }'
        run -0 ptq ctl status # the run goes on
    fi
    run -0 ptq ctl --run "$(ptq ctl --json status | jq -r .run)" stop
    finish 111
    grep -q 'ptq: fatal: stopped by ptq ctl before the run was complete' stopped.log
    [ ! -e stopped/.ptqflow/control ]
}
