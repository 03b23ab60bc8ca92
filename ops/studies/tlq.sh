#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tlq.sh BIN - which tokens count: weights of tokens from gradients (TLQ, VLMQ, MBQ), from attention, and none, on a vision-language model.
# Needs jq. Cells are made by shapes.sh; tlq.jq makes tests/bench/tlq.md of those there are and says which are missing. The command may be
# stopped and given again at any time.
#   PTQ_SHARED         folder of the data (../shared): data/shapes-vlm
#   PTQ_BENCH_TOKENS   calibration tokens of a cell (8192)
#   PTQ_BENCH_SEEDS    how many seeds (3); the seed chooses the chats
#   PTQ_BENCH_SECONDS  start no cell after so many seconds (0: go on to the end)
#   PTQ_BENCH_RESULTS  folder of the cells (ops/studies/tlq)
#   PTQ_BENCH_TABLE    the table (tests/bench/tlq.md)
# Each cell is a run of its own: a site sees what the sites before it lost, and with w4a8 what rounded activations lose, in calibration as
# in measuring. Grids: asymmetric in groups of 64; w4a8: 4 bits, symmetric, a scale for each row, activations of 8 bits a token.
set -eu
bin=$(cd "$1" && pwd)
here=ops/studies
name=tlq
shapes=${PTQ_SHARED:-../shared}/data/shapes-vlm
results=${PTQ_BENCH_RESULTS:-$here/tlq}
tokens=${PTQ_BENCH_TOKENS:-8192}
seeds=${PTQ_BENCH_SEEDS:-3}
seconds=${PTQ_BENCH_SECONDS:-0}
grids='w3-g64 w2-g64 w4a8'
methods='rtn uniform mbq attention vlmq tlq tlq-0.25 tlq-0.5 tlq-0.75 uniform-target tlq-target'

. "$here/shapes.sh"

needs "$shapes/model.safetensors" "$shapes/calib/calib.jsonl" "$shapes/eval/eval.jsonl"
key=$(cat "$shapes/model.safetensors" "$shapes/calib/calib.jsonl" "$shapes/eval/eval.jsonl" | sha256sum | cut -c 1-16)-$tokens

run_of() { # METHOD: recipe and options
    case $1 in
    rtn) echo "vlm --solver rtn" ;;
    uniform) echo "vlm" ;;
    mbq) echo "vlm-weighted" ;;
    attention) echo "vlm --token-weights attention" ;;
    vlmq) echo "tlq --method vlmq" ;;
    tlq) echo "tlq" ;;
    uniform-target) echo "vlm --dual --solver gptaq" ;;
    tlq-target) echo "tlq --dual --solver gptaq" ;;
    *) echo "tlq --select ${1#tlq-}" ;;
    esac
}
grid_of() { # GRID
    case $1 in
    w4a8) echo "--bits 4 --group -1 --grid sym --act-bits 8" ;;
    *) bits=${1#w} && echo "--bits ${bits%%-*} --group 64" ;;
    esac
}
acts_of() { # GRID: for ptq eval
    case $1 in w4a8) echo "--act-bits 8" ;; esac
}
run_cell() { # GRID METHOD SEED
    rm -rf "$work/out"
    # shellcheck disable=SC2046 # the options are words
    "$bin/ptq" run $(run_of "$2") --quiet --model "$shapes" --data "$(shuffled "$3")" --tokens "$tokens" --seed "$3" --out "$work/out" \
        --format dense $(grid_of "$1") 2>"$work/said" || return 1
    # shellcheck disable=SC2046
    evaluate $(acts_of "$1")
}
each_cell "$grids" "$methods" "$seeds" rtn
jq -rs -L "$here" --arg grids "$grids" --arg methods "$methods" --arg seeds "$seeds" --rawfile says "$here/tlq/says.md" -f "$here/tlq.jq" "$cells" >"$work/tlq.md"
mv "$work/tlq.md" "${PTQ_BENCH_TABLE:-tests/bench/tlq.md}"
