#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# law.sh BIN OUT MODEL=CALIB=EVAL... - points for `ptq law`, and the law that fits them: what models lose when a share of their parameters is
# quantized, in blocks of several sizes. Needs jq. Each MODEL is a folder, CALIB its calibration text, EVAL the text it is measured on.
# The points are those of pipelines/sweep, in OUT; those that are there are not made again: the command may be stopped and given again.
# OUT/law.md says what `ptq law fit OUT/points.jsonl` finds.
#   PTQ_LAW_BITS (3)  PTQ_LAW_BLOCKS (16 32 64)  PTQ_LAW_SHARES (.25 .5 .75)  PTQ_LAW_SOLVER (gptq)
#   PTQ_LAW_TOKENS (8192)  PTQ_LAW_LENGTH (256)  PTQ_LAW_WINDOWS (32)
set -eu
[ $# -ge 3 ] || { sed -n '3,8s/^# \{0,1\}//p' "$0" >&2; exit 100; }
here=$(cd "$(dirname "$0")" && pwd)
PATH=$(cd "$1" && pwd):$PATH out=$2
shift 2
mkdir -p "$out"
numbers() { # WORDS: [1, 2]
    echo "$1" | jq -R 'split(" ") | map(tonumber)'
}
printf '%s\n' "$@" | jq -Rn --argjson qb "$(numbers "${PTQ_LAW_BLOCKS:-16 32 64}")" --argjson qr "$(numbers "${PTQ_LAW_SHARES:-.25 .5 .75}")" \
    --arg method "${PTQ_LAW_SOLVER:-gptq}" --argjson bits "${PTQ_LAW_BITS:-3}" --argjson tokens "${PTQ_LAW_TOKENS:-8192}" \
    --argjson length "${PTQ_LAW_LENGTH:-256}" --argjson windows "${PTQ_LAW_WINDOWS:-32}" \
    '{ models: [ inputs / "=" | { model: .[0], data: .[1], eval: .[2] } ], methods: [$method], bits: [$bits], $qb, $qr, $tokens, $length, $windows }' \
    >"$out/sweep.json"
sh "$here/../../pipelines/sweep" "$out/sweep.json" "$out"
{
    echo "# The scaling law of mixed quantization on small models"
    echo
    echo "Made by \`ops/studies/law.sh\`, which says what it can be told; do not edit. Qr: share of the weights of the blocks' linears that is quantized (the"
    echo "others stay in 16 bits, chosen by \`ptq allocate\`), Qb: values that share a scale, delta: relative increase of perplexity."
    echo
    echo "| model | weights | Qb | Qr | delta |"
    echo "|---|---|---|---|---|"
    jq -rs 'sort_by(.params, .model, .qb, .qr)[] | "| \(.model | split("/") | last) | \(.params) | \(.qb) | \(.qr * 1000 | round / 1000) | \(.delta * 1e5 | round / 1e5) |"' \
        "$out/points.jsonl"
    echo
    echo '    ptq law fit points.jsonl'
    echo
    ptq law fit --page "$out/law.html" "$out/points.jsonl" 2>&1 | sed 's/^/    /'
} >"$out/law.md.new"
mv "$out/law.md.new" "$out/law.md"
cat "$out/law.md"
