#!/bin/sh
# bench.sh BIN PEAK - one GPTQ run, and what it made of the machine. `make bench` calls it.
# PTQ_BENCH_MODEL and PTQ_BENCH_DATA: another model folder and text than the bundled ones; PTQ_BENCH_TOKENS, PTQ_BENCH_LENGTH: how
# much of it (65536, 2048). The peak is measured in the same run, before and after, and the better one counts.
set -eu
bin=$1
peak=$2
model=${PTQ_BENCH_MODEL:-pipelines/demo/tale-qwen3}
data=${PTQ_BENCH_DATA:-pipelines/demo/tale-qwen3/calib.jsonl}
tokens=${PTQ_BENCH_TOKENS:-65536}
length=${PTQ_BENCH_LENGTH:-2048}
out=build/bench/out
mkdir -p build/bench
rm -rf "$out"

before=$("$peak")
"$bin/ptq" run pipelines/gptq.pipe --model "$model" --data "$data" --out "$out" --tokens "$tokens" --length "$length" \
    --bits 4 --group 64 --seed 1
after=$("$peak")

all() { # FIELD of the whole run
    sed -n "s/^  \"$1\": \([-+.0-9eE]*\),*\$/\1/p" "$out/.ptqflow/run.json"
}
"$peak" "$model" "$tokens" "$length" | awk -v model="$model" -v tokens="$tokens" -v length_="$length" \
    -v before="$before" -v after="$after" -v wall="$(all wall_s)" -v cpu="$(all cpu_s)" -v rss="$(all peak_rss_sum_mib)" '
    { work[$1] = $2; sum += $2; parts = parts sprintf("%s%s %.3g", NR > 1 ? ", " : "", $1, $2 / 1e12) }
    END {
        best = before > after ? before : after
        printf "\nmodel        %s, %d tokens in sequences of %d\n", model, tokens, length_
        printf "peak         %.0f GF/s f32 products on all cores (before %.0f, after %.0f)\n", best, before, after
        printf "useful work  %.3g TF (%s)\n", sum / 1e12, parts
        printf "wall         %.1f s, %.0f tokens/s\n", wall, tokens / wall
        printf "efficiency   %.2f = useful work / (wall x peak)\n", sum / (wall * best * 1e9)
        printf "CPU          %.1f s, all processes\n", cpu
        printf "memory       %.0f MiB, sum of the peaks of all processes\n", rss
    }'
