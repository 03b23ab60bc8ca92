#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# equalise.sh BIN OUT MODEL=CALIB=EVAL... - does it help to weigh classes of rows so that each loses the same share of its own output
# (ptq-solve --equalise), against fixed weights? Needs jq. Each MODEL is a folder, CALIB its calibration text, EVAL the text it is measured on.
# A cell (model, width, way, seed) is a line of OUT/cells.jsonl when it is done and is not done again: the command may be stopped and given
# again. OUT/equalise.md is the table.
#   PTQ_EQUAL_WAYS (all; plain first16 first position lengths maca length)  PTQ_EQUAL_BITS (3 4)  PTQ_EQUAL_SEEDS (1 2 3)  PTQ_EQUAL_TOKENS (16384)  PTQ_EQUAL_LENGTH (512)  PTQ_EQUAL_LENGTHS (64,128,256,512)  PTQ_EQUAL_WINDOWS (32)
#   PTQ_EQUAL_PRODUCTS (f32: what runs and measurement multiply in)
# A model with a token that attention rests on, 30 to 50 CPU seconds a cell on cores with AMX:
#   PTQ_EQUAL_WAYS='plain first16 first' PTQ_EQUAL_BITS=4 PTQ_EQUAL_TOKENS=2048 PTQ_EQUAL_WINDOWS=2 PTQ_EQUAL_PRODUCTS=bf16 \
#   sh ops/studies/equalise.sh bin out SmolLM2-135M-Instruct-Q4_1=c4-128x512.jsonl=wikitext2-test-6x2048.jsonl
set -eu
[ $# -ge 3 ] || { sed -n '3,11s/^# \{0,1\}//p' "$0" >&2; exit 100; }
ptq=$(cd "$1" && pwd)/ptq out=$2
shift 2
products=${PTQ_EQUAL_PRODUCTS:-f32} length=${PTQ_EQUAL_LENGTH:-512} lengths=${PTQ_EQUAL_LENGTHS:-64,128,256,512}
mkdir -p "$out"
[ -f "$out/cells.jsonl" ] || : >"$out/cells.jsonl"

options_of() { # WAY
    case $1 in
    plain) echo "--length $length" ;;
    first16) echo "--length $length --first-weight 16" ;;
    first) echo "--length $length --classes position --equalise first" ;;
    position) echo "--length $length --classes position --equalise position" ;;
    lengths) echo "--lengths $lengths --short join" ;;
    maca) echo "--lengths $lengths --short join --weights length" ;;
    length) echo "--lengths $lengths --short join --classes length --equalise length" ;;
    esac
}
cell() { # BITS WAY SEED
    [ -z "$(jq --arg model "$name" --argjson bits "$1" --arg way "$2" --argjson seed "$3" \
        'select(.model == $model and .bits == $bits and .way == $way and .seed == $seed)' "$out/cells.jsonl")" ] || return 0
    # shellcheck disable=SC2046 # the options are words
    "$ptq" run gptq --model "$model" --data "$calib" --out "$out/run" --overwrite --format dense --bits "$1" --group 64 --seed "$3" --mode crops --short join \
        --products "$products" --tokens "${PTQ_EQUAL_TOKENS:-16384}" $(options_of "$2" | sed 's/ --short join//') --quiet
    "$ptq" eval --model "$out/run" --ref "$model" --data "$text" --window "$length" --max-windows "${PTQ_EQUAL_WINDOWS:-32}" \
        --products "$products" --ref-states "$out/$name.states" --json --quiet >"$out/eval.json"
    jq -c --arg model "$name" --argjson bits "$1" --arg way "$2" --argjson seed "$3" '{ $model, $bits, $way, $seed, kld: .kld_mean, se: .kld_mean_se, dnll }' \
        "$out/eval.json" >>"$out/cells.jsonl"
}

for seed in ${PTQ_EQUAL_SEEDS:-1 2 3}; do
    for job in "$@"; do
        model=${job%%=*} rest=${job#*=}
        calib=${rest%%=*} text=${rest#*=} name=$(basename "$model")
        for bits in ${PTQ_EQUAL_BITS:-3 4}; do
            for way in ${PTQ_EQUAL_WAYS:-plain first16 first position lengths maca length}; do
                cell "$bits" "$way" "$seed"
            done
        done
    done
done
jq -rs 'def mean: add / length;
    def sd: mean as $m | if length < 2 then null else (map((. - $m) * (. - $m)) | add / (length - 1) | sqrt) end;
    def short: if . == null then "" else . * 1e5 | round / 1e5 | tostring end;
    { plain: "rows of one length", first16: "first token times 16", first: "**equalised: first token, others**", position: "**equalised: bands of positions**",
      lengths: "rows of several lengths", maca: "the same, 1/L (MaCa)", length: "**the same, lengths equalised**" } as $says |
    "# Classes of rows that lose alike", "",
    "Made by `ops/studies/equalise.sh`, which says what it can be told; do not edit. gptq, groups of 64; KL from the unquantized model, nats a token, in",
    "brackets the standard deviation over the seeds.", "",
    "| model | bits | weights | KL | against its base | seeds |", "|---|---|---|---|---|---|",
    (group_by([.model, .bits])[] | . as $all | ("plain", "first16", "first", "position", "lengths", "maca", "length") as $way |
        ($all | map(select(.way == $way))) as $here | select($here | length > 0) |
        ($all | map(select(.way == (if $way | IN("lengths", "maca", "length") then "lengths" else "plain" end)) | .kld)) as $base |
        "| \($here[0].model) | \($here[0].bits) | \($says[$way]) | \($here | map(.kld) | mean | short)\($here | map(.kld) | sd | if . == null then "" else " (\(short))" end) | " +
        "\(if $base | length > 0 then (($here | map(.kld) | mean) / ($base | mean) * 1000 | round / 1000) else "" end) | \($here | length) |")' "$out/cells.jsonl" >"$out/equalise.md"
cat "$out/equalise.md"
