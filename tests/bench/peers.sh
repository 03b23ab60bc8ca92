#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# peers.sh BIN TABLE - GPTQ by other tools on the very rows, cores and options of ours, one after the other, ours between them, as a
# page of Markdown: `make bench-peers` calls it.
# PTQ_BENCH_MODEL, PTQ_BENCH_DATA, PTQ_BENCH_EVAL: model folder, calibration text and the text it is measured on (the bundled ones);
# PTQ_BENCH_TOKENS, PTQ_BENCH_LENGTH (32768, 2048), PTQ_BENCH_BITS, PTQ_BENCH_GROUP (4, 64); PTQ_BENCH_CORES (all): a list for taskset;
# PTQ_BENCH_PYTHON: the Python that has the tools. Without it an environment is made in build/bench/peers, which takes gigabytes.
# A tool that cannot be installed or ends badly is named with the reason, and left out.
set -eu
bin=$1
table=$2
here=$(dirname "$0")
demo=pipelines/demo/tale-qwen3
model=${PTQ_BENCH_MODEL:-$demo} data=${PTQ_BENCH_DATA:-$demo/calib.jsonl} eval=${PTQ_BENCH_EVAL:-$demo/eval.jsonl}
tokens=${PTQ_BENCH_TOKENS:-32768} length=${PTQ_BENCH_LENGTH:-2048} bits=${PTQ_BENCH_BITS:-4} group=${PTQ_BENCH_GROUP:-64}
cores=${PTQ_BENCH_CORES:-0-$(($(nproc) - 1))}
work=build/bench/peers
mkdir -p "$work"

python=${PTQ_BENCH_PYTHON:-$work/env/bin/python}
if [ -z "${PTQ_BENCH_PYTHON:-}" ] && [ ! -x "$python" ]; then
    python3 -m venv "$work/env"
    "$python" -m pip install --quiet torch transformers tokenizers
    for tool in gptqmodel llmcompressor; do
        "$python" -m pip install --quiet "$tool" 2>"$work/$tool.pip" || echo "peers: $tool cannot be installed, see $work/$tool.pip" >&2
    done
fi
"$python" "$here/peer.py" rows "$model" "$data" "$tokens" "$length" "$work/rows.jsonl"

perplexity() { # CHECKPOINT
    "$bin/ptq" eval --quiet --json --model "$1" --data "$eval" | sed -n 's/.*"perplexity": *\([0-9.]*\).*/\1/p' | head -n 1
}
row() { # NAME WALL CPU MEMORY CHECKPOINT
    printf '| %s | %.1f | %.1f | %.0f | %s |\n' "$1" "$2" "$3" "$4" "$(perplexity "$5")" | tee -a "$work/table"
}
ours() {
    rm -rf "$work/ours"
    taskset -c "$cores" "$bin/ptq" run gptq --quiet --model "$model" --data "$work/rows.jsonl" --out "$work/ours" --tokens "$tokens" \
        --length "$length" --bits "$bits" --group "$group" --seed 1
    field() { sed -n "s/^  \"$1\": \([-+.0-9eE]*\),*\$/\1/p" "$work/ours/.ptqflow/run.json"; }
    row "$("$bin/ptq" --version)" "$(field wall_s)" "$(field cpu_s)" "$(field peak_rss_sum_mib)" "$work/ours"
}
peer() { # TOOL
    version=$("$python" "$here/peer.py" version "$1") || { echo "peers: $1 is not installed" >&2; return 0; }
    rm -rf "${work:?}/$1"
    if taskset -c "$cores" "$python" "$here/peer.py" "$1" "$model" "$work/rows.jsonl" "$bits" "$group" "$work/$1" >"$work/$1.log" 2>&1; then
        for file in tokenizer.json tokenizer_config.json; do # not every tool saves them
            [ -e "$work/$1/$file" ] || cp "$model/$file" "$work/$1/"
        done
        # shellcheck disable=SC2046 # three words
        row "$version" $(sed -n 's/^used //p' "$work/$1.log") "$work/$1"
    else
        echo "peers: $1 ended badly, see $work/$1.log" >&2
    fi
}

: >"$work/table"
ours
for tool in llmcompressor gptqmodel; do
    peer "$tool"
    ours
done
{
    echo "# GPTQ beside other tools"
    echo
    echo "$(basename "$model"), W$bits g$group symmetric, $(wc -l <"$work/rows.jsonl") rows of $length tokens, the same for all; $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), cores $cores."
    echo "In the order in which they ran. Memory: the peak of the process, of ours the sum of the peaks of all. Perplexity by ptq eval on $(basename "$eval"); full precision $(perplexity "$model")."
    echo
    echo "| tool | wall s | CPU s | peak MiB | perplexity |"
    echo "| --- | --- | --- | --- | --- |"
    cat "$work/table"
} >"$table.new"
mv "$table.new" "$table"
