#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# scale.sh - the tables of ops/SCALE.md: ptq plan of three models, of which only config.json is there, on 1 to 1024 hosts. Seconds of work.
set -eu
cd "$(dirname "$0")/scale"
for model in 8b 70b 235b-a22b; do
    for how in "8 10G" "64 10G" "64 100G"; do
        printf '\n%s, %s lanes, %s\n' "$model" "${how% *}" "${how#* }"
        ptq plan gptq --model "$model" --tokens 524288 --length 2048 --bits 4 --group 128 --lanes "${how% *}" \
            --cores 64 --gflops 50 --hosts 1024 --net "${how#* }" 2>/dev/null | sed -n '/^hosts forward/,$p; /^hosts *forward/,$p' | awk '!seen[$0]++'
    done
done
