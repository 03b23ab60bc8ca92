#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# vlm.sh BIN - what calibration with images is worth to a vision-language model: bits and groups against what the Hessians are made of.
# Needs jq. Cells are made by shapes.sh; vlm.jq makes tests/bench/vlm.md of those there are and says which are missing. The command may be stopped and given again at any time.
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
name=vlm
shapes=${PTQ_SHARED:-../shared}/data/shapes-vlm
prose=${PTQ_SHARED:-../shared}/data/text-tinystories/tinystories_sample.txt
results=${PTQ_BENCH_RESULTS:-$here/vlm}
tokens=${PTQ_BENCH_TOKENS:-8192}
seeds=${PTQ_BENCH_SEEDS:-3}
seconds=${PTQ_BENCH_SECONDS:-0}
grids='w3-g64 w2-g64 w3-channel w2-channel w4-g64 w4-channel'
methods='rtn text words images image-0.1 image-0.3 image-3 mbq attention'

. "$here/shapes.sh"

needs "$shapes/model.safetensors" "$prose"
key=$(cat "$shapes/model.safetensors" "$shapes/calib/calib.jsonl" "$shapes/eval/eval.jsonl" "$prose" | sha256sum | cut -c 1-16)-$tokens

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
    evaluate
}
each_cell "$grids" "$methods" "$seeds" rtn
jq -rs -L "$here" --arg grids "$grids" --arg methods "$methods" --arg seeds "$seeds" --rawfile says "$here/vlm/says.md" -f "$here/vlm.jq" "$cells" >"$work/vlm.md"
mv "$work/vlm.md" "${PTQ_BENCH_TABLE:-tests/bench/vlm.md}"
