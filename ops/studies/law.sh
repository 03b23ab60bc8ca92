#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# law.sh BIN OUT MODEL=CALIB=EVAL... - points for `ptq law`: what models lose when a share of their parameters is quantized, in blocks of
# several sizes. Needs jq. Each MODEL is a folder, CALIB its calibration text, EVAL the text it is measured on.
# For each model and block size one recording is solved, and for each share the allocator chooses the linears that stay as they are, so
# that the least is lost; a point is the folder OUT/NAME-qbB-qrR with its figures kept. Points that are there are not made again: the
# command may be stopped and given again. OUT/points.jsonl has them all; `ptq law fit OUT/points.jsonl` is the answer.
#   PTQ_LAW_BITS (3)  PTQ_LAW_BLOCKS (16 32 64)  PTQ_LAW_SHARES (.25 .5 .75 1)  PTQ_LAW_SOLVER (gptq)
#   PTQ_LAW_TOKENS (8192)  PTQ_LAW_LENGTH (256)  PTQ_LAW_WINDOWS (32)
set -eu
[ $# -ge 3 ] || { sed -n '3,9s/^# \{0,1\}//p' "$0" >&2; exit 100; }
ptq=$(cd "$1" && pwd)/ptq out=$2
shift 2
bits=${PTQ_LAW_BITS:-3} solver=${PTQ_LAW_SOLVER:-gptq} length=${PTQ_LAW_LENGTH:-256}
mkdir -p "$out"

measure() { # FOLDER MODEL EVAL
    "$ptq" eval --model "$1" --ref "$2" --data "$3" --window "$length" --max-windows "${PTQ_LAW_WINDOWS:-32}" --keep-figures --quiet >/dev/null
}
solve() { # FOLDER MORE...: the recording of this model and block size again
    folder=$1
    shift
    "$ptq" resolve --model "$model" --problems "$out/$name.ptq" --out "$folder" --solver "$solver" --bits "$bits" --group "$block" \
        --overwrite --quiet "$@"
}
point() { # SHARE
    folder=$out/$name-qb$block-qr$1
    [ ! -s "$folder/.ptqflow/eval.jsonl" ] || return 0
    if [ "$1" = 1 ]; then
        solve "$folder"
    else
        # of a weight: its bits, and for a block of them 16 of the scale and as many as a code for the zero point
        target=$(jq -n "$1 * ($bits + (16 + $bits) / $block) + (1 - $1) * 16")
        "$ptq" allocate --keep --protect none --target-bpw "$target" --out "$out/$name.keep" "$out/$name-qb$block-qr1"
        solve "$folder" --overrides "$out/$name.keep"
    fi
    measure "$folder" "$model" "$text"
    echo "$folder"
}

for job in "$@"; do
    model=${job%%=*} rest=${job#*=}
    calib=${rest%%=*} text=${rest#*=} name=$(basename "$model")
    [ -s "$out/$name.ptq" ] ||
        "$ptq" run gptq --model "$model" --data "$calib" --out "$out/$name.first" --overwrite --tokens "${PTQ_LAW_TOKENS:-8192}" \
            --length "$length" --solver rtn --bits 8 --group -1 --record "$out/$name.ptq" --quiet
    for block in ${PTQ_LAW_BLOCKS:-16 32 64}; do
        for share in 1 ${PTQ_LAW_SHARES:-.25 .5 .75}; do
            point "$share"
        done
    done
done
for folder in "$out"/*-qb*-qr*; do
    "$ptq" law points "$folder"
done >"$out/points.jsonl"
"$ptq" law fit "$out/points.jsonl"
