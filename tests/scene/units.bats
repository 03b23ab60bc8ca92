#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# units.bats - what is written for Kubernetes and for systemd is what they take, and the commands in it are what ptq takes.
bats_require_minimum_version 1.5.0

setup() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$ROOT/pipelines/demo/tale-qwen3
    cd "$BATS_TEST_TMPDIR"
}

@test "systemd finds nothing wrong with the units" {
    command -v systemd-analyze >/dev/null || skip 'systemd-analyze is not installed'
    for unit in run worker; do # a program that is there, a user that is there
        sed "s|/usr/local/bin/ptq|$(command -v ptq)|; s|^User=.*|User=root|" "$ROOT/ops/systemd/ptq-$unit@.service" >"ptq-$unit@.service"
        run -0 systemd-analyze verify --man=no --recursive-errors=no "./ptq-$unit@x.service"
        [[ $output != *"ptq-$unit"* ]] || { echo "$output"; false; }
    done
    sed -i 's/^Restart=on-failure/Restart=sometimes/' ptq-run@.service # it would say so
    run systemd-analyze verify --man=no --recursive-errors=no ./ptq-run@x.service
    [[ $output == *"restart specifier"* ]]
}

# The commands of all containers called NAME, a word a line.
words() { # NAME
    python3 - "$ROOT/ops/kubernetes/run.yaml" "$1" <<'PY'
import sys, yaml
for d in yaml.safe_load_all(open(sys.argv[1])):
    for c in d["spec"].get("template", {}).get("spec", {}).get("containers", []):
        if c["name"] == sys.argv[2]:
            print("\n".join(c["command"] + c["args"]))
PY
}

@test "the manifests are what Kubernetes takes, name each other, and start what ptq takes" {
    python3 -c 'import yaml' 2>/dev/null || skip 'python3-yaml is not installed'
    python3 - "$ROOT/ops/kubernetes/run.yaml" <<'PY'
import sys, yaml
docs = list(yaml.safe_load_all(open(sys.argv[1])))
try:
    import kubernetes_validate
    for d in docs:
        kubernetes_validate.validate(d, "1.28", strict=True)
except ImportError:
    pass
by = {(d["kind"], d["metadata"]["name"]): d for d in docs}
assert len(by) == len(docs)
head, worker = by["Job", "ptq-head"]["spec"], by["Job", "ptq-worker"]["spec"]
assert by["Service", "ptq-head"]["spec"]["selector"].items() <= head["template"]["metadata"]["labels"].items()
assert worker["completionMode"] == "Indexed" and worker["completions"] == worker["parallelism"]
for job in head, worker:
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "OnFailure"
    there = {v["name"]: v for v in pod["volumes"]}
    for c in pod["initContainers"] + pod["containers"]:
        assert {m["name"] for m in c["volumeMounts"]} <= there.keys()
    assert ("PersistentVolumeClaim", there["data"]["persistentVolumeClaim"]["claimName"]) in by
words = {c["name"]: c["command"] + c["args"] for j in (head, worker) for c in j["template"]["spec"]["containers"]}
assert words["worker"][2] == "tcp://ptq-head:7000" and "tcp://0.0.0.0:7000" in words["head"]
assert words["head"][words["head"].index("--hosts") + 1] == str(worker["parallelism"])
PY
    mapfile -t head < <(words head | sed "s|/data/model|$M|; s|/data/calib.jsonl|$M/calib.jsonl|; s|/data/w4|out|; s|^128\$|64|")
    run -0 "${head[@]}" --dry-run
    [[ $output == *ptq-forward* ]]
    mapfile -t worker < <(words worker | sed 's|tcp://ptq-head:7000|tcp://127.0.0.1:9|; s|^600$|1|')
    run -100 "${worker[@]}"
    [[ $output == *"/keys/"* ]] # it got as far as its keys
}
