#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hosts.sh [--write] [RATE...] - ptq plan --hosts against real runs on 1, 2 and 4 hosts: network namespaces joined by a bridge, each link shaped to
# RATE (bits a second, default 1gbit and 100mbit), a host being one forward process of one thread bound to a core. Needs root, ip, tc, jq and taskset. --write puts the table into tests/bench/scale.md.
# PTQ_HOSTS: how many (1 2 4; the first is 1); PTQ_HOSTS_MODEL, PTQ_HOSTS_DATA, PTQ_HOSTS_JOB: another model, data and job; PTQ_HOSTS_NICE: at another priority (0). Only on idle cores do its seconds tell anything.
#
# Four hosts on two cores have half a core each while all compute; a solver, for which the others wait, has a whole one: what is planned is reckoned so. The plan is told how fast a run of a quarter of
# the tokens was on one host (--like); beside it stands what it would say from the rate of a core alone.
# Forward and sums: until the last site is committed, less the seconds in which sites were solved.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
PATH=$root/bin:$PATH
model=${PTQ_HOSTS_MODEL:-$root/pipelines/demo/tale-qwen3}
data=${PTQ_HOSTS_DATA:-$model/calib.jsonl}
job=${PTQ_HOSTS_JOB:---tokens 16384 --length 512 --chunk-tokens 512 --group 64}
write=
[ "${1:-}" != --write ] || { write=yes; shift; }
cores=$(nproc --all)
at=$(mktemp -d /tmp/ptq-hosts-XXXXXX)
net=pq$$
cd "$at"

clear_up() {
    for pid in ${pids:-}; do kill -KILL "$pid" 2>/dev/null || true; done
    for i in 1 2 3 4; do ip netns del $net-$i 2>/dev/null || true; done
    ip link del $net-b 2>/dev/null || true
    rm -rf "$at"
}
trap clear_up EXIT
trap 'exit 1' INT TERM

hosts() { # N RATE: namespaces with the addresses 10.78.0.1 ... behind shaped links
    ip link add $net-b type bridge && ip link set $net-b up
    for i in $(seq "$1"); do
        ip netns add $net-$i
        ip link add $net-$i type veth peer name veth netns $net-$i
        ip link set $net-$i master $net-b up
        ip -n $net-$i addr add 10.78.0.$i/24 dev veth
        ip -n $net-$i link set veth up
        ip -n $net-$i link set lo up
        ip netns exec $net-$i tc qdisc add dev veth root tbf rate "$2" burst 256k latency 50ms
        tc qdisc add dev $net-$i root tbf rate "$2" burst 256k latency 50ms
    done
}

on() { # HOST COMMAND...: on its core
    local i=$1
    shift
    exec ip netns exec $net-$i nice -n "${PTQ_HOSTS_NICE:-0}" taskset -c $(((i - 1) % cores)) "$@"
}

measure() { # N: a run on so many hosts; out/ and the workers' logs are what is left
    rm -rf out
    pids=
    if [ "$1" = 1 ]; then
        (on 1 ptq run gptq --model "$model" --data "$data" --out out $job --seed 1 --workers forward=1,solve=1 --quiet) || return 1
        return 0
    fi
    (on 1 ptq run gptq --model "$model" --data "$data" --out out $job --seed 1 --workers forward=1,solve=1 --verbose \
        --listen 'tcp://10.78.0.1:7000' --hosts $(($1 - 1)) --insecure) >head.log 2>&1 &
    pids=$!
    for i in $(seq 2 "$1"); do
        (on $i ptq worker tcp://10.78.0.1:7000 --name host$i --forward 1 --solve 0 --insecure --threads 1 --verbose) >worker.$i.log 2>&1 &
        pids="$pids $!"
    done
    for pid in $pids; do wait "$pid" || { tail -n 5 head.log worker.*.log >&2; return 1; }; done
    pids=
}

planned() { # N RATE OPTION...: forward, sums, links, solving, together
    n=$1 net=$(echo "$2" | sed 's/gbit/G/; s/mbit/M/')
    shift 2
    ptq plan gptq --model "$model" $job --cores 1 --hosts "$n" --net "$net" "$@" 2>/dev/null |
        awk -v n="$n" '$1 == n && NF == 10 { row = $2 " " $3 " " $4 " " $5 " " $6 } END { print row }'
}

core=$(taskset -c 0 ptq plan gptq --model "$model" $job --cores 1 --hosts 1 --net 1G 2>/dev/null | sed -n 's/^hosts of .* of \([0-9.]*\) GF.*/\1/p')
rates=${*:-1gbit 100mbit}
tokens=$(echo "$job" | sed -n 's/.*--tokens \([0-9]*\).*/\1/p')
short=$(echo "$job" | sed "s/--tokens $tokens/--tokens $((tokens / 4))/")
(nice -n "${PTQ_HOSTS_NICE:-0}" taskset -c 0 ptq run gptq --model "$model" --data "$data" --out like $short --seed 1 --workers forward=1,solve=1 --quiet)
{
    echo '| link | hosts | planned: forward | sums | links | solving | together, s | on the wall, s | plan off | by the rate of a core, s | off | forward and sums, s |'
    echo '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |'
    for rate in $rates; do
        for n in ${PTQ_HOSTS:-1 2 4}; do
            [ "$n" != 1 ] || [ ! -e one.sums ] || continue
            hosts "$n" "$rate"
            measure "$n" || exit 1
            (cd out && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum) >sums
            [ -e one.sums ] || cp sums one.sums
            cmp -s one.sums sums || { echo "hosts: $n hosts at $rate: other bytes" >&2; exit 1; }
            wall=$(jq .wall_s out/.ptqflow/run.json)
            phases=$(jq -s 'map(select(.record == "site")) | last.wall - (map(.seconds) | add)' out/.ptqflow/journal.jsonl)
            echo "$rate $n $wall $((n > cores ? n / cores : 1)) $phases $(planned "$n" "$rate" --like like) $(planned "$n" "$rate" --gflops "$core")" | awk '{
                plan = $10 + ($6 + $7) * ($4 - 1)
                rough = $15 + ($11 + $12) * ($4 - 1)
                printf "| %s | %d | %.4g | %.4g | %.4g | %.4g | %.4g | %.4g | %+.0f%% | %.4g | %+.0f%% | %.4g |\n", $2 == 1 ? "" : $1, $2, $6 * $4, $7 * $4, $8, $9, plan, $3, 100 * (plan / $3 - 1), rough, 100 * (rough / $3 - 1), $5
            }'
            for i in $(seq "$n"); do ip netns del $net-$i; done
            ip link del $net-b
        done
    done
    printf '\nA core multiplies %s GF/s (f32); `%s`, %s cores. All runs gave the same bytes.\n' "$core" "$job" "$cores"
} >table
cat table
[ -z "$write" ] || {
    sed -e '/^<!-- hosts.sh -->$/,/^<!-- end -->$/ { /^<!-- hosts.sh -->$/r table
        /^<!--/!d }' "$root/tests/bench/scale.md" >scale.md
    cp scale.md "$root/tests/bench/scale.md"
}
