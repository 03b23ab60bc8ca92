#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# best.sh BIN - what `ptq run best` makes of a model, beside every single method of methods.sh at the same tokens and seeds; `make bench-best`
# calls it. Needs jq.
# A cell is one grid and seed: the search and its run, then the measurement, as methods.sh measures; a line of RESULTS when it is done, and
# not done again: the command may be stopped and given again (what a search had done by then counts). The table compares it with the cells of
# methods.sh that are there, so both are to be of the same model, tokens and texts; what it says in words stands in best/says.md.
#   PTQ_BENCH_MODEL, PTQ_BENCH_DATA, PTQ_BENCH_WIKI  model folder, calibration text, text it is measured on (the bundled model and its texts)
#   PTQ_BENCH_TOKENS (32768)  PTQ_BENCH_SEEDS (3)  PTQ_BENCH_GRIDS (w3-g64 w4-g64 w4-channel w2-g64)  PTQ_BENCH_WINDOW (1024)
#   PTQ_BENCH_PRODUCTS (f32)  PTQ_BENCH_WINDOWS (of the text, 0: all)
#   PTQ_BENCH_METHODS (none: single methods that are run first, by methods.sh, seed by seed and grid by grid)
#   PTQ_BENCH_BUDGET (3: the budget of the search)  PTQ_BENCH_HELD (8192)
#   PTQ_BENCH_WORK (build/bench/best: folder of what goes on)  PTQ_BENCH_RESULTS (ops/studies/best)  PTQ_BENCH_TABLE (tests/bench/best.md)
# Each part of the table says the command that makes it, but for the single methods: they are made by the same words and PTQ_BENCH_METHODS, or by methods.sh.
set -eu
ptq=$(cd "$1" && pwd)/ptq
here=ops/studies
model=${PTQ_BENCH_MODEL:-pipelines/demo/tale-qwen3}
data=${PTQ_BENCH_DATA:-$model/calib.jsonl} wiki=${PTQ_BENCH_WIKI:-$model/eval.jsonl}
tokens=${PTQ_BENCH_TOKENS:-32768} window=${PTQ_BENCH_WINDOW:-1024} windows=${PTQ_BENCH_WINDOWS:-0} products=${PTQ_BENCH_PRODUCTS:-f32}
held=${PTQ_BENCH_HELD:-8192} budget=${PTQ_BENCH_BUDGET:-3}
name=$(basename "$model")
work=${PTQ_BENCH_WORK:-build/bench/best} results=${PTQ_BENCH_RESULTS:-$here/best}
cells=$results/$name-$tokens.jsonl
mkdir -p "$work" "$results"
[ -f "$cells" ] || : >"$cells"

# As methods.sh has it: at one seed every method sees the same text.
shuffled() { # SEED
    file=$work/$name-calib-$1.jsonl
    [ -f "$file" ] || {
        jq -nRr --argjson seed "$1" '[ inputs ] as $lines |
            [ limit(($lines | length) + 9; $seed * 65539 | recurse(. * 16807 % 2147483647)) ][9:] as $keys |
            [ range($lines | length) ] | sort_by($keys[.]) | .[] | $lines[.]' "$data" >"$file.new"
        mv "$file.new" "$file"
    }
    echo "$file"
}

methods() { # GRID SEED: those that the table compares with
    [ -z "${PTQ_BENCH_METHODS:-}" ] || PTQ_BENCH_GRIDS=$1 PTQ_BENCH_SEEDS=$2 PTQ_BENCH_RESULTS=$here/methods PTQ_BENCH_TABLE=$here/methods.md \
        sh "$here/methods.sh" "$(dirname "$ptq")"
}

cell() { # GRID SEED
    [ -z "$(jq --arg grid "$1" --argjson seed "$2" 'select(.grid == $grid and .seed == $seed)' "$cells")" ] || return 0
    case $1 in *-channel) group=-1 ;; *) group=64 ;; esac
    bits=${1%%-*} out=$work/$name-$1-s$2
    [ -s "$out/config.json" ] ||
        "$ptq" run best --model "$model" --data "$(shuffled "$2")" --out "$out" --tokens "$tokens" --seed "$2" --bits "${bits#w}" --group $group \
            --held "$held" --budget "$budget" --format dense --products "$products" --quiet
    "$ptq" eval --model "$out" --ref "$model" --data "$wiki" --ref-states "$work/$name-states.safetensors" --window "$window" --max-windows "$windows" --products "$products" --json --quiet >"$work/eval.json"
    trials=$(find "$out.best" -name '*.done' -exec tail -n 1 {} \; | jq -s add)
    jq -nc --arg model "$name" --arg grid "$1" --argjson seed "$2" --argjson tokens "$tokens" --argjson trials "$trials" --arg products "$products" --argjson window "$window" \
        --arg data "$(basename "$data")" --arg text "$(basename "$wiki")" --argjson held "$held" --argjson budget "$budget" \
        --slurpfile run "$out/.ptqflow/run.json" --slurpfile journal "$out/.ptqflow/journal.jsonl" --slurpfile eval "$work/eval.json" \
        '$ARGS.named | del(.run, .journal, .eval) + { windows: $eval[0].windows, perplexity: $eval[0].perplexity, dnll: $eval[0].dnll, dnll_se: $eval[0].dnll_se, kld: $eval[0].kld_mean,
            kld_se: $eval[0].kld_mean_se, cpu_seconds: $run[0].cpu_s, note: ($journal | map(select(.record == "note").text) | last) }' >>"$cells"
    jq -r 'select(.grid == "'"$1"'" and .seed == '"$2"') | "\(.model) \(.grid) seed \(.seed): KL \(.kld)"' "$cells" >&2
    rm -rf "$out" "$out.best"
}

seed=1
while [ "$seed" -le "${PTQ_BENCH_SEEDS:-3}" ]; do
    for grid in ${PTQ_BENCH_GRIDS:-w3-g64 w4-g64 w4-channel w2-g64}; do
        methods "$grid" "$seed"
        cell "$grid" "$seed"
    done
    seed=$((seed + 1))
done
{
    cat <<'END'
# What `ptq run best` makes of a model

Made by `make bench-best` (ops/studies/best.sh says what it can be told); do not edit. Beside it, of `methods.md`, all single methods at the same tokens, seeds and
texts, measured alike (the four best are shown). KL: from the unquantized model, nats a token, in brackets the standard deviation over the seeds. CPU s: of the run, and
of the trials before it, with their judgements. The comparison is with the method that is most ahead, or least behind, on the seeds of both.

END
    for file in "$results"/*.jsonl; do
        methods=$here/methods/$(basename "$file")
        [ -f "$methods" ] || methods=/dev/null
        jq -rs --slurpfile methods "$methods" -f "$here/best.jq" "$file"
    done
    [ ! -f "$results/says.md" ] || cat "$results/says.md"
} >"$work/best.md"
mv "$work/best.md" "${PTQ_BENCH_TABLE:-tests/bench/best.md}"
