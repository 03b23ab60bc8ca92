#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hosts.sh [RATE...] - ptq plan --hosts against real runs on 1, 2 and 4 hosts: network namespaces joined by a bridge, each link shaped to
# RATE (bits a second, default 1gbit and 100mbit), a host being one forward process of one thread bound to a core. Needs root, ip, tc and taskset. PTQ_HOSTS: how many (1 2 4); PTQ_HOSTS_MODEL, PTQ_HOSTS_JOB: another model and job;
# PTQ_HOSTS_NICE: at another priority (0). Four hosts on two cores have half a core each, and the plan is told so. Only on idle cores do its seconds tell anything.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
PATH=$root/bin:$PATH
model=${PTQ_HOSTS_MODEL:-$root/pipelines/demo/tale-qwen3}
job=${PTQ_HOSTS_JOB:---tokens 16384 --length 512 --chunk-tokens 512 --group 64}
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
        (on 1 ptq run gptq --model "$model" --data "$model/calib.jsonl" --out out $job --seed 1 --workers forward=1,solve=1 --quiet) || return 1
        return 0
    fi
    (on 1 ptq run gptq --model "$model" --data "$model/calib.jsonl" --out out $job --seed 1 --workers forward=1,solve=1 --verbose \
        --listen 'tcp://10.78.0.1:7000' --hosts $(($1 - 1)) --insecure) >head.log 2>&1 &
    pids=$!
    for i in $(seq 2 "$1"); do
        (on $i ptq worker tcp://10.78.0.1:7000 --forward 1 --solve 0 --insecure --threads 1 --verbose) >worker.$i.log 2>&1 &
        pids="$pids $!"
    done
    for pid in $pids; do wait "$pid" || { tail -n 5 head.log worker.*.log >&2; return 1; }; done
    pids=
}

printf '%-9s %5s %9s %9s %9s %9s %9s %9s %6s\n' link hosts forward sums links solving planned measured off
for rate in ${*:-1gbit 100mbit}; do
    for n in ${PTQ_HOSTS:-1 2 4}; do
        hosts "$n" "$rate"
        measure "$n" || exit 1
        half=$((n > cores ? n / cores : 1))
        core=$(taskset -c 0 ptq plan gptq --model "$model" $job --cores 1 --hosts 1 --net 1G 2>/dev/null | sed -n 's/^hosts of .* of \([0-9.]*\) GF.*/\1/p')
        ptq plan gptq --model "$model" $job --cores 1 --gflops "$(awk -v c="$core" -v h=$half 'BEGIN { print c / h }')" --hosts "$n" \
            --net "$(echo "$rate" | sed 's/gbit/G/; s/mbit/M/')" 2>/dev/null | awk -v n="$n" -v rate="$rate" -v wall="$(jq .wall_s out/.ptqflow/run.json)" \
            '$1 == n && NF == 10 { row = $0 } END { $0 = row; printf "%-9s %5d %9.4g %9.4g %9.4g %9.4g %9.4g %9.4g %5.0f%%\n", rate, n, $2, $3, $4, $5, $6, wall, 100 * ($6 / wall - 1) }'
        for i in $(seq "$n"); do ip netns del $net-$i; done
        ip link del $net-b
    done
done
