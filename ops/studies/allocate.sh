#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# allocate.sh BIN OUT MODEL=CALIB=EVAL... - are bits that `ptq allocate` chooses better than the same bits everywhere, and than random ones? Needs jq.
# Each MODEL is a folder, CALIB its calibration text, EVAL the text it is measured on. Of each model one recording is solved at 2, 3, 4 and 8 bits;
# for each target every way of choosing is measured, a random choice with three seeds. What is done is not done again: the command may be stopped
# and given again. OUT/allocate.md is the table.
#   PTQ_ALLOCATE_GROUP (64; several: a choice takes any of them)  PTQ_ALLOCATE_TARGETS (2.8 3.8; what 3 and 4 bits in these groups take comes with them)
#   PTQ_ALLOCATE_WAYS (agreed relative loss round-off trace site block random50 random; uniform comes with them)  PTQ_ALLOCATE_PROTECT (ends none)
#   PTQ_ALLOCATE_DRAWS (3: of random)  PTQ_ALLOCATE_SENSE (512x8: windows and their number, of the calibration text, that site and block are measured on)
#   PTQ_ALLOCATE_TOKENS (16384)  PTQ_ALLOCATE_LENGTH (512)  PTQ_ALLOCATE_WINDOWS (32)
set -eu
[ $# -ge 3 ] || { sed -n '3,10s/^# \{0,1\}//p' "$0" >&2; exit 100; }
here=$(cd "$(dirname "$0")" && pwd)
ptq=$(cd "$1" && pwd)/ptq out=$2
shift 2
length=${PTQ_ALLOCATE_LENGTH:-512} groups=${PTQ_ALLOCATE_GROUP:-64} sense=${PTQ_ALLOCATE_SENSE:-512x8}
mkdir -p "$out"
[ -f "$out/cells.jsonl" ] || : >"$out/cells.jsonl"

runs() { # that are chosen among
    for g in $groups; do
        for b in 2 3 4 8; do echo "$out/$name-g$g-w$b"; done
    done
}
solve() { # FOLDER MORE...
    folder=$1
    shift
    "$ptq" resolve --model "$model" --problems "$out/$name.ptq" --out "$folder" --format dense --overwrite --quiet "$@"
}
cell() { # TARGET WAY SEED MORE...: options of allocate, or of the solver for the same bits everywhere
    target=$1 way=$2 seed=$3
    shift 3
    [ -z "$(jq --arg model "$name" --argjson target "$target" --arg way "$way" --argjson seed "$seed" \
        'select(.model == $model and .target == $target and .way == $way and .seed == $seed)' "$out/cells.jsonl")" ] || return 0
    if [ "$way" = uniform ]; then
        solve "$out/run" "$@"
    else
        # shellcheck disable=SC2046 # the runs are words
        "$ptq" allocate --target-bpw "$target" --out "$out/choice.txt" "$@" $(runs)
        solve "$out/run" --bits 3 --group "${groups%% *}" --overrides "$out/choice.txt"
    fi
    "$ptq" eval --model "$out/run" --ref "$model" --data "$text" --window "$length" --max-windows "${PTQ_ALLOCATE_WINDOWS:-32}" \
        --ref-states "$out/$name.states" --json --quiet >"$out/eval.json"
    jq -c --arg model "$name" --argjson target "$target" --arg way "$way" --argjson seed "$seed" \
        '{ $model, $target, $way, $seed, kld: .kld_mean, se: .kld_mean_se, dnll }' "$out/eval.json" >>"$out/cells.jsonl"
}

sense() { # site or block: what each costs the model alone, at 3 bits, on rows of the calibration text
    [ -s "$out/$name-sense/weights-$1.jsonl" ] || PATH=$(dirname "$ptq"):$PATH PTQ_SENSE_WINDOW=${sense%x*} PTQ_SENSE_WINDOWS=${sense#*x} \
        sh "$here/../../pipelines/sensitivity" "$model" "$out/$name.ptq" "$calib" "$out/$name-g${groups%% *}-w3" "$out/$name-sense" "$1"
}

for job in "$@"; do
    model=${job%%=*} rest=${job#*=}
    calib=${rest%%=*} text=${rest#*=} name=$(basename "$model")
    [ -s "$out/$name.ptq" ] || {
        "$ptq" run gptq --model "$model" --data "$calib" --out "$out/first" --overwrite --tokens "${PTQ_ALLOCATE_TOKENS:-16384}" --length "$length" \
            --solver rtn --bits 8 --group -1 --record "$out/$name.new" --quiet
        mv "$out/$name.new" "$out/$name.ptq"
    }
    targets=
    for group in $groups; do
        for bits in 2 3 4 8; do
            [ -s "$out/$name-g$group-w$bits/config.json" ] || solve "$out/$name-g$group-w$bits" --bits $bits --group "$group"
        done
        for bits in 3 4; do
            size=$(jq -n "$bits + (16 + $bits) / $group")
            cell "$size" uniform 0 --bits $bits --group "$group"
            targets="$targets $size"
        done
    done
    for target in $targets ${PTQ_ALLOCATE_TARGETS-2.8 3.8}; do
        for way in ${PTQ_ALLOCATE_WAYS:-agreed relative loss round-off trace site block random50 random}; do
            case $way in
            random50) cell "$target" "best of 50 random" 0 --search random --trials 50 ;;
            random)
                seed=1
                while [ "$seed" -le "${PTQ_ALLOCATE_DRAWS:-3}" ]; do
                    cell "$target" random $seed --search random --trials 1 --seed $seed
                    seed=$((seed + 1))
                done
                ;;
            site | block)
                sense "$way"
                for protect in ${PTQ_ALLOCATE_PROTECT:-ends none}; do
                    [ "$protect" = none ] && says="KL by $way, no block protected" || says="KL by $way"
                    cell "$target" "$says" 0 --site-weights "$out/$name-sense/weights-$way.jsonl" --protect "$protect"
                done
                ;;
            *)
                for protect in ${PTQ_ALLOCATE_PROTECT:-ends none}; do
                    [ "$protect" = none ] && says="$way, no block protected" || says=$way
                    cell "$target" "$says" 0 --score "$way" --protect "$protect"
                done
                ;;
            esac
        done
    done
done
jq -rs 'def short: . * 1e5 | round / 1e5 | tostring;
    "# Bits for every site, chosen in several ways", "",
    "Made by `ops/studies/allocate.sh`, which says what it can be told; do not edit. gptq of one recording; KL from the unquantized model, nats a",
    "token. uniform: the same bits everywhere, where that is the target; random: the mean of the choices, and the best of them as measured; the best of 50 is that by the",
    "relative loss. KL by site (block): relative losses, weighed by what one site (block) alone costs the model at 3 bits, measured on the calibration text.", "",
    "| model | bits a weight | way | KL | against uniform |", "|---|---|---|---|---|",
    (group_by([.model, .target])[] | (map(select(.way == "uniform") | .kld) | .[0]) as $base |
        group_by(.way) | map({ model: .[0].model, target: .[0].target, way: .[0].way, kld: (map(.kld) | add / length) },
            if length > 1 then min_by(.kld) + { way: "best of \(length) \(.[0].way), measured" } else empty end) | sort_by(.kld)[] |
        "| \(.model) | \(.target | short) | \(.way) | \(.kld | short) | \(if $base then .kld / $base * 1000 | round / 1000 else "" end) |")' \
    "$out/cells.jsonl" >"$out/allocate.md"
cat "$out/allocate.md"
