#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# distribution.sh - how much of the CPU of a run on two hosts goes into its being distributed: a head and a worker on this host, by tcp on loopback with keys,
# one forward process each, under `perf record -e cpu-clock`. Needs perf and the objects of the build (PTQ_BUILD, build). PTQ_DISTRIBUTION_MODEL, PTQ_DISTRIBUTION_DATA,
# PTQ_DISTRIBUTION_JOB: another model, data and job.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
PATH=$root/bin:$PATH
build=${PTQ_BUILD:-$root/build}
model=${PTQ_DISTRIBUTION_MODEL:-$root/pipelines/demo/tale-qwen3}
data=${PTQ_DISTRIBUTION_DATA:-$model/calib.jsonl}
job=${PTQ_DISTRIBUTION_JOB:---tokens 16384 --length 512 --chunk-tokens 512 --group 64}
at=$(mktemp -d /tmp/ptq-distribution-XXXXXX)
trap 'rm -rf "$at"' EXIT
trap 'exit 1' INT TERM
cd "$at"

# every function of these folders, with the name of the group that it counts for
functions() { # GROUP OBJECT...
    group=$1
    shift
    nm --defined-only "$@" 2>/dev/null | awk -v g="$group" '$2 ~ /^[tT]$/ { print g, $3 }'
}
{
    functions messages "$build"/common/wire/msg*.o "$build"/common/wire/frame*.o "$build"/common/wire/mpk.o "$build"/common/wire/zbuf.o
    functions links "$build"/common/wire/link*.o "$build"/common/wire/pump.o "$build"/common/wire/talk.o "$build"/common/wire/share.o \
        "$build"/common/wire/strangers.o "$build"/common/wire/curve.o "$build"/common/wire/follow.o "$build"/common/wire/run_id.o
    functions checksums "$build"/common/base/hash.o
    functions journal "$build"/common/run/journal*.o
    # a name that another file has too tells nothing of where a sample fell: it counts here, so that the figure is too large rather than too small
} | sort -u >functions

ptq keys --quiet keys --worker b
cat >run.sh <<'RUN'
ptq run gptq --model "$1" --data "$2" --out out $3 --seed 1 --workers forward=1,solve=1 --listen 'tcp://127.0.0.1:*' --keys keys/head --hosts 1 >head.log 2>&1 &
head=$!
while ! port=$(sed -n 's/.*workers join by: .*:\([0-9]*\) --keys.*/\1/p' head.log | grep .); do kill -0 $head && sleep 0.1; done
ptq worker "tcp://127.0.0.1:$port" --keys keys/b --forward 1 --solve 0 --threads 1 >worker.log 2>&1
wait $head
RUN
perf record -q -g -e cpu-clock -F 199 -o perf.data -- sh run.sh "$model" "$data" "$job" || { tail -n 5 head.log worker.log >&2; exit 1; }

# A sample counts for the innermost function of ours on its stack: what that called in libraries and in the kernel is its. Of ZeroMQ's threads all, of libraries that only do one thing too.
perf script -i perf.data -F comm,ip,sym,dso 2>/dev/null | awk '
function over() {
    if (!thread) return
    all++
    if (group == "") group = thread ~ /ZMQbg/ ? "sockets" : ""
    if (group == "" && own != "")
        group = own in of ? of[own] : (thread == "ptq" || thread == "ptq-worker") && own !~ /^(st_|scan|blas_)/ ? "supervisors" : ""
    n[group]++
    thread = group = own = ""
}
NR == FNR { of[$2] = $1; next }
NF == 0 { over(); next }
!/^\t/ { thread = $0; gsub(/^ +| +$/, "", thread); next }
{
    dso = $NF
    gsub(/.*\/|[()]/, "", dso)
    if (group != "" || own != "") next
    if (dso ~ /^libsodium/) group = "encryption"
    else if (dso ~ /^(libisal|libxxhash)/) group = "checksums"
    else if (dso ~ /^libzmq/) group = "sockets"
    else if (dso ~ /^ptq/) own = $2
}
END {
    over()
    print "| what | share of CPU |"; print "| --- | --- |"
    k = split("checksums messages links sockets supervisors journal encryption", order, " ")
    for (i = 1; i <= k; i++) { printf "| %s | %.2f%% |\n", order[i], 100 * n[order[i]] / all; sum += n[order[i]] }
    printf "| all of these | %.2f%% |\n| without encryption | %.2f%% |\n\n%d samples, 199 a second of CPU\n", 100 * sum / all, 100 * (sum - n["encryption"]) / all, all
}' functions -
