#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# chaos.sh BIN BUILD SEED|FIRST-LAST... - runs of a small model with random faults. Each seed draws a run (recipe, transport, numbers of
# processes) and what happens to it: kill -9 of a process, of all or of the supervisor, SIGSTOP shorter and longer than the others' patience,
# messages dropped, repeated, swapped, flipped, cut and delayed (--fault), connections cut and healed, bytes flipped, lost and held up
# (proxy.c), a writer that dies in a system call or finds the disk full (tests/shim). Seeds above 1000: a run and its worker by tcp, with
# keys or without, of which one or the other loses processes. It must end with the bytes of an undisturbed run: by itself, or, where
# that is more than a run survives, when the same is asked for again. A failed seed is named, with how to see it again, and leaves its
# folder; a run that takes longer than LIMIT seconds (60), in which the machine is not busy, has failed. What happens is drawn from the
# seed alone; when, is not quite. KEEP=1: the folders of all stay.
set -u
bin=$(realpath "$1") build=$(realpath "$2")
root=$(realpath "$(dirname "$0")/../..")
shift 2
. "$root/tests/scene/idle.bash"
. "$root/tests/scene/descendants.bash"
limit=${LIMIT:-60} patience=1500 # ms
model=$root/tests/golden/conformance/mistral sites=12
work=$(mktemp -d /tmp/ptq-chaos-XXXXXX)
export XDG_RUNTIME_DIR=$work/run PATH=$bin:$PATH
mkdir "$XDG_RUNTIME_DIR"
run= proxy= worker= failed=0 tried=0

cleanup() {
    end_all
    [ $failed != 0 ] || [ "${KEEP:-}" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

draw() { # N: 0 to N-1, into $drawn
    drawn=$((RANDOM % $1))
}

pick() { # WORD...: one of them, into $picked
    draw $#
    picked=${@:drawn+1:1}
}

end_all() { # what may be left of a run
    local pid
    for pid in $run $proxy $worker ${run:+$(descendants "$run")} ${worker:+$(descendants "$worker")}; do kill -KILL "$pid" 2>/dev/null; done
    [ -z "$run$proxy$worker" ] || wait $run $proxy $worker 2>/dev/null
    run= proxy= worker=
}

make_data() {
    awk 'BEGIN { for (i = 0; i < 8; i++) { printf "{\"input_ids\": ["; for (t = 0; t < 64; t++) printf "%s%d", t ? "," : "", (t * t * 7 + i * 31) % 300 + 3; print "]}" } }' >"$work/ids.jsonl"
}

# ---- what is run ----

options_of() { # RECIPE: into $options
    case $1 in
    maca) length=(--tokens 512 --lengths 32,64) ;;
    *) length=(--tokens 512 --length 64) ;;
    esac
    options=(--model "$model" --data "$work/ids.jsonl" --chunk-tokens 64 --group 32 "${length[@]}")
}

reference() { # RECIPE: into $reference, once
    local name=$1
    [ "$name" != sharded ] || name=gptq
    reference=$work/whole.$name
    [ ! -e "$reference" ] || return 0
    options_of "$name"
    ptq run "$name" "${options[@]}" --quiet --out "$reference" 2>"$work/whole.log" && return 0
    cat "$work/whole.log"
    echo "chaos: fatal: the undisturbed run of $name fails"
    failed=1
    exit 1
}

sums() { # DIR: of everything but the folder of what varies
    (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
}

is_same() {
    [ -e out/config.json ] && [ "$(sums out)" = "$(sums "$reference")" ]
}

tcp_recipe() { # RECIPE: its sockets as ports of this host, one of them behind the proxy; into the file recipe.pipe
    local names name port ports n=0
    names=($(grep -o '@%[a-z]*' "$root/pipelines/$1.pipe" | sort -u | cut -c 3-))
    ports=($("$build/chaos/proxy" --ports $((${#names[@]} + 1))))
    cp "$root/pipelines/$1.pipe" recipe.pipe
    pick "${names[@]}"
    behind=$picked
    for name in "${names[@]}"; do
        port=${ports[n]}
        sed -i "s|@%$name\\b|@tcp://127.0.0.1:$port|" recipe.pipe
        if [ "$name" = "$behind" ]; then
            "$build/chaos/proxy" "${ports[-1]}" "$port" "${proxied[@]}" 2>proxy.log &
            proxy=$!
            port=${ports[-1]}
        fi
        sed -i "s|%$name\\b|tcp://127.0.0.1:$port|" recipe.pipe
        n=$((n + 1))
    done
}

# A writer that is started as $real below does not get through once: STOP_AT, FULL_AT (tests/shim).
bad_writer() { # VARIABLE N
    mkdir bin
    ln -s "$root/pipelines" .
    ln -s "$bin"/ptq-* bin
    cp "$bin/ptq" bin
    rm bin/ptq-write
    cat >bin/ptq-write <<EOF
#!/bin/sh
[ -e writer.once ] || { : >writer.once; export $1=$2 LD_PRELOAD='$build/shim/stop_at.so' ASAN_OPTIONS=verify_asan_link_order=0; }
exec '$bin/ptq-write' "\$@"
EOF
    chmod +x bin/ptq-write
}

committed() { # how many sites are
    local journal=out/.ptqflow/journal.jsonl
    [ -e "$journal" ] || journal=/dev/null
    jq -nR '[inputs | fromjson? | select(.record == "site") | .order] | unique | length' "$journal"
}

hand_options() { # RECIPE: what the recipe gives its stages, into $hand_STAGE
    hand_sample=() hand_forward=() hand_reduce=(--length-diagonals) hand_solve=()
    case $1 in
    gptaq) hand_forward=(--dual) hand_solve=(--solver gptaq) ;;
    maca)
        hand_sample=(--mode crops --short join --weights length)
        hand_reduce+=(--plain-sums)
        ;;
    esac
}

fault_of() { # STAGE of a pipe: its option
    [ "$1" != "$faulty" ] || echo "--fault $list"
}

start_pipe() { # behind what is committed
    local from
    from=$(committed)
    from=($([ "$from" = 0 ] || echo "--from-site $from"))
    hand_options "$base"
    (
        set -o pipefail
        ptq-sample --model "$model" --data "$work/ids.jsonl" --chunk-tokens 64 "${length[@]}" "${hand_sample[@]}" $(fault_of sample) |
            ptq-forward --model "$model" --follow out "${hand_forward[@]}" "${from[@]}" $(fault_of forward) |
            ptq-reduce "${hand_reduce[@]}" "${from[@]}" $(fault_of reduce) | ptq-solve --group 32 "${hand_solve[@]}" $(fault_of solve) |
            ptq-write --model "$model" "${from[@]}" $(fault_of write) out
    ) >>log 2>&1 &
    run=$!
}

start_run() {
    local pid
    for pid in $orphans; do # the folder is theirs as long as they live
        while kill -0 "$pid" 2>/dev/null && ! is_late; do nap 0.02; done
    done
    orphans=
    [ $shape != pipe ] || { start_pipe; return; }
    [ $shape != hosts ] || : >log # the address of this one
    PATH=$([ ! -e bin ] || echo "$PWD/bin:")$PATH ptq run "$recipe" "${options[@]}" --out out --workers "$workers" "${more[@]}" >>log 2>&1 &
    run=$!
    [ $shape != hosts ] || start_worker
}

start_worker() { # where the run listens
    local port=
    until port=$(sed -n 's/.*workers join by: ptq worker [^ ]*:\([0-9]*\).*/\1/p' log) && [ "$port" ] || is_over || is_late; do nap 0.02; done
    ptq worker "tcp://127.0.0.1:$port" "${offers[@]}" >>worker.log 2>&1 &
    worker=$!
}

is_over() {
    ! kill -0 "$run" 2>/dev/null
}

is_late() { # the second, should the machine never be idle
    idle
    [ $idle -ge $deadline ] || [ $SECONDS -ge $last ]
}

await() { # SITE: it is committed, or the run is over
    local part
    printf -v part 'out/.ptqflow/parts/%05d.ptq' "$1"
    until [ -e "$part" ] || is_over || is_late; do nap 0.01; done
    ! is_over
}

finish() { # into $code; 1: it is late
    until is_over || is_late; do nap 0.02; done
    is_over || return 1
    wait "$run"
    code=$?
    run=
}

# ---- what happens to it: words "SITE WHAT...", in their order ----

one_of() { # STAGE: a process of it
    pgrep -P "$run" -x "ptq-$1" | head -n $((1 + $2)) | tail -n 1
}

happen() { # SITE WHAT...; 1: the run was over before
    local pid
    await "$1" || return 1
    nap "0.0$3"
    case $2 in
    kill) kill -KILL $(one_of "$4" "$5") 2>/dev/null ;;
    all) kill -KILL "$run" $(descendants "$run") 2>/dev/null ;;
    worker) # it, and then another comes; or one of its processes
        if [ "$4" = all ]; then
            kill -KILL "$worker"
            wait "$worker"
            start_worker
        else
            kill -KILL $(pgrep -P "$worker" -x "ptq-$4" | head -n 1)
        fi
        ;;
    hold)
        pid=$worker
        [ "$4" = all ] || pid=$(pgrep -P "$worker" -x "ptq-$4" | head -n 1)
        kill -STOP $pid
        (sleep "$5"; kill -CONT $pid) &
        ;;
    head)
        orphans=$(descendants "$run")
        kill -KILL "$run"
        ;;
    stop)
        if [ "$4" = head ]; then pid=$run; else pid=$(one_of "$4" "$5"); fi
        kill -STOP $pid 2>/dev/null
        (sleep "$6"; kill -CONT $pid 2>/dev/null) &
        ;;
    esac 2>/dev/null
    return 0
}

draw_stage() {
    case $base in
    sharded) pick sample forward cat reduce solve write ;;
    *) pick sample forward reduce solve write ;;
    esac
}

draw_happening() { # adds to $happens
    local site at stage n
    draw $sites && site=$drawn
    draw 10 && at=$drawn
    draw 3 && n=$drawn
    draw_stage && stage=$picked
    pick kill kill kill stop stop stop head all
    case $picked in
    kill) happens+=("$site kill $at $stage $n") ;;
    head | all)
        happens+=("$site $picked $at")
        again=1
        ;;
    stop)
        pick $stage $stage $stage head && stage=$picked
        pick 0.3 0.6 2.5
        happens+=("$site stop $at $stage $n $picked")
        ;;
    esac
}

draw_fault() { # adds to $more
    local kind stage most=24
    pick die drop twice swap flip cut delay && kind=$picked
    draw_stage && stage=$picked
    case $stage in
    cat) stage=spread ;;
    sample) most=4 ;; # of so many it has
    esac
    draw $most
    [ $kind != delay ] || draw 15
    more+=("--$stage.fault" "$kind:$((drawn + 1)),silent:$patience,once:$PWD/$stage.once")
}

draw_proxied() { # into $proxied
    local byte kind # some links carry a few KB, others one MB
    proxied=()
    for kind in $1; do
        draw 12 && byte=$((300 << drawn))
        draw 32768 && byte=$((byte + byte * drawn / 32768))
        case $kind in
        cut) pick 1 300 1500 3000 && proxied+=("cut:$byte:$picked") ;;
        hold) pick 100 900 2500 && proxied+=("hold:$byte:$picked") ;;
        flip) proxied+=("flip:$byte") ;;
        lose) pick 1 17 1000 && proxied+=("lose:$byte:$picked") ;;
        delay) draw 4 && proxied+=("delay:$((drawn + 1))") ;;
        esac
    done
}

draw_hosts() {
    local site at n stage
    draw 3 && offers=(--forward $drawn)
    draw 2
    [ "${offers[1]}$drawn" != 00 ] || drawn=1
    offers+=(--solve $drawn)
    draw 2
    if [ $drawn = 1 ]; then
        [ -e "$work/keys" ] || ptq keys --quiet "$work/keys" --worker a
        offers+=(--keys "$work/keys/a")
        more+=(--keys "$work/keys/head")
    fi
    more+=(--listen 'tcp://127.0.0.1:*' --hosts 1)
    draw 2
    for ((n = drawn; n >= 0; n--)); do
        draw $sites && site=$drawn
        draw 10 && at=$drawn
        pick all all forward reduce solve && stage=$picked
        pick worker worker hold own
        case $picked in
        worker) happens+=("$site worker $at $stage") ;;
        hold) pick 0.3 0.6 2.5 && happens+=("$site hold $at $stage $picked") ;;
        own) draw_stage && happens+=("$site kill $at $picked 0") ;;
        esac
    done
}

draw_pipe() {
    local site at kind stage
    [ $base != sharded ] || base=gptq
    draw_stage && stage=$picked
    again=1 workers= more=()
    draw 2
    if [ $drawn = 0 ]; then
        draw $sites && site=$drawn
        draw 10 && at=$drawn
        pick kill kill stop && happens=("$site $picked $at $stage 0 0.3")
    else
        pick die flip cut delay && kind=$picked
        draw 20
        faulty=$stage list=$kind:$((drawn + 1)),once:$PWD/once
    fi
}

draw_run() {
    local i n
    happens=() more=() proxied=() offers=() again= behind= faulty= list= orphans=
    pick gptq gptq gptaq maca sharded && base=$picked
    recipe=$base
    draw 3 && workers=forward=$((drawn + 1))
    draw 3 && workers+=,solve=$((drawn + 1))
    [ $base != sharded ] || { draw 3 && workers+=,reduce=$((drawn + 1)); }
    draw 4
    [ $drawn != 0 ] || more+=(--save-state)
    pick events events faults faults both tcp tcp tcp writer full pipe pipe
    shape=$picked
    [ "$1" -le 1000 ] || shape=hosts
    case $shape in
    hosts) draw_hosts ;;
    pipe) draw_pipe ;;
    events) draw 3 && n=$((drawn + 1)) && for ((i = 0; i < n; i++)); do draw_happening; done ;;
    faults) draw_fault ;;
    both) draw_fault && draw_happening ;;
    tcp)
        pick cut cut hold flip lose delay && draw_proxied "$picked"
        tcp_recipe $base
        recipe=./recipe.pipe
        draw 2
        [ $drawn = 0 ] || draw_happening
        ;;
    writer) draw 250 && bad_writer STOP_AT $((drawn + 1)) ;;
    full) draw 250 && bad_writer FULL_AT $((drawn + 1)) && again=1 ;;
    esac
    # all are as patient as the others
    [ $shape = pipe ] || more+=(--fault "silent:$patience")
    options_of $base
    mapfile -t happens < <([ ${#happens[@]} = 0 ] || printf '%s\n' "${happens[@]}" | sort -n)
}

told() { # in a line
    echo "$base $workers ${more[*]} $([ $shape != hosts ] || echo "worker ${offers[*]}") $([ $shape != pipe ] || echo pipe) ${faulty:+$faulty $list}${behind:+tcp, $behind behind ${proxied[*]}} ${happens[*]/#/; at site } $([ ! -e bin ] || grep -o '[A-Z]*_AT=[0-9]*' bin/ptq-write)" |
        sed "s|$PWD/||g; s|$work/||g; s|--fault silent:$patience||; s|,silent:$patience||g; s|  *| |g"
}

tried_once() { # 0: it ended with the same bytes; else why says why not
    local times left=("${happens[@]}")
    idle
    deadline=$((idle + 1000 * limit)) last=$((SECONDS + 10 * limit))
    for times in 1 2 3 4; do
        start_run
        while [ ${#left[@]} != 0 ] && happen ${left[0]}; do left=("${left[@]:1}"); done
        finish || { why="time-out after $limit s"; return 1; }
        [ $code != 0 ] && [ ! "$again" ] || ! is_same || return 0
        [ $code != 0 ] && [ ! -e out/config.json ] || { why="exit code $code, and other bytes"; return 1; }
        [ "$again" ] || { why="exit code $code: $(grep -h fatal log | tail -n 1)"; return 1; }
    done
    why="still exit code $code when it was asked for again: $(grep -h fatal log | tail -n 1)"
    return 1
}

cpu() { # hundredths of seconds of what has ended, into $spent
    local stat
    read -r -a stat </proc/$$/stat
    spent=$((stat[13] + stat[14] + stat[15] + stat[16]))
}

try() { # SEED
    local from=$EPOCHREALTIME line before
    RANDOM=$1
    for line in {1..9}; do : $RANDOM; done # the first of neighbouring seeds are alike
    rm -rf "$work/$1" "$XDG_RUNTIME_DIR"/*
    mkdir "$work/$1"
    cd "$work/$1" || exit 111
    draw_run "$1"
    reference $base
    options_of $base
    line=$(told)
    tried=$((tried + 1))
    cpu && before=$spent
    if tried_once; then
        cpu
        printf 'seed %d: %s: same bytes (%d ms, CPU %d ms)\n' "$1" "$line" $(((${EPOCHREALTIME/./} - ${from/./}) / 1000)) $((10 * (spent - before)))
        end_all
        cd "$work" && { [ "${KEEP:-}" ] || rm -rf "$work/$1"; }
        return 0
    fi
    failed=$((failed + 1))
    printf 'seed %d FAILED: %s: %s\n    %s; again: make chaos SEEDS=%d\n' "$1" "$line" "$why" "$work/$1" "$1"
    end_all
    cd "$work" || exit 111
}

make_data
for range in "$@"; do
    for ((seed = ${range%-*}; seed <= ${range#*-}; seed++)); do try $seed 2>>"$work/stderr"; done # that one was killed, says bash
done
echo "chaos: $tried runs, $failed failed"
[ $failed = 0 ]
