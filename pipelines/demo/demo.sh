#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# demo.sh [BIN [OUT]] - the main job on the small model that lies beside this file: quantize it to 4 and to 3 bits, then say what that
# cost on text it was not calibrated with. Needs no network. `make demo` calls it; the results stay in OUT.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "${1:-bin}" && pwd)
out=${2:-build/demo}
model=$here/tale-qwen3
rm -rf "$out"
mkdir -p "$out"

field() { # NAME JSON: a number out of one line of JSON
    printf '%s' "$2" | tr -d ' \n' | sed -n "s/.*\"$1\":\([-+.0-9eE]*\).*/\1/p"
}
bytes() { # DIR: of the weights
    cat "$1"/*.safetensors | wc -c
}
row() { # NAME DIR REFERENCE-BYTES [--ref DIR]
    name=$1 dir=$2 all=$3
    shift 3
    json=$("$bin/ptq" eval --model "$dir" --data "$model/eval.jsonl" --window 1024 --quiet --json "$@")
    awk -v name="$name" -v size="$(bytes "$dir")" -v all="$all" -v ppl="$(field perplexity "$json")" \
        -v kld="$(field kld_mean "$json")" -v top="$(field top1_agree "$json")" 'BEGIN {
        printf "%-16s %6.2f MB %5.0f%% %12.3f", name, size / 1e6, 100 * size / all, ppl
        if (kld != "") printf " %14.5f %12.1f%%", kld, 100 * top
        printf "\n"
    }'
}

for bits in 4 3; do
    echo "demo: $bits bits a weight, one scale for 64 weights:"
    "$bin/ptq" run "$here/../gptq.pipe" --model "$model" --data "$model/calib.jsonl" --out "$out/w$bits" \
        --tokens 65536 --length 1024 --bits $bits --group 64 --seed 1
done

echo
printf '%-16s %9s %6s %12s %14s %13s\n' checkpoint weights '' perplexity 'KL divergence' 'same top token'
all=$(bytes "$model")
row 'bf16, before' "$model" "$all"
row '4 bits, after' "$out/w4" "$all" --ref "$model"
row '3 bits, after' "$out/w3" "$all" --ref "$model"
echo
echo "The checkpoints lie in $out/w4 and $out/w3 (GPTQ format). Perplexity is on eval.jsonl, which was not calibrated with;"
echo "KL divergence, in nats a token, and agreement are against the bf16 model."
