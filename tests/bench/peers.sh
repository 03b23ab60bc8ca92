#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# peers.sh BIN TABLE - GPTQ by other tools on the very rows, cores and options of ours, one after the other, ours between them, as a
# page of Markdown: `make bench-peers` calls it.
# PTQ_BENCH_MODEL, PTQ_BENCH_DATA, PTQ_BENCH_EVAL: model folder, calibration text and the text it is measured on (the bundled ones);
# PTQ_BENCH_TOKENS, PTQ_BENCH_LENGTH (32768, 2048), PTQ_BENCH_BITS, PTQ_BENCH_GROUP (4, 64); PTQ_BENCH_CORES (all): a list for taskset;
# PTQ_BENCH_PRODUCTS (f32): what ours multiplies in; PTQ_BENCH_WINDOWS (0: all) of the text it is measured on;
# PTQ_BENCH_PEERS (llmcompressor gptqmodel imatrix): which; PTQ_BENCH_TOOLS: the folder that has them, or gets them, each in an environment of its
# own, for they want different versions of the same libraries (build/bench/peers/tools; gigabytes).
# A tool that cannot be installed or ends badly is named with the reason, and left out.
set -eu
bin=$1
table=$2
here=$(dirname "$0")
demo=pipelines/demo/tale-qwen3
model=${PTQ_BENCH_MODEL:-$demo} data=${PTQ_BENCH_DATA:-$demo/calib.jsonl} eval=${PTQ_BENCH_EVAL:-$demo/eval.jsonl}
tokens=${PTQ_BENCH_TOKENS:-32768} length=${PTQ_BENCH_LENGTH:-2048} bits=${PTQ_BENCH_BITS:-4} group=${PTQ_BENCH_GROUP:-64}
cores=${PTQ_BENCH_CORES:-0-$(($(nproc) - 1))} products=${PTQ_BENCH_PRODUCTS:-f32}
work=build/bench/peers
tools=${PTQ_BENCH_TOOLS:-$work/tools}
mkdir -p "$work" "$tools"

python() { # TOOL: its Python, with what is asked for beside it
    echo "$tools/$1/bin/python"
}
environment() { # NAME PACKAGE...: made once
    [ ! -x "$(python "$1")" ] || return 0
    name=$1
    shift
    if ! { python3 -m venv "$tools/$name" && "$(python "$name")" -m pip install --quiet "$@"; } 2>"$work/$name.pip"; then
        rm -rf "${tools:?}/$name"
        echo "peers: $name cannot be installed, see $work/$name.pip" >&2
        return 1
    fi
}
# The sources of llama.cpp come with those of its Python binding.
llama_make() {
    environment build cmake ninja scikit-build-core
    "$(python build)" -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation --dest "$work" llama-cpp-python
    mkdir -p "$tools/llama.cpp"
    tar -xzf "$work"/llama_cpp_python-*.tar.gz --strip-components=3 -C "$tools/llama.cpp" --wildcards '*/vendor/llama.cpp'
    basename "$work"/llama_cpp_python-*.tar.gz .tar.gz >"$tools/llama.cpp/version"
    PATH=$(cd "$tools/build/bin" && pwd):$PATH
    cd "$tools/llama.cpp"
    cmake -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF
    ninja -C build llama-imatrix llama-quantize
}
environment llmcompressor llmcompressor transformers tokenizers sentencepiece
"$(python llmcompressor)" "$here/peer.py" rows "$model" "$data" "$tokens" "$length" "$work/rows.jsonl"

perplexity() { # CHECKPOINT
    "$bin/ptq" eval --quiet --json --model "$1" --data "$eval" --max-windows "${PTQ_BENCH_WINDOWS:-0}" --products "$products" | sed -n 's/.*"perplexity": *\([0-9.]*\).*/\1/p' | head -n 1
}
row() { # NAME WALL CPU MEMORY CHECKPOINT
    printf '| %s | %.1f | %.1f | %.0f | %.3f |\n' "$1" "$2" "$3" "$4" "$(perplexity "$5")" | tee -a "$work/table"
}
ours() {
    rm -rf "$work/ours"
    taskset -c "$cores" "$bin/ptq" run gptq --quiet --model "$model" --data "$work/rows.jsonl" --out "$work/ours" --tokens "$tokens" \
        --length "$length" --bits "$bits" --group "$group" --seed 1 --products "$products"
    field() { sed -n "s/^  \"$1\": \([-+.0-9eE]*\),*\$/\1/p" "$work/ours/.ptqflow/run.json"; }
    row "$("$bin/ptq" --version)" "$(field wall_s)" "$(field cpu_s)" "$(field peak_rss_sum_mib)" "$work/ours"
}
peer() { # TOOL
    environment "$1" "$1" || return 0
    version=$("$(python "$1")" "$here/peer.py" version "$1") || { echo "peers: $1 is not installed" >&2; return 0; }
    rm -rf "${work:?}/$1"
    if taskset -c "$cores" "$(python "$1")" "$here/peer.py" "$1" "$model" "$work/rows.jsonl" "$bits" "$group" "$work/$1" >"$work/$1.log" 2>&1; then
        for file in tokenizer.json tokenizer_config.json; do # not every tool saves them
            [ -e "$work/$1/$file" ] || cp "$model/$file" "$work/$1/"
        done
        # shellcheck disable=SC2046 # three words
        row "$version" $(sed -n 's/^used //p' "$work/$1.log") "$work/$1"
    else
        echo "peers: $1 ended badly, see $work/$1.log" >&2
    fi
}

# Its model file, in bf16; where its converter does not know the tokenizer, by way of ours, whose linears have eight bits.
model_gguf() {
    from=
    ! "$(python llmcompressor)" "$tools/llama.cpp/convert_hf_to_gguf.py" --outtype bf16 --outfile "$work/model.gguf" "$model" || return 0
    from=", of a model rounded to Q8_0 before"
    "$bin/ptq" run gptq --solver rtn --quiet --model "$model" --data "$work/rows.jsonl" --tokens "$length" --bits 8 --group 32 --format gguf --overwrite --out "$work/q8" &&
        "$tools/llama.cpp/build/bin/llama-quantize" --allow-requantize "$work"/q8/*.gguf "$work/model.gguf" BF16
}
# The model file, and the rows as text, which it cuts into tokens itself, are made before and not counted.
imatrix() {
    [ "$bits" = 4 ] || { echo "peers: llama.cpp's grid beside W4 would be Q4_0: left out at $bits bits" >&2; return 0; }
    [ -x "$tools/llama.cpp/build/bin/llama-quantize" ] || (set -e; llama_make) >"$work/llama.cpp.make" 2>&1 || true
    [ -x "$tools/llama.cpp/build/bin/llama-quantize" ] || { echo "peers: llama.cpp cannot be made, see $work/llama.cpp.make" >&2; return 0; }
    rm -f "$work/imatrix.gguf"
    if model_gguf >"$work/imatrix.log" 2>&1 &&
        "$(python llmcompressor)" "$here/peer.py" text "$model" "$work/rows.jsonl" "$work/rows.txt" &&
        taskset -c "$cores" "$(python llmcompressor)" "$here/peer.py" imatrix "$tools/llama.cpp/build/bin" "$work/model.gguf" "$work/rows.txt" "$length" "$work/imatrix.gguf" >>"$work/imatrix.log" 2>&1; then
        # shellcheck disable=SC2046 # three words
        row "llama.cpp (of $(cat "$tools/llama.cpp/version")): imatrix, then Q4_0, groups of 32$from" \
            $(sed -n 's/^used //p' "$work/imatrix.log") "$work/imatrix.gguf"
    else
        echo "peers: llama.cpp ended badly, see $work/imatrix.log" >&2
    fi
}

: >"$work/table"
ours
for tool in ${PTQ_BENCH_PEERS:-llmcompressor gptqmodel imatrix}; do
    case $tool in
    imatrix) imatrix ;;
    *) peer "$tool" ;;
    esac
    ours
done
section="$(basename "$model"), W$bits g$group symmetric, $(wc -l <"$work/rows.jsonl") rows of $length tokens"
{
    echo "# GPTQ beside other tools"
    echo
    echo "Made by \`make bench-peers\`, a section a time. The same rows for all. In the order in which they ran. Memory: the peak of the process, of ours the sum of the peaks of all."
    echo
    [ ! -e "$table" ] || awk -v now="## $section" '/^## / { on = $0 != now } on' "$table"
    echo "## $section"
    echo
    echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), cores $cores. Ours with --products $products. Perplexity by ptq eval on $(basename "$eval"); full precision $(printf %.3f "$(perplexity "$model")")."
    echo
    echo "| tool | wall s | CPU s | peak MiB | perplexity |"
    echo "| --- | --- | --- | --- | --- |"
    cat "$work/table"
    echo
} >"$table.new"
mv "$table.new" "$table"
