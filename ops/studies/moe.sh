#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# moe.sh BIN OUT MODEL CALIB EVAL... - what becomes of a mixture of experts whose experts see few tokens: rounded to nearest, GPTQ on
# the tokens that the router sends to each expert, with all tokens for starved experts, with all tokens for all of them, and MaCa.
# Needs jq. MODEL is a folder, CALIB calibration text, each EVAL a text it is measured on. Prints a table (tests/bench/moe.md); the
# cells lie in OUT/cells.jsonl, and those that are there are not measured again: the command may be stopped and given again.
#   PTQ_MOE_BITS (4 3)  PTQ_MOE_SEEDS (1 2)  PTQ_MOE_TOKENS (4096)  PTQ_MOE_GROUP (64)  PTQ_MOE_BELOW (64)  PTQ_MOE_WINDOWS (8)
set -eu
[ $# -ge 5 ] || { sed -n '3,7s/^# \{0,1\}//p' "$0" >&2; exit 100; }
ptq=$(cd "$1" && pwd)/ptq out=$2 model=$3 calib=$4
shift 4
group=${PTQ_MOE_GROUP:-64} below=${PTQ_MOE_BELOW:-64} windows=${PTQ_MOE_WINDOWS:-8}
bits=${PTQ_MOE_BITS:-4 3} seeds=${PTQ_MOE_SEEDS:-1 2} counts=${PTQ_MOE_TOKENS:-4096}
mkdir -p "$out"
touch "$out/cells.jsonl"

quantize() { # METHOD BITS SEED: of $tokens
    case $1 in
    rtn) set -- gptq "$2" "$3" --solver rtn --starved-below 1 ;;
    routed) set -- gptq "$2" "$3" --starved-below 1 ;;
    starved-rtn) set -- gptq "$2" "$3" --starved-below "$below" ;;
    starved-all) set -- gptq "$2" "$3" --starved-below "$below" --starved all-tokens ;;
    all) set -- gptq "$2" "$3" --experts all ;;
    maca) set -- maca "$2" "$3" --lengths 128,256,512,1024 ;;
    esac
    recipe=$1 b=$2 seed=$3
    shift 3
    [ "$recipe" = maca ] || set -- --length 512 --mode crops --short join "$@"
    "$ptq" run "$recipe" --model "$model" --data "$calib" --tokens "$tokens" --seed "$seed" --bits "$b" --group "$group" \
        --out "$out/model" --overwrite --quiet "$@" 2>/dev/null
}

cell() { # METHOD BITS SEED TEXT...
    grep -q "\"cell\":\"$1/$2/$tokens/$3\"" "$out/cells.jsonl" && return 0
    quantize "$1" "$2" "$3"
    name=$1/$2/$tokens/$3 method=$1 b=$2
    shift 3
    starved=$(jq -s 'map(select(.starved)) | length' "$out/model/.ptqflow/journal.jsonl")
    for text in "$@"; do
        "$ptq" eval --model "$out/model" --ref "$model" --data "$text" --window 512 --max-windows "$windows" --quiet --json |
            jq -c --arg text "$(basename "$text" .jsonl)" '{text: $text, kld: .kld_mean, ppl: .perplexity, ref: .ref_perplexity}'
    done | jq -cs --arg cell "$name" --arg method "$method" --argjson bits "$b" --argjson tokens "$tokens" --argjson starved "$starved" \
        '{cell: $cell, method: $method, bits: $bits, tokens: $tokens, starved: $starved, texts: .}' >>"$out/cells.jsonl"
}

for tokens in $counts; do
    for b in $bits; do
        for method in rtn routed starved-rtn starved-all all maca; do
            for seed in $seeds; do
                # rounding to nearest looks at no text
                [ "$method" = rtn ] && [ "$tokens/$seed" != "${counts%% *}/${seeds%% *}" ] || cell "$method" "$b" "$seed" "$@"
            done
        done
    done
done

jq -rs --arg model "$(basename "$model")" --arg below "$below" '
    def mean: add / length;
    def figure: . * 10000 | round / 10000;
    def coarse: . * 100 | round / 100;
    def spread(f): if length > 1 then "\(mean | f) ± \((max - min) / 2 | f)" else "\(mean | f)" end;
    [.[0].texts[].text] as $texts |
    "# Experts that see few tokens: \($model)", "",
    "Made by `ops/studies/moe.sh`: windows of 512 tokens drawn by the seed (maca: of 128 to 1024), starved below \($below) rows. Mean of the seeds ± half their spread. KL",
    "divergence from the unquantized model in nats a token, then perplexity (unquantized: \([.[0].texts[] | "\(.ref | coarse) on \(.text)"] | join(", "))).", "",
    "| bits | tokens | method | starved sites | \($texts | map("KL, \(.) | perplexity") | join(" | ")) |",
    "| --- | --- | --- | --- |\($texts | map(" --- | --- |") | join(""))",
    (group_by([-.bits, (.method != "rtn"), .tokens])[] | .[0] as $like |
        (reduce .[] as $c ({}; .[$c.method] += [$c]) | to_entries[] |
            "| \($like.bits) | \(if .key == "rtn" then "any" else $like.tokens end) | \(.key) | \([.value[].starved] | mean) | " +
            ([range($texts | length) as $i | .value | "\([.[].texts[$i].kld] | spread(figure)) | \([.[].texts[$i].ppl] | spread(coarse))"] | join(" | ")) + " |"))' \
    "$out/cells.jsonl"
