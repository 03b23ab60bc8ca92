#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# choose.sh BIN OUT MODEL=CALIB=CHOOSE=EVAL... - choices of bits that are measured: what `ptq run --target-bpw --choose-on` follows after N of them,
# against the best of N random ones. Needs jq. Each MODEL is a folder, CALIB its calibration text, CHOOSE the text that choices are measured on,
# EVAL another one, that what was followed is judged on: both ways see the same. Of each model one recording is solved at 2, 3, 4 and 8 bits;
# a random choice is one draw within the target (`ptq allocate --search random --trials 1`), solved of the recording and measured on CHOOSE;
# the best of each N is run as the other way's choice is. What is done is not done again: the command may be stopped and given again.
# OUT/choose.md is the table.
#   PTQ_CHOOSE_TARGETS (2.8 3.8)  PTQ_CHOOSE_TRIALS (8: N)  PTQ_CHOOSE_SETS (3: of N random ones)  PTQ_CHOOSE_GROUP (64)
#   PTQ_CHOOSE_TOKENS (16384)  PTQ_CHOOSE_LENGTH (512)
set -eu
[ $# -ge 3 ] || { sed -n '3,11s/^# \{0,1\}//p' "$0" >&2; exit 100; }
ptq=$(cd "$1" && pwd)/ptq out=$2
shift 2
trials=${PTQ_CHOOSE_TRIALS:-8} group=${PTQ_CHOOSE_GROUP:-64} length=${PTQ_CHOOSE_LENGTH:-512}
mkdir -p "$out"
[ -f "$out/cells.jsonl" ] || : >"$out/cells.jsonl"

kl() { # FOLDER TEXT
    "$ptq" eval --model "$1" --ref "$model" --data "$2" --window "$length" --ref-states "$out/$name-$(basename "$2").states" --json --quiet | jq .kld_mean
}
quantize() { # FOLDER MORE...
    folder=$1
    shift
    "$ptq" run gptq --model "$model" --data "$calib" --out "$folder" --overwrite --tokens "${PTQ_CHOOSE_TOKENS:-16384}" --length "$length" \
        --group "$group" --format dense --quiet "$@"
}
solve() { # FOLDER MORE...
    folder=$1
    shift
    "$ptq" resolve --model "$model" --problems "$out/$name.ptq" --out "$folder" --group "$group" --format dense --overwrite --quiet "$@"
}
has() { # TARGET WAY SET
    jq -e -n --arg model "$name" --argjson target "$1" --arg way "$2" --argjson set "$3" \
        '[ inputs | select(.model == $model and .target == $target and .way == $way and .set == $set) ] | length > 0' "$out/cells.jsonl" >/dev/null
}
put() { # TARGET WAY SET HELD KL
    jq -nc --arg model "$name" --argjson target "$1" --arg way "$2" --argjson set "$3" --argjson trials "$trials" --argjson held "$4" --argjson kld "$5" \
        '$ARGS.named' >>"$out/cells.jsonl"
    tail -n 1 "$out/cells.jsonl" >&2
}

learned() { # TARGET
    quantize "$out/run" --target-bpw "$1" --choose-on "$choose" --choose-trials "$trials"
    held=$(cat "$out"/run.mixed/tries/*/.ptqflow/eval.jsonl | jq -s 'map(.kld_mean) | min')
    put "$1" learned 1 "$held" "$(kl "$out/run" "$text")"
    rm -rf "$out/run" "$out/run.mixed"
}
random() { # TARGET SET
    least=
    draw=1
    while [ "$draw" -le "$trials" ]; do
        "$ptq" allocate --target-bpw "$1" --search random --trials 1 --seed $((($2 - 1) * trials + draw)) --out "$out/choice.txt" \
            "$out/$name-w2" "$out/$name-w3" "$out/$name-w4" "$out/$name-w8"
        solve "$out/run" --bits 3 --overrides "$out/choice.txt"
        held=$(kl "$out/run" "$choose")
        if [ -z "$least" ] || jq -en "$held < $least" >/dev/null; then
            least=$held
            cp "$out/choice.txt" "$out/best.txt"
        fi
        draw=$((draw + 1))
    done
    quantize "$out/run" --bits 3 --overrides "$out/best.txt"
    put "$1" random "$2" "$least" "$(kl "$out/run" "$text")"
    rm -rf "$out/run"
}

for job in "$@"; do
    model=${job%%=*} rest=${job#*=} name=$(basename "${job%%=*}")
    calib=${rest%%=*} rest=${rest#*=}
    choose=${rest%%=*} text=${rest#*=}
    [ -s "$out/$name.ptq" ] || {
        quantize "$out/first" --bits 3 --record "$out/$name.new"
        mv "$out/$name.new" "$out/$name.ptq"
    }
    for bits in 2 3 4 8; do
        [ -s "$out/$name-w$bits/config.json" ] || solve "$out/$name-w$bits" --bits $bits
    done
    for target in ${PTQ_CHOOSE_TARGETS:-2.8 3.8}; do
        has "$target" learned 1 || learned "$target"
        set=1
        while [ "$set" -le "${PTQ_CHOOSE_SETS:-3}" ]; do
            has "$target" random $set || random "$target" $set
            set=$((set + 1))
        done
    done
done
jq -rs 'def short: . * 1e5 | round / 1e5 | tostring;
    "| model | bits a weight | best of \(.[0].trials) random, as measured | learned from \(.[0].trials), as measured | random, judged | learned, judged | |",
    "|---|---|---|---|---|---|---|",
    (group_by([.model, .target])[] | (map(select(.way == "random"))) as $r | (map(select(.way == "learned")) | .[0]) as $l |
        "| \(.[0].model) | \(.[0].target) | \($r | map(.held | short) | join(", ")) | \($l.held | short) | \($r | map(.kld | short) | join(", ")) | \($l.kld | short) | " +
        (if ($r | all(.kld > $l.kld)) then "**ahead of all**" else "ahead of \($r | map(select(.kld > $l.kld)) | length) of \($r | length)" end) + " |")' \
    "$out/cells.jsonl" >"$out/choose.md"
cat "$out/choose.md"
