#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# restart.sh - what a run that ends in its middle and is started again costs: its forward stage is killed (--restarts 0) at a site in the middle of a block, the same command goes on,
# and the CPU seconds of both together are held against those of a run that nobody disturbed and those of one site, without and with --save-state. The checkpoints must be the same bytes.
# PTQ_RESTART_MODEL, PTQ_RESTART_DATA, PTQ_RESTART_JOB, PTQ_RESTART_SITES (behind how many committed sites): another model, data, job and place.
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
sums() { (cd "$1" && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum); }

run whole
sites=$(jq -s 'map(select(.record == "site")) | length' whole/.ptqflow/journal.jsonl)
behind=${PTQ_RESTART_SITES:-$((sites / 2 + 2))}
printf -v part '%05d.ptq' $((behind - 1))
one=$(awk -v c="$(cpu whole)" -v n="$sites" 'BEGIN { printf "%.2f", c / n }')
printf 'undisturbed: %s CPU s, %d sites, %s a site; ended behind site %d\n\n' "$(cpu whole)" "$sites" "$one" "$behind"
echo '| | CPU s, both | more than undisturbed | sites |'
echo '| --- | --- | --- | --- |'
for how in '' --save-state; do
    out=cut$how
    run whole$how $how
    run "$out" $how &
    first=$!
    until [ -e "$out/.ptqflow/parts/$part" ]; do kill -0 $first; sleep 0.01; done
    kill -KILL "$(ptq ctl --out "$out" --json status | jq -r '.processes[] | select(.stage == "forward" and .state != "ended") | .pid')"
    ! wait $first
    run "$out" $how
    diff <(sums whole) <(sums "$out")
    awk -v how="${how:-without}" -v both="$(cpu "$out")" -v whole="$(cpu whole$how)" -v one="$one" \
        'BEGIN { printf "| %s | %.2f | %.2f | %.1f |\n", how, both, both - whole, (both - whole) / one }'
done
