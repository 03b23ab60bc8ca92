#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# vlm.sh BIN - what calibration with images is worth to a vision-language model: bits and groups against what the Hessians are made of.
# Needs jq. A cell is one grid, method and seed: quantize, then answer the questions. It becomes one line of ops/studies/vlm/cells.jsonl
# when it is done, and stays as long as model, data and budget are the same; vlm.jq makes tests/bench/vlm.md of the cells there are and
# says which are missing. The command may be stopped and given again at any time.
#   PTQ_SHARED         folder of the data (../shared): data/shapes-vlm, and data/text-tinystories, the text that calibrates without images
#   PTQ_BENCH_TOKENS   calibration tokens of a cell (8192)
#   PTQ_BENCH_SEEDS    how many seeds (3); the seed chooses the chats, or the places of the text
#   PTQ_BENCH_SECONDS  start no cell after so many seconds (0: go on to the end)
#   PTQ_BENCH_RESULTS  folder of the cells (ops/studies/vlm)
#   PTQ_BENCH_TABLE    the table (tests/bench/vlm.md)
# One pass of each kind of data and seed serves all grids and mixes: the model is run unquantized, its sums are kept, and each cell solves
# them with other options. So a site does not see what the sites before it lost, in no method; the order of the methods is the same.
set -eu
bin=$(cd "$1" && pwd)
here=ops/studies
shapes=${PTQ_SHARED:-../shared}/data/shapes-vlm
prose=${PTQ_SHARED:-../shared}/data/text-tinystories/tinystories_sample.txt
results=${PTQ_BENCH_RESULTS:-$here/vlm}
tokens=${PTQ_BENCH_TOKENS:-8192}
seeds=${PTQ_BENCH_SEEDS:-3}
seconds=${PTQ_BENCH_SECONDS:-0}
cells=$results/cells.jsonl
began=$(date +%s)
grids='w3-g64 w2-g64 w3-channel w2-channel w4-g64 w4-channel'
methods='rtn text words images image-0.1 image-0.3 image-3 mbq attention'

for needed in "$shapes/model.safetensors" "$prose"; do
    [ -f "$needed" ] || { echo "vlm.sh: there is no '$needed': PTQ_SHARED names the folder of the data" >&2; exit 100; }
done
mkdir -p "$results" build/bench
[ -f "$cells" ] || : >"$cells"
work=$(mktemp -d build/bench/vlm.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 111' INT TERM HUP
key=$(cat "$shapes/model.safetensors" "$shapes/calib/calib.jsonl" "$shapes/eval/eval.jsonl" "$prose" | sha256sum | cut -c 1-16)-$tokens
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)

cpu() { # COMMAND...: runs it, and leaves the CPU seconds of it and its children in $work/cpu
    times >"$work/before" # of this shell: a pipe would show those of its own
    "$@" || return 1
    times >"$work/after"
    tail -qn 1 "$work/before" "$work/after" | tr 'ms' '  ' |
        awk '{ s = $1 * 60 + $2 + $3 * 60 + $4; d = NR == 1 ? s : s - d } END { printf "%.2f", d }' >"$work/cpu"
}
# The seed shuffles the chats (Park and Miller's generator, so the same everywhere).
shuffled() { # SEED
    [ -f "$work/chats-$1.jsonl" ] || jq -nRr --argjson seed "$1" --arg from "$(cd "$shapes" && pwd)/calib/" '[ inputs ] as $lines |
        [ limit(($lines | length) + 9; $seed * 65539 | recurse(. * 16807 % 2147483647)) ][9:] as $keys |
        [ range($lines | length) ] | sort_by($keys[.]) | .[] | $lines[.] | gsub("\"path\": \""; "\"path\": \"" + $from)' \
        "$shapes/calib/calib.jsonl" >"$work/chats-$1.jsonl"
    echo "$work/chats-$1.jsonl"
}
sample() { # KIND SEED
    case $1 in
    text) "$bin/ptq" sample --quiet --model "$shapes" --tokens "$tokens" --seed "$2" --data "$prose" --mode crops --length 256 ;;
    *) "$bin/ptq" sample --quiet --model "$shapes" --tokens "$tokens" --seed "$2" --data "$(shuffled "$2")" ;;
    esac
}
weigh() { # KIND
    case $1 in
    images) "$bin/ptq" importance --quiet --model "$shapes" --method mbq --give ratios ;;
    *) cat ;;
    esac
}
forward() { # KIND
    case $1 in attention) set -- --token-weights attention ;; *) set -- ;; esac
    "$bin/ptq" forward --quiet --model "$shapes" --inputs full "$@"
}
record() { # KIND SEED: the sums of a kind of data, made once
    [ -f "$work/$1-$2.ptq" ] && return 0
    rm -f "$work"/"$1"-*.ptq
    sample "$1" "$2" | weigh "$1" | forward "$1" | "$bin/ptq" reduce --quiet --classes modality --out "$work/$1-$2.new" &&
        mv "$work/$1-$2.new" "$work/$1-$2.ptq"
}
kind_of() { # METHOD: of data
    case $1 in text | attention) echo "$1" ;; *) echo images ;; esac
}
options_of() { # METHOD: of the solver
    case $1 in
    rtn) echo "--solver rtn" ;;
    words) echo "--solver gptq --mix text=1,image=0" ;;
    image-*) echo "--solver gptq --mix text=1,image=${1#image-}" ;;
    mbq) echo "--solver gptq --mix auto" ;;
    *) echo "--solver gptq" ;;
    esac
}
group_of() { # GRID
    case $1 in *-channel) echo -1 ;; *) echo 64 ;; esac
}
run_cell() { # GRID METHOD SEED
    bits=${1#w} bits=${bits%%-*}
    record "$(kind_of "$2")" "$3" || return 1
    rm -rf "$work/out"
    # shellcheck disable=SC2046 # the options are words
    "$bin/ptq" resolve --quiet --model "$shapes" --problems "$work/$(kind_of "$2")-$3.ptq" --out "$work/out" --format dense \
        --bits "$bits" --group "$(group_of "$1")" $(options_of "$2") 2>"$work/said" || return 1
    "$bin/ptq" eval --quiet --model "$work/out" --data "$shapes/eval/eval.jsonl" --answers --ref "$shapes" \
        --ref-states "$work/states.safetensors" --json 2>"$work/said" >"$work/eval.json"
}
write_cell() { # GRID METHOD SEED
    jq -n --arg grid "$1" --arg method "$2" --argjson seed "$3" --argjson tokens "$tokens" --arg key "$key" --arg commit "$commit" \
        --argjson cpu_seconds "$(cat "$work/cpu")" --slurpfile eval "$work/eval.json" \
        --slurpfile sites "$work/out/.ptqflow/journal.jsonl" '
        [ $sites[] | select(.record == "site") ] as $sites |
        def sum_of(name): [ $sites[].classes[]? | select(.name == name) ];
        $ARGS.named | del(.eval, .sites) + {
            exact: $eval[0].exact_match, exact_se: $eval[0].exact_match_se, logprob: $eval[0].answer_logprob,
            logprob_se: $eval[0].answer_logprob_se, kld: $eval[0].kld_mean, kld_se: $eval[0].kld_mean_se, questions: $eval[0].windows,
            text_tokens: (sum_of("text")[0].tokens // 0), image_tokens: (sum_of("image")[0].tokens // 0) }' >"$work/cell.json"
}
turn() { # GRID METHOD SEED: does the cell unless it is done
    [ "$(jq -r --arg g "$1" --arg m "$2" --argjson s "$3" 'select(.grid == $g and .method == $m and .seed == $s) | .key' "$cells")" != "$key" ] || return 0
    now=$(($(date +%s) - began))
    [ "$seconds" = 0 ] || [ $now -lt "$seconds" ] || { stopped=yes; return 0; }
    cpu run_cell "$@" || { echo "vlm.sh: $1 $2 seed $3: $(tail -n 1 "$work/said")" >&2; exit 1; }
    write_cell "$@"
    jq -cs 'last as $new | (.[:-1] | map(select([.grid, .method, .seed] != ($new | [.grid, .method, .seed])))) + [$new] |
        sort_by(.grid, .method, .seed)[]' "$cells" "$work/cell.json" >"$work/cells.new"
    mv "$work/cells.new" "$cells"
    jq -r --arg at "$now" '"\($at) s: \(.grid) \(.method) seed \(.seed): right \(.exact), log-likelihood \(.logprob), KL \(.kld)"' "$work/cell.json" >&2
}

stopped=
seed=1
while [ "$seed" -le "$seeds" ] && [ -z "$stopped" ]; do
    for grid in $grids; do
        for method in $methods; do
            case $method-$seed in rtn-[!1]*) continue ;; esac # it does not depend on data
            [ -n "$stopped" ] || turn "$grid" "$method" "$seed"
        done
    done
    seed=$((seed + 1))
done
[ -z "$stopped" ] || echo "stopped after $(($(date +%s) - began)) s; the same command goes on" >&2
jq -rs --arg grids "$grids" --arg methods "$methods" --arg seeds "$seeds" --rawfile says "$here/vlm/says.md" -f "$here/vlm.jq" "$cells" >"$work/vlm.md"
mv "$work/vlm.md" "${PTQ_BENCH_TABLE:-tests/bench/vlm.md}"
