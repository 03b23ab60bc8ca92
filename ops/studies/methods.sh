#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# methods.sh BIN - what each calibration method makes of a model, cell by cell; `make bench-methods` calls it. Needs jq.
# A cell is one model, grid, method and seed: quantize, then measure. It becomes one line of a JSON-lines file in the folder of results
# (a file for each model and number of tokens, its cells sorted) when it is done, and stays until one of its inputs changes: options,
# model, data, or the solvers' code. methods.jq makes ops/studies/methods.md of the cells there are and says which are missing, so the
# command may be stopped and given again at any time.
#   PTQ_BENCH_MODEL, PTQ_BENCH_DATA, PTQ_BENCH_WIKI, PTQ_BENCH_C4  a model folder, its calibration text, and the two texts it is measured
#                      on; without them the bundled model with its own texts. The table calls a model by the name of its folder.
#                      PTQ_BENCH_DATA alone: the bundled model with another text
#   PTQ_BENCH_TOKENS   calibration tokens of a cell (32768; another model than the bundled one: 16384)
#   PTQ_BENCH_LENGTH   tokens of a sequence where a method does not say (2048)
#   PTQ_BENCH_PRODUCTS what is multiplied in, by the runs and the measurement alike (f32)
#   PTQ_BENCH_WINDOWS  windows of the first text (6; the bundled model: all)
#   PTQ_BENCH_METHODS  only these methods, PTQ_BENCH_GRIDS: at these grids (all; with PTQ_BENCH_METHODS w4-g64 too)
#   PTQ_BENCH_CELLS    only cells whose name fits one of these patterns of a shell, as 'w3-*' or '*-gptq-s[12]'
#   PTQ_BENCH_SEEDS    how many seeds (3)
#   PTQ_BENCH_SECONDS  start no cell after so many seconds (0: go on to the end)
#   PTQ_BENCH_OLD      keep: cells of older solvers count as done
#   PTQ_BENCH_RESULTS  folder of the results (ops/studies/methods)
#   PTQ_BENCH_TABLE    the table (ops/studies/methods.md)
# MaCa at its published budget (the bundled text is too short for it; like that one, this is the model's own):
#   bin/ptq generate --model pipelines/demo/tale-qwen3 --count 1100 --max-tokens 511 --ignore-eos --ids --batch 64 --out own.jsonl
#   PTQ_BENCH_DATA=own.jsonl PTQ_BENCH_TOKENS=524288 PTQ_BENCH_CELLS='w[34]-g64-gptq-s* w[34]-g64-gptq-mix-s* w[34]-g64-maca-s*' make bench-methods
set -eu
bin=$(cd "$1" && pwd)
here=ops/studies
tale=pipelines/demo/tale-qwen3
results=${PTQ_BENCH_RESULTS:-$here/methods}
lengths=256,512,1024,2048,4096
holdout=8
best=gptq,gptaq,qep+gptq
if [ -n "${PTQ_BENCH_MODEL:-}" ]; then
    model=${PTQ_BENCH_MODEL%/}
    data=${PTQ_BENCH_DATA:?PTQ_BENCH_MODEL is set: PTQ_BENCH_DATA must name its calibration text}
    wiki=${PTQ_BENCH_WIKI:?PTQ_BENCH_MODEL is set: PTQ_BENCH_WIKI must name a text to measure it on}
    c4=${PTQ_BENCH_C4:-}
    tokens=${PTQ_BENCH_TOKENS:-16384}
    window=2048 windows_wiki=${PTQ_BENCH_WINDOWS:-6} windows_c4=4
else
    model=$tale data=${PTQ_BENCH_DATA:-$tale/calib.jsonl} wiki=$tale/eval.jsonl c4=
    tokens=${PTQ_BENCH_TOKENS:-32768}
    window=1024 windows_wiki=${PTQ_BENCH_WINDOWS:-0} windows_c4=0
fi
length=${PTQ_BENCH_LENGTH:-2048}
seeds=${PTQ_BENCH_SEEDS:-3}
seconds=${PTQ_BENCH_SECONDS:-0}
products=${PTQ_BENCH_PRODUCTS:-f32}
name=$(basename "$model")
cells=$results/$name-$tokens.jsonl
began=$(date +%s)

every='rtn gptq maca gptaq maca+gptaq qep+gptq qronos rescomp foem rotated rsq best'
methods=${PTQ_BENCH_METHODS:-$every}
study='gptq-128 gptq-256 gptq-512 gptq-512w gptq-1024 gptq gptq-4096 gptq-mix maca
    gptq-128-first0.0625 gptq-first16 gptq-128-first0 gptq-first0 maca-first0.3'
targets='qep+gptq qronos' # that are measured at this grid too, for best.md
answer='gptq-128 gptq gptq-128-first0.0625 gptq-first16 maca maca-first0.3' # of the study what lengths.md rests on

mkdir -p "$results" build/bench
[ -f "$cells" ] || : >"$cells"
work=$(mktemp -d build/bench/cell.XXXXXX)
child=
finish() {
    [ -z "$child" ] || kill "$child" 2>/dev/null || :
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 111' INT TERM HUP

digest() { # FILE...: of their bytes
    cat "$@" | sha256sum | cut -c 1-16
}
model_digest=$(digest "$model"/config.json "$model"/*.safetensors)
data_digest=$(digest "$data")
eval_digest=$(digest "$wiki" ${c4:+"$c4"})
# What decides a solution: the solvers, the defaults of their options and the recipe; not how problems come and go.
defaults=$("$bin/ptq" solve --help | awk '/^  --/ { print "" } { printf "%s ", $0 }' | tr -s " " |
    sed -nE 's/^ *--(grid|fit|scales|refine|order|groups|damp|dead|alpha2?|beta|pull|qep-alpha|p-source|scale-type) .*\(default ([^)]*)\).*/\1 \2/p')
code_digest=$({
    find stages/solve -name 'solve*_*.c' ! -name '*_list.c' ! -name '*_main.c' ! -name '*_opts.c' | LC_ALL=C sort | xargs cat "$here/methods.pipe"
    echo "$defaults"
} | sha256sum | cut -c 1-16)
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
cpu=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)

bits_of() { # GRID
    case $1 in w4-*) echo 4 ;; w3-*) echo 3 ;; w2-*) echo 2 ;; esac
}
group_of() { # GRID
    case $1 in *-channel) echo -1 ;; *) echo 64 ;; esac
}
options_of() { # METHOD: the recipe's variables
    case $1 in
    *-first*) echo "$(options_of "${1%-first*}") --first-weight ${1##*-first}" ;;
    rtn | gptq | foem) echo "--solver $1 --length $length" ;;
    gptaq | qronos | rescomp | qep+gptq) echo "--solver $1 --set dual=--dual --length $length" ;;
    maca) echo "--solver gptq --lengths $lengths --weights length" ;;
    maca+gptaq) echo "--solver gptaq --set dual=--dual --lengths $lengths --weights length" ;;
    rotated) echo "--solver gptq --length $length" ;;
    rsq) echo "--solver gptq --token-weights attention --length $length" ;;
    best) echo "--solver best:$best --holdout $holdout --refit yes --set dual=--dual --length $length" ;;
    gptq-mix) echo "--solver gptq --lengths $lengths" ;;
    gptq-512w) echo "--solver gptq --length 512 --weights length" ;;
    gptq-*) echo "--solver gptq --length ${1#gptq-}" ;;
    esac
}
cells_of() { # SEED: its cells in the order of their turn: GRID METHOD SEED
    for grid in ${PTQ_BENCH_GRIDS:-w3-g64 w4-channel w2-g64${PTQ_BENCH_METHODS:+ w4-g64}}; do
        for method in $(leading "$grid" "$1"); do
            echo "$grid $method $1"
        done
    done
    [ -z "${PTQ_BENCH_METHODS:-}" ] || return 0
    rows=$answer
    [ "$1" != 1 ] && [ "$model" != $tale ] || rows=$study
    for grid in w3-g64 w4-g64; do
        for method in $rows; do
            case $method-$1 in gptq-512w-[!1]) continue ;; esac
            echo "$grid $method $1"
        done
        [ $grid != w4-g64 ] || for method in $targets; do
            echo "$grid $method $1"
        done
    done
}
# A large model has only its leading methods measured with more than one seed: gptq, the three with the least divergence, and beside best the best
# of its members; of rows of other lengths those of $answer.
# Rounding to nearest does not depend on the seed.
leading() { # GRID SEED
    if [ "$2" = 1 ]; then
        echo "$methods"
    elif [ "$model" = $tale ]; then
        echo "$methods" | tr ' ' '\n' | grep -vx rtn
    else
        echo gptq
        jq -rs --arg best $best --arg grid "$1" 'map(select(.grid == $grid and .seed == 1 and .in_table and .method != "gptq" and .method != "rtn")) |
            sort_by(.wiki.kld) | map(.method) | .[:3] as $first | ($best | split(",")) as $members |
            $first + if $first | index("best") then [ .[] | select(. as $m | $members | index($m)) ][:1] else [] end | unique[]' "$cells"
    fi
}

# The seed shuffles the documents (Park and Miller's generator, so the same everywhere); a .txt is one document and stays.
shuffled() { # SEED: the file of the calibration text in the order of this seed
    case $data in *.jsonl) ;; *) echo "$data"; return ;; esac
    file=$work/calib-$1.jsonl
    [ -f "$file" ] || jq -nRr --argjson seed "$1" '[ inputs ] as $lines |
        [ limit(($lines | length) + 9; $seed * 65539 | recurse(. * 16807 % 2147483647)) ][9:] as $keys |
        [ range($lines | length) ] | sort_by($keys[.]) | .[] | $lines[.]' "$data" >"$file"
    echo "$file"
}
rotated_model() { # SEED: the folder of the rotated model, made once
    dir=$work/rotated-$1
    [ -d "$dir" ] || "$bin/ptq" rotate --model "$model" --dtype f32 --seed "$1" --quiet "$dir"
    echo "$dir"
}
measure() { # CHECKPOINT TEXT WINDOWS: JSON
    "$bin/ptq" eval --model "$1" --data "$2" --products "$products" --ref "$model" --ref-states "$work/states-$(basename "$2").safetensors" --window $window --max-windows "$3" --json --verbose 2>"$work/said" >"$work/eval.json" &
    child=$!
    wait $child || { child=; return 1; }
    child=
    cat "$work/eval.json"
}
run_cell() { # GRID METHOD SEED KEY: one cell, or a failed one; prints nothing
    from=$model
    case $2 in rotated | rsq) from=$(rotated_model "$3") ;; esac
    rm -rf "$work/out"
    # shellcheck disable=SC2046 # the options are words
    "$bin/ptq" run "$here/methods.pipe" --model "$from" --data "$(shuffled "$3")" --out "$work/out" --tokens "$tokens" --seed "$3" \
        --bits "$(bits_of "$1")" --group "$(group_of "$1")" --products "$products" $(options_of "$2") >"$work/said" 2>&1 &
    child=$!
    wait $child || { child=; return 1; }
    child=
    measure "$work/out" "$wiki" $windows_wiki >"$work/wiki.json" || return 1
    kernel=$(grep -o 'openblas/.*' "$work/said" | head -n 1)
    echo null >"$work/c4.json"
    [ -z "$c4" ] || measure "$work/out" "$c4" $windows_c4 >"$work/c4.json" || return 1
    case " $every " in *" $2 "*) in_table=true ;; *) in_table=false ;; esac
    jq -n --arg model "$name" --arg grid "$1" --argjson bits "$(bits_of "$1")" --argjson group "$(group_of "$1")" --arg method "$2" \
        --argjson seed "$3" --argjson tokens "$tokens" --arg options "$(options_of "$2")" --argjson in_table $in_table --arg key "$4" \
        --arg code "$code_digest" --arg commit "$commit" --arg cpu "$cpu" --arg kernel "$kernel" --argjson length "$length" --arg products "$products" \
        --slurpfile run "$work/out/.ptqflow/run.json" --slurpfile journal "$work/out/.ptqflow/journal.jsonl" \
        --slurpfile wiki "$work/wiki.json" --slurpfile c4 "$work/c4.json" -f "$here/cell.jq" >"$work/cell.json"
}

cell_get() { # GRID METHOD SEED: the line of this cell; nothing where it is not made
    jq -c --arg grid "$1" --arg method "$2" --argjson seed "$3" 'select(.grid == $grid and .method == $method and .seed == $seed)' "$cells"
}
cell_put() { # $work/cell.json among the cells, in place of the one made before
    (
        flock 9
        jq -cs 'last as $new | (.[:-1] | map(select([.grid, .method, .seed] != ($new | [.grid, .method, .seed])))) + [$new] |
            sort_by(.grid, .method, .seed)[]' "$cells" "$work/cell.json" >"$work/cells.new"
        mv "$work/cells.new" "$cells"
    ) 9<"$results"
}

turn() { # GRID METHOD SEED: does the cell unless it is done
    cell=$1-$2-s$3
    key=$({
        printf '%s\n' "$(options_of "$2")" "$1" "$3" "$tokens" "$window" "$windows_wiki" "$windows_c4" "$model_digest" "$data_digest" "$eval_digest"
        [ "$products" = f32 ] || echo "$products"
    } | sha256sum | cut -c 1-16)
    if [ -n "${PTQ_BENCH_CELLS:-}" ]; then
        fits=
        set -f
        for pattern in $PTQ_BENCH_CELLS; do
            # shellcheck disable=SC2254 # a pattern it is
            case $cell in $pattern) fits=yes ;; esac
        done
        set +f
        [ -n "$fits" ] || return 0
    fi
    made=$(cell_get "$1" "$2" "$3" | jq -r '"\(.key) \(.code)"')
    [ "${made% *}" != "$key" ] || { [ "${PTQ_BENCH_OLD:-}" != keep ] && [ "${made#* }" != "$code_digest" ]; } || return 0
    now=$(($(date +%s) - began))
    [ "$seconds" = 0 ] || [ $now -lt "$seconds" ] || { stopped=yes; return 0; }
    if run_cell "$1" "$2" "$3" "$key"; then
        cell_put
        jq -r --arg at "$now" '"\($at) s: \(.model) \(.grid) \(.method) seed \(.seed): perplexity \(.wiki.perplexity), KL \(.wiki.kld)"' "$work/cell.json" >&2
    else
        jq -n --arg model "$name" --arg grid "$1" --arg method "$2" --argjson seed "$3" --argjson tokens "$tokens" \
            --arg failed "$(tail -n 1 "$work/said")" '$ARGS.named + { key: "", code: "" }' >"$work/cell.json"
        cell_put
        echo "$now s: $name $cell failed: $(tail -n 1 "$work/said")" >&2
    fi
}

stopped=
seed=1
while [ "$seed" -le "$seeds" ] && [ -z "$stopped" ]; do
    cells_of $seed >"$work/cells"
    while read -r grid method turn_seed; do
        [ -n "$stopped" ] || turn "$grid" "$method" "$turn_seed" </dev/null
    done <"$work/cells"
    seed=$((seed + 1))
done
[ -z "$stopped" ] || echo "stopped after $(($(date +%s) - began)) s; the same command goes on" >&2
cat "$results"/*.jsonl | jq -rs --arg methods "$every" --arg study "$study" --arg best "$best" -f "$here/methods.jq" >"$work/methods.md"
mv "$work/methods.md" "${PTQ_BENCH_TABLE:-$here/methods.md}"
