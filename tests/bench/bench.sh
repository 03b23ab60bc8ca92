#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bench.sh BIN PEAK - one GPTQ run and some windows that learn, and what they made of the machine. `make bench` calls it.
# PTQ_BENCH_MODEL and PTQ_BENCH_DATA: another model folder and text than the bundled ones; PTQ_BENCH_TOKENS, PTQ_BENCH_LENGTH: how
# much of it (65536, 2048); PTQ_BENCH_PRODUCTS: what forward and windows multiply in (bf16 where the CPU does, else f32); PTQ_BENCH_WINDOWS=no: without windows that learn; PTQ_BENCH_MEM, PTQ_BENCH_ROWS: hidden states of a forward process that stay in memory, and rows of sites among them (2G, 4M: the defaults).
# The peak is measured in the same run, before and after, and the better one counts.
set -eu
bin=$1
peak=$2
model=${PTQ_BENCH_MODEL:-pipelines/demo/tale-qwen3}
data=${PTQ_BENCH_DATA:-pipelines/demo/tale-qwen3/calib.jsonl}
tokens=${PTQ_BENCH_TOKENS:-65536}
length=${PTQ_BENCH_LENGTH:-2048}
products=${PTQ_BENCH_PRODUCTS:-$(if grep -qw avx512_bf16 /proc/cpuinfo; then echo bf16; else echo f32; fi)}
mem=${PTQ_BENCH_MEM:-2G}
rows=${PTQ_BENCH_ROWS:-4M}
out=build/bench/out
mkdir -p build/bench
rm -rf "$out"

# With --verbose every end of a link says what it moved and took.
sed 's/\(ptq-[a-z]*\) /\1 --verbose /' pipelines/gptq.pipe >build/bench/gptq.pipe

at_once() { # PID: the most that it and its children have had at one time, MiB, pages that several of them map counted once; until it has ended
    most=0
    while now=$(for p in "$1" $(pgrep -P "$1"); do cat "/proc/$p/smaps_rollup" 2>/dev/null || true; done |
        awk '$1 == "Pss:" { sum += $2 } END { print int(sum) }') && [ "$now" -gt 0 ]; do
        [ "$now" -le "$most" ] || most=$now
        sleep 0.5
    done
    echo "$((most / 1024))"
}

before=$("$peak")
"$bin/ptq" run build/bench/gptq.pipe --log build/bench/log --model "$model" --data "$data" --out "$out" --tokens "$tokens" --length "$length" \
    --bits 4 --group 64 --seed 1 --products "$products" --forward.mem "$mem" --forward.mem-rows "$rows" 2>build/bench/said &
together=$(at_once $!)
wait $! || { tail -n 5 build/bench/said >&2; exit 1; }
after=$("$peak")
core=$("$peak" core)

all() { # FIELD of the whole run
    sed -n "s/^  \"$1\": \([-+.0-9eE]*\),*\$/\1/p" "$out/.ptqflow/run.json"
}
wire() { # WORD BEFORE IT, DIRECTION: sum over the ends of all links
    cat build/bench/log/*.log | awk -v unit="$1" -v dir="$2" '$2 == "link" && (dir == "" || $3 == dir) {
        for (i = 4; i < NF; i++)
            if (index($(i + 1) " " $(i + 2), unit) == 1) sum += $i
    } END { printf "%.3f\n", sum }'
}
# Who waited for what, seconds of a process of each stage: more than a hundredth of the run.
waiting() { # WALL SECONDS
    cat build/bench/log/*.log | awk -v wall="$1" '$2 == "link" {
        stage = substr($1, 1, length($1) - 1); way = $4; sub(/:$/, "", way); sub(/.*\//, "", way)
        key = stage ($3 == "in" ? " for " : " to send ") way
        if (!(key in sum)) order[++n] = key
        sum[key] += $(NF - 1); ends[key]++
    } END {
        for (i = 1; i <= n; i++)
            if (sum[order[i]] / ends[order[i]] > wall / 100)
                text = text sprintf("%s%s %.1f", text ? ", " : "", order[i], sum[order[i]] / ends[order[i]])
        print text ? text : "none of note"
    }'
}
# What ptq plan foresaw of each stage's peak beside what the run's table says.
planned() {
    "$bin/ptq" plan gptq --model "$model" --tokens "$tokens" --length "$length" --bits 4 --group 64 --products "$products" --forward.mem "$mem" --forward.mem-rows "$rows" >build/bench/plan
    awk '/^(forward|reduce|solve|write) / && NF == 3 { plan[$1] = $3 }
         /^(forward|reduce|solve|write) / && NF == 6 { text = text sprintf("%s%s %d/%d", text ? ", " : "", $1, $6, plan[$1]) }
         END { print text }' build/bench/plan build/bench/said
}

"$peak" "$model" "$tokens" "$length" | awk -v model="$model" -v tokens="$tokens" -v length_="$length" \
    -v before="$before" -v after="$after" -v wall="$(all wall_s)" -v cpu="$(all cpu_s)" -v rss="$(all peak_rss_sum_mib)" \
    -v core="$core" -v products="$products" -v solve_cpu="$(awk '$1 == "solve" && NF == 6 { print $4 }' build/bench/said)" -v wire_cpu="$(wire 'CPU s' '')" -v wire_bytes="$(wire 'on the' out)" -v memory_bytes="$(wire 'in memory' out)" -v plan="$(planned)" \
    -v together="$together" -v mem="$mem" -v rows="$rows" -v waiting="$(waiting "$(all wall_s)")" '
    $1 == "losses" { losses = $2; next }
    { work[$1] = $2; sum += $2; parts = parts sprintf("%s%s %.3g", NR > 1 ? ", " : "", $1, $2 / 1e12) }
    END {
        best = before > after ? before : after
        printf "\nmodel        %s, %d tokens in sequences of %d, products of %s\n", model, tokens, length_, products
        printf "peak         %.0f GF/s f32 products on all cores (before %.0f, after %.0f)\n", best, before, after
        printf "useful work  %.3g TF (%s)\n", sum / 1e12, parts
        printf "wall         %.1f s, %.0f tokens/s\n", wall, tokens / wall
        printf "efficiency   %.2f = useful work / (wall x peak)\n", sum / (wall * best * 1e9)
        printf "CPU          %.1f s, all processes\n", cpu
        split(core, rate, " ")
        printf "             %.2f = useful work / (CPU s x %.0f GF/s f32 of one core), whatever else runs\n", sum / (cpu * rate[1] * 1e9), rate[1]
        printf "solve        %.1f CPU s, %.2f of the f64 products of one core, %.0f GF/s; %.2f with those of the losses\n",
            solve_cpu, work["solve"] / (solve_cpu * rate[2] * 1e9), rate[2], (work["solve"] + losses) / (solve_cpu * rate[2] * 1e9)
        printf "waiting      %s (s of a process, of %.1f)\n", waiting, wall
        printf "wire         %.2f CPU s, %.1f%% of all; %.0f bytes a token, %.0f more read where they lay\n",
            wire_cpu, 100 * wire_cpu / cpu, wire_bytes / tokens, memory_bytes / tokens
        printf "memory       %.0f MiB, sum of the peaks of all processes; %.0f at one time, shared pages counted once (--forward.mem %s, --forward.mem-rows %s)\n", rss, together, mem, rows
        printf "             of one process, MiB, measured/planned: %s\n", plan
    }'

[ "${PTQ_BENCH_WINDOWS:-yes}" = yes ] || exit 0

# Windows that learn: three times the forward products for each step of two rows, once for each loss and stream.
slide="--model $model --data $data --tokens 4096 --length 512 --bits 4 --epochs 4 --batch 2 --shallow 0 --window 2 --stride 2 --deep 0 --seed 1 --products $products"
rm -rf build/bench/slide
# shellcheck disable=SC2086
"$bin/ptq" run slide $slide --out build/bench/slide 2>build/bench/said || { tail -n 5 build/bench/said >&2; exit 1; }
# shellcheck disable=SC2086
"$bin/ptq" plan slide $slide --json >build/bench/plan
awk -v flops="$(sed 's/.*"flops_slide":\([-+.0-9eE]*\).*/\1/' build/bench/plan)" -v before="$before" -v after="$after" -v core="$core" -v products="$products" '
    $1 == "slide" && NF == 6 {
        best = before > after ? before : after
        split(core, rate, " ")
        printf "windows      %.3g TF by products of %s in %.1f s: %.2f of the f32 peak; %.2f of the f32 products of one core by CPU s\n",
            flops / 1e12, products, $3, flops / ($3 * best * 1e9), flops / ($4 * rate[1] * 1e9)
    }' build/bench/said
