#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# restart.sh - what a run that ends in its middle and is started again costs: its forward stage is killed (--restarts 0) at a site in the middle of a block, the same command goes on,
# and the CPU seconds of the second run, less those of the sites that were left (of a run that nobody disturbed, shared out over its sites), are what it costs, start and end of a run included. The checkpoints must be the
# same bytes. PTQ_RESTART_MODEL, PTQ_RESTART_DATA, PTQ_RESTART_JOB, PTQ_RESTART_SITES (behind how many committed sites, several of them with one undisturbed run; near the end the difference is of small numbers), PTQ_RESTART_HOW (without, --save-state): others.
# PTQ_RESTART_KEPT: it ends when the hidden states behind that site, the last of a block, are kept, and not as soon as the site is committed. "Less": also without what the writer took, which puts the checkpoint together in any run.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
PATH=$root/bin:$PATH
model=${PTQ_RESTART_MODEL:-$root/pipelines/demo/tale-qwen3}
data=${PTQ_RESTART_DATA:-$model/calib.jsonl}
job=${PTQ_RESTART_JOB:---tokens 16384 --length 512 --chunk-tokens 512 --group 64}
at=$(mktemp -d /tmp/ptq-restart-XXXXXX)
trap 'rm -rf "$at"' EXIT
trap 'exit 1' INT TERM
cd "$at"
TIMEFORMAT='%U %S %R'

run() { # OUT OPTION...: its CPU and wall seconds into the file OUT.time, added up
    local out=$1
    shift
    { time ptq run gptq --model "$model" --data "$data" --out "$out" $job --seed 1 --workers forward=1,solve=1 --restarts 0 --quiet "$@" >/dev/null 2>"$out.log"; } 2>>"$out.time"
}
cpu() { awk '{ n += $1 + $2 } END { printf "%.2f", n }' "$1.time"; }
writer() { jq '[.stages[] | select(.name == "write").cpu_s] | add' "$1/.ptqflow/run.json"; }
sums() { (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum); }

printf '| | undisturbed, CPU s | a site | ended behind site | second run, CPU s | less the sites that were left | in sites |\n| --- | --- | --- | --- | --- | --- | --- |\n'
for how in ${PTQ_RESTART_HOW:-without --save-state}; do
    option=$(echo "$how" | grep -- -- || true)
    run "whole$how" $option
    sites=$(jq -s 'map(select(.record == "site")) | length' "whole$how/.ptqflow/journal.jsonl")
    for behind in ${PTQ_RESTART_SITES:-$((sites / 2 + 2))}; do
        printf -v part '%05d.ptq' $((behind - 1))
        run "cut$how" $option &
        first=$!
        until [ -e "cut$how/.ptqflow/parts/$part" ]; do kill -0 $first; sleep 0.01; done
        if [ -n "${PTQ_RESTART_KEPT:-}" ]; then
            until [ -z "$(find "cut$how/.ptqflow/state" -name '*.ptq' ! -newer "cut$how/.ptqflow/parts/$part")" ]; do kill -0 $first; sleep 0.01; done
        fi
        kill -KILL "$(ptq ctl --out "cut$how" --json status | jq -r '.processes[] | select(.stage == "forward" and .state != "ended") | .pid')"
        ! wait $first
        behind=$(find "cut$how/.ptqflow/parts" -name '*.ptq' | wc -l) # some more may have come
        rm "cut$how.time"
        run "cut$how" $option
        diff <(sums "whole$how") <(sums "cut$how")
        awk -v how="$how" -v second="$(cpu "cut$how")" -v whole="$(cpu "whole$how")" -v writer="$(writer "cut$how")" -v wrote="$(writer "whole$how")" -v n="$sites" -v k="$behind" \
            'BEGIN { one = (whole - wrote) / n; more = second - writer - (n - k) * one; printf "| %s | %.2f | %.2f | %d of %d | %.2f | %.2f | %.1f |\n", how, whole, one, k, n, second, more, more / one }'
        jq -r --arg how "$how" '"\($how): \(.cpu_s * 100 | round / 100) CPU s of the second run: " + ([.stages[] | "\(.name) \(.cpu_s * 100 | round / 100)"] | join(", "))' "cut$how/.ptqflow/run.json" >>stages
        rm -r "cut$how" "cut$how.time"
    done
done
echo
cat stages
