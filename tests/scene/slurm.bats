#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# slurm.bats - ops/slurm under a real Slurm of two nodes on this host: requeued and with a node killed, a job makes the bytes of the run alone.
bats_require_minimum_version 1.5.0
load bounds.bash

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH:/usr/sbin:/sbin"
    export M=$ROOT/pipelines/demo/tale-qwen3
    cd "$BATS_FILE_TMPDIR"
    export S=$PWD
    for program in slurmctld slurmd munged sbatch; do
        command -v $program >/dev/null || { export WHY="no $program here"; return 0; }
    done
    [ "$(id -u)" = 0 ] || { export WHY='a Slurm of its own needs root'; return 0; }
    cluster >cluster.log 2>&1 || { export WHY="Slurm does not start: $(tail -n 1 cluster.log)"; return 0; }
    ptq run gptq --model "$M" --data "$M/calib.jsonl" --out alone --tokens 512 --length 128 --chunk-tokens 128 --group 64 --quiet
}

setup() {
    [ -z "${WHY:-}" ] || skip "$WHY"
    cd "$S"
}

teardown_file() {
    [ ! -e "$S/ctl.pid" ] || { scancel --full --signal=KILL --user=root; until_true over; }
    for pid in n2 n1 ctl; do [ ! -e "$S/$pid.pid" ] || kill -KILL "$(cat "$S/$pid.pid")" 2>/dev/null || true; done
    [ ! -e "$S/munge.pid" ] || kill "$(cat "$S/munge.pid")" || true
}

cluster() { # munge, a controller and two nodes, on ports of their own
    local port=$((30000 + $$ % 10000)) host
    host=$(hostname -s)
    mkdir -m 711 munge && mkdir state spool-n1 spool-n2 || return 1
    head -c 128 /dev/urandom >munge/key && chmod 400 munge/key
    cat >slurm.conf <<CONF
ClusterName=scene
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$S/munge/socket
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
ReturnToService=2
KillWait=1
SlurmdTimeout=5
StateSaveLocation=$S/state
SlurmdSpoolDir=$S/spool-%n
SlurmctldPidFile=$S/ctl.pid
SlurmdPidFile=$S/%n.pid
MpiDefault=none
SchedulerParameters=sched_interval=1,bf_interval=1
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=1
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=1
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
    export SLURM_CONF=$S/slurm.conf
    munged --force --foreground --key-file="$S/munge/key" --socket="$S/munge/socket" --pid-file="$S/munge/pid" --log-file="$S/munge/log" --seed-file="$S/munge/seed" >munge.log 2>&1 3>&- &
    echo $! >munge.pid
    until_true test -S munge/socket && slurmctld -c && slurmd -N n1 && slurmd -N n2 && until_true nodes_idle 2
}

nodes_idle() { # N: so many nodes are
    [ "$(sinfo -h -N -t idle -o %N | wc -l)" = "$1" ]
}

teardown() {
    [ -n "${WHY:-}" ] || scancel --full --signal=KILL --user=root 2>/dev/null || true
}

submit() { # SCRIPT OPTIONS...: a job on both nodes
    PTQ_KEYS=$S/secret PTQ_HEAD=127.0.0.1 PTQ_PORT=$((40000 + $$ % 10000)) sbatch --nodes=2 --exclusive --parsable --output=job.log "$@"
}

await() { # N: the N-th site is there
    local part
    printf -v part '%05d.ptq' $(($1 - 1))
    until_true test -e "out/.ptqflow/parts/$part"
}

pending() { # JOB
    [ "$(squeue -h -j "$1" -o %T)" = PENDING ]
}

over() { # no job is left; a node that is dead may take its time to be seen so
    [ -z "$(squeue -h -t PENDING,CONFIGURING,RUNNING)" ]
}

node_killed() { # NAME: its daemon, and the step with all it has started
    local worker stepd
    worker=$(pgrep -f "^[^ ]*ptq .*worker tcp://127.0.0.1:$((40000 + $$ % 10000)) ")
    stepd=$(ps -o ppid= -p "$worker")
    kill -KILL "$(cat "$1.pid")" $stepd "$worker"
}

@test "a job on two nodes, requeued, then a node killed: the bytes of the run alone" {
    local job
    job=$(submit "$ROOT/ops/slurm/run.sbatch" gptq --model "$M" --data "$M/calib.jsonl" --out out --tokens 512 --length 128 --chunk-tokens 128 --group 64 --workers forward=1 --write.fault delay:150) # not over before the node is killed
    await 3
    grep -q "takes part with" job.log
    scancel --batch --signal=TERM "$job" # as before the time of a job is over
    until_true pending "$job"
    scontrol update JobId="$job" StartTime=now
    until_true grep -q 'going on with' job.log
    await 9
    node_killed n2
    until_true grep -q 'this host takes its lanes .* behind site' job.log
    until_true over || { cat job.log; return 1; }
    grep -q 'the result lies in out' job.log
    diff <(cd alone && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum) \
        <(cd out && find . -path ./.ptqflow -prune -o -type f -print | sort | xargs sha256sum)
    [ ! -e secret/job-"$job" ]
}

@test "a sweep: each task of an array takes its line of a file, as a shell would split it" {
    printf '%s\n' "gptq --help" "gptq --model $M --data $M/calib.jsonl --out 'a b' --dry-run" >sweep.txt
    sbatch --array=2 --parsable --output=sweep.log "$ROOT/ops/slurm/sweep.sbatch" sweep.txt
    until_true grep -q "^write: ptq-write .* 'a b'" sweep.log
    until_true over
}
