#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# slide.sh BIN OUT [CELL...] - what windows that learn make of the small model that lies in pipelines/demo, beside rtn and gptq with the same
# calibration tokens: perplexity and KL divergence on text that was not calibrated with, as a table. Needs jq.
# A cell is METHOD-wBITS or METHOD-wBITSaBITS, with inputs of so many bits while it is made and measured; a scale for each row. Cells that are there are not made again: the command may be stopped and given again.
#   rtn gptq        without gradients, the grids of slide
#   slide           growing, fixed and shrinking windows
#   fixed           fixed windows alone
#   half            slide, the first half of each window's steps rounds half of the inputs
#   alpha sweeps    slide with channel scales, which the norms take over; half, in two sweeps over all windows
#   norank noclip   slide without the low-rank terms, without learned shares of the ranges
#   PTQ_SLIDE_TOKENS (4096)  PTQ_SLIDE_LENGTH (256)  PTQ_SLIDE_EPOCHS (4)  PTQ_SLIDE_BATCH (1)  PTQ_SLIDE_WINDOWS (32)
set -eu
[ $# -ge 2 ] || { sed -n '3,11s/^# \{0,1\}//p' "$0" >&2; exit 100; }
bin=$(cd "$1" && pwd) out=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
recipes=$here/../../pipelines model=$here/../../pipelines/demo/tale-qwen3
tokens=${PTQ_SLIDE_TOKENS:-4096} length=${PTQ_SLIDE_LENGTH:-256} epochs=${PTQ_SLIDE_EPOCHS:-4}
[ $# -gt 0 ] || set -- rtn-w2 gptq-w2 slide-w2 fixed-w2 half-w2 norank-w2 noclip-w2 rtn-w3 gptq-w3 slide-w3 rtn-w4 gptq-w4 slide-w4
mkdir -p "$out"

run() { # FOLDER BITS MORE...: the stages in a pipe, on one thread: steps are small
    folder=$1 bits=$2
    shift 2
    "$bin/ptq-sample" --model "$model" --data "$model/calib.jsonl" --tokens "$tokens" --length "$length" --seed 1 --quiet |
        "$bin/ptq-slide" --model "$model" --bits "$bits" --epochs "$epochs" --batch "${PTQ_SLIDE_BATCH:-1}" --threads 1 --act-bits "$act" --quiet "$@" |
        "$bin/ptq-write" --model "$model" --format dense --overwrite --quiet "$folder"
}
make_cell() { # METHOD BITS FOLDER
    case $1 in
    rtn | gptq)
        [ "$act" = 0 ] || set -- "$@" --act-bits "$act"
        method=$1 bits=$2 folder=$3
        shift 3
        "$bin/ptq" run "$recipes/gptq.pipe" --model "$model" --data "$model/calib.jsonl" --out "$folder" --overwrite --tokens "$tokens" \
            --length "$length" --seed 1 --solver "$method" --bits "$bits" --group -1 --grid asym --format dense --quiet "$@"
        ;;
    slide) run "$3" "$2" ;;
    fixed) run "$3" "$2" --shallow 0 --deep 0 ;;
    half) run "$3" "$2" --first-share 0.5 ;;
    alpha) run "$3" "$2" --alpha yes ;;
    sweeps) run "$3" "$2" --first-share 0.5 --sweeps 2 ;;
    norank) run "$3" "$2" --rank 0 ;;
    noclip) run "$3" "$2" --clip no ;;
    *)
        echo "slide.sh: there is no method '$1'" >&2
        exit 100
        ;;
    esac
}

for cell in "$@"; do
    folder=$out/$cell wide=${cell#*-w} act=0
    case $wide in *a*) act=${wide#*a} ;; esac
    [ ! -s "$folder.json" ] || continue
    times >"$out/times"
    make_cell "${cell%-w*}" "${wide%a*}" "$folder"
    times >>"$out/times" # the second line of each: of all children so far
    seconds=$(awk -F '[ms ]+' 'NR % 2 == 0 { s = $1 * 60 + $2 + $3 * 60 + $4 - s } END { printf "%.0f", s }' "$out/times")
    "$bin/ptq" eval --model "$folder" --ref "$model" --data "$model/eval.jsonl" --window "$length" --max-windows "${PTQ_SLIDE_WINDOWS:-32}" --act-bits "$act" \
        --quiet --json | jq -c ". + {cell: \"$cell\", seconds: $seconds}" >"$folder.part"
    mv "$folder.part" "$folder.json"
done

echo "| cell | perplexity | KL divergence | same top token | CPU seconds |"
echo "| --- | --- | --- | --- | --- |"
for cell in "$@"; do
    jq -r '"| \(.cell) | \(.perplexity * 100 | round / 100) | \(.kld_mean * 10000 | round / 10000) | \(.top1_agree * 1000 | round / 10) % | \(.seconds) |"' \
        "$out/$cell.json"
done
jq -r '"\nThe model itself: perplexity \(.ref_perplexity * 100 | round / 100)."' "$out/$1.json"
