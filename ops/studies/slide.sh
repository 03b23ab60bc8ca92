#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# slide.sh BIN [CELL...] - what windows that learn make of the small model that lies in pipelines/demo, and of a second one, beside rtn, gptq
# and the best of some solvers with the same calibration tokens: perplexity and KL divergence on text that was not calibrated with. Needs jq.
# A cell is MODEL:METHOD-wBITS or MODEL:METHOD-wBITSaBITS; with a: inputs of linears, q, k and v of so many bits while it is made and measured.
# slide.jq makes tests/bench/slide.md of those there are and says which are missing. The command may be stopped and given again at any time.
#   rtn gptq best       without gradients, on the grid of slide: asymmetric, a scale for each row
#   slide               growing, fixed and shrinking windows, the first half of the steps on half of the inputs, channel scales, low rank, clipping
#   fixed intra         fixed windows alone, all inputs from the first step; the same with half of the inputs first
#   grow shrink         intra with growing, with shrinking windows
#   noalpha norank      slide without channel scales, without the low-rank terms
#   final               slide, settled blocks rounded by GPTQ
#   half                slide by products of bf16
#   PTQ_SLIDE_TOKENS (4096)  PTQ_SLIDE_LENGTH (256)  PTQ_SLIDE_EPOCHS (4)  PTQ_SLIDE_WINDOWS (32)  of the small model
#   PTQ_SLIDE_SECOND    folder of the second model, SmolLM2-135M, by `ptq import`; 2048 tokens in rows of 256, 1 pass, 16 windows. None: left out
#   PTQ_BENCH_SECONDS   start no cell after so many seconds (0: go on to the end)
#   PTQ_BENCH_RESULTS   folder of the cells (ops/studies/slide)
#   PTQ_BENCH_TABLE     the table (tests/bench/slide.md)
set -eu
[ $# -ge 1 ] || { sed -n '3,19s/^# \{0,1\}//p' "$0" >&2; exit 100; }
bin=$(cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
recipes=$here/../../pipelines demo=$here/../../pipelines/demo/tale-qwen3 second=${PTQ_SLIDE_SECOND:-}
results=${PTQ_BENCH_RESULTS:-$here/slide} limit=${PTQ_BENCH_SECONDS:-0}
settings='w2 w4a4 w3 w4' methods='rtn gptq best fixed intra grow shrink slide noalpha norank final half'
if [ $# -eq 0 ]; then
    for m in rtn gptq fixed slide half; do
        for s in w2 w4a4; do set -- "$@" "tale-qwen3:$m-$s"; done
    done
    for s in w3 w4; do
        for m in rtn gptq; do set -- "$@" "tale-qwen3:$m-$s"; done
    done
    for s in w2 w4a4; do
        for m in final intra grow shrink noalpha norank best; do set -- "$@" "tale-qwen3:$m-$s"; done
    done
    for s in w3 w4; do
        for m in slide half final best; do set -- "$@" "tale-qwen3:$m-$s"; done
    done
    for s in w3 w4; do
        for m in rtn gptq fixed slide half; do set -- "$@" "smollm2-135m:$m-$s"; done
    done
fi
want=$*
began=$(date +%s)
cells=$results/cells.jsonl
mkdir -p "$results"
[ -f "$cells" ] || : >"$cells"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 111' INT TERM HUP
commit=$(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo unknown)

budget() { # MODEL: what it is made and measured with
    case $1 in
    tale-qwen3)
        model=$demo data=$demo/calib.jsonl eval=$demo/eval.jsonl
        tokens=${PTQ_SLIDE_TOKENS:-4096} length=${PTQ_SLIDE_LENGTH:-256} epochs=${PTQ_SLIDE_EPOCHS:-4} windows=${PTQ_SLIDE_WINDOWS:-32}
        ;;
    smollm2-135m) model=$second data=$demo/calib.jsonl eval=$demo/eval.jsonl tokens=2048 length=256 epochs=1 windows=16 ;;
    *)
        echo "slide.sh: there is no model '$1'" >&2
        exit 100
        ;;
    esac
    key=$tokens-$length-$epochs-$windows
}
learned() { # FOLDER MORE...: in a pipe, on one thread: steps are small
    folder=$1
    shift
    "$bin/ptq-sample" --model "$model" --data "$data" --tokens "$tokens" --length "$length" --seed 1 --quiet |
        "$bin/ptq-slide" --model "$model" --bits "$bits" --epochs "$epochs" --threads 1 --act-bits "$act" --qkv-bits "$act" --quiet "$@" |
        "$bin/ptq-write" --model "$model" --format dense --overwrite --quiet "$folder"
}
solved() { # FOLDER MORE...
    folder=$1
    shift
    "$bin/ptq" run "$recipes/gptq.pipe" --model "$model" --data "$data" --out "$folder" --overwrite --tokens "$tokens" --length "$length" --seed 1 \
        --bits "$bits" --group -1 --grid asym --act-bits "$act" --qkv-bits "$act" --format dense --quiet "$@"
}
make_cell() { # METHOD
    all='--alpha yes --first-share 0.5' out=$work/out
    # shellcheck disable=SC2086 # the options are words
    case $1 in
    rtn | gptq) solved "$out" --solver "$1" ;;
    best) solved "$out" --dual --solver best:gptq,qep+gptq,qronos --holdout 4 --chunk-tokens 512 ;;
    slide) learned "$out" $all ;;
    final) learned "$out" $all --round gptq ;;
    fixed) learned "$out" --alpha yes --shallow 0 --deep 0 ;;
    intra) learned "$out" $all --shallow 0 --deep 0 ;;
    grow) learned "$out" $all --deep 0 ;;
    shrink) learned "$out" $all --shallow 0 ;;
    noalpha) learned "$out" --first-share 0.5 ;;
    half) learned "$out" $all --products bf16 ;;
    norank) learned "$out" $all --rank 0 ;;
    *)
        echo "slide.sh: there is no method '$1'" >&2
        exit 100
        ;;
    esac
}
turn() { # CELL
    name=${1%%:*} method=${1#*:} setting=${1##*-}
    method=${method%-*} bits=${setting#w} act=0
    case $bits in *a*) act=${bits#*a} bits=${bits%a*} ;; esac
    budget "$name"
    [ -n "$model" ] || return 0
    [ "$(jq -r --arg c "$1" 'select("\(.model):\(.method)-\(.setting)" == $c) | .key' "$cells")" != "$key" ] || return 0
    [ "$limit" = 0 ] || [ $(($(date +%s) - began)) -lt "$limit" ] || return 0
    times >"$work/times"
    make_cell "$method"
    times >>"$work/times" # the second line of each: of all children so far
    seconds=$(awk -F '[ms ]+' 'NR % 2 == 0 { s = $1 * 60 + $2 + $3 * 60 + $4 - s } END { printf "%.0f", s }' "$work/times")
    "$bin/ptq" eval --model "$work/out" --ref "$model" --ref-states "$work/$name.states" --data "$eval" --window "$length" --max-windows "$windows" --act-bits "$act" --qkv-bits "$act" \
        --quiet --json >"$work/eval.json"
    jq -n --arg model "$name" --arg method "$method" --arg setting "$setting" --arg key "$key" --arg commit "$commit" --argjson tokens "$tokens" --argjson length "$length" \
        --argjson epochs "$epochs" --argjson windows "$windows" --argjson seconds "$seconds" --slurpfile eval "$work/eval.json" \
        '$ARGS.named | del(.eval) + ($eval[0] | { perplexity, ref_perplexity, kld: .kld_mean, top1: .top1_agree })' >"$work/cell.json"
    jq -cs 'last as $new | (.[:-1] | map(select([.model, .method, .setting] != ($new | [.model, .method, .setting])))) + [$new] | .[]' "$cells" "$work/cell.json" >"$work/cells.new"
    mv "$work/cells.new" "$cells"
    jq -r '"\(.model) \(.method) \(.setting): perplexity \(.perplexity), KL \(.kld), \(.seconds) s"' "$work/cell.json" >&2
}

for cell in $want; do
    turn "$cell"
done
[ -f "$results/says.md" ] || : >"$results/says.md"
jq -rs -L "$here" --arg settings "$settings" --arg methods "$methods" --arg want "$want" --rawfile says "$results/says.md" -f "$here/slide.jq" "$cells" >"$work/slide.md"
cp "$work/slide.md" "${PTQ_BENCH_TABLE:-$here/../../tests/bench/slide.md}"
