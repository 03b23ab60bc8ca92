#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shapes.sh BIN PEAK SHAPED - bench.sh on models of random weights with the shapes of large ones, a few of their blocks:
# `make bench-shapes` calls it. What a block takes is what each takes.
# PTQ_BENCH_SHAPES: SHAPE:BLOCKS:TOKENS ... (1b:2:8192 8b:1:4096)
set -eu
bin=$1
peak=$2
shaped=$3
demo=pipelines/demo/tale-qwen3
for x in ${PTQ_BENCH_SHAPES:-1b:2:8192 8b:1:4096}; do
    shape=${x%%:*}
    tokens=${x##*:}
    blocks=${x#*:}
    blocks=${blocks%:*}
    dir=build/bench/shape-$shape-$blocks
    rm -rf "$dir"
    "$shaped" "$shape" "$blocks" "$demo" "$dir"
    PTQ_BENCH_MODEL=$dir PTQ_BENCH_DATA=$demo/calib.jsonl PTQ_BENCH_TOKENS=$tokens sh "$(dirname "$0")/bench.sh" "$bin" "$peak"
    rm -rf "$dir"
done
