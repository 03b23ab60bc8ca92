#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# filter.bats - what stands between two stages, or in the place of one: links look at kinds of messages, not at who sends them.
bats_require_minimum_version 1.5.0
load left.bash
load model.bash

setup_file() {
    narrow_model "$BATS_FILE_TMPDIR/model" 2
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH" PYTHONPATH=$ROOT/ops/python PYTHONDONTWRITEBYTECODE=1
    M=$BATS_FILE_TMPDIR/model
    export XDG_RUNTIME_DIR=$(mktemp -d /tmp/ptq-filter-XXXXXX)
    at=ipc://$XDG_RUNTIME_DIR
}

teardown() {
    end_left
    rm -rf "$XDG_RUNTIME_DIR"
}

need_python() {
    for module in msgpack zstandard numpy zmq; do
        python3 -c "import $module" 2>/dev/null || skip "no Python module $module here"
    done
}

sample() { # MORE...
    ptq-sample --model "$M" --data "$M/calib.jsonl" --tokens 1024 --length 64 --chunk-tokens 128 --quiet "$@"
}

forward() { # MORE...
    ptq-forward --model "$M" --inputs full --threads 1 --quiet "$@"
}

ends_with() { # STATUS PID
    local status=0
    wait "$2" || status=$?
    [ "$status" = "$1" ] || { echo "exit status $status instead of $1"; return 1; }
}

all_end() { # PID...: well. bats has a clock of its own among the children, so nobody waits for all of them
    local pid
    for pid; do ends_with 0 "$pid"; done
}

@test "who sends what the other does not take is refused, and both say the kinds" {
    sample --out chunks.ptq
    ptq-reduce --in "@$at/rows" --out problems.ptq 2>said &
    run -100 timeout 30 ptq-cat --quiet --in chunks.ptq --out "$at/rows"
    [[ $output == *"cat sends chunk, but reduce takes acts, partial, weights"* ]]
    run -100 timeout 30 ptq-solve --quiet --in chunks.ptq --out "$at/rows"
    [[ $output == *"solve sends solution, but reduce takes acts, partial, weights"* ]]
    forward --in chunks.ptq --out "$at/rows" # the reducer has gone on waiting for one that fits
    ends_with 0 $!
    grep -q "refused cat: cat sends chunk, but reduce takes acts, partial, weights" said
    grep -q "refused solve: solve sends solution, but reduce takes acts, partial, weights" said
    run -100 ptq-forward --model "$M" --inputs full --quiet --in problems.ptq --out x.ptq # a file is looked at message by message
    [[ $output == *"a message of kind problem, but forward takes chunk"* ]]
}

@test "ptq-cat stands between any two stages, and nothing changes" {
    sample --out chunks.ptq
    forward --in chunks.ptq | ptq-reduce --quiet --out direct.ptq
    sample --out "@$at/chunks" &
    started=$!
    ptq-cat --quiet --in "$at/chunks" --out "@$at/more-chunks" --peers-out 2 &
    started+=" $!"
    for worker in 1 2; do
        forward --in "$at/more-chunks" --out "$at/rows" &
        started+=" $!"
    done
    ptq-cat --quiet --in "@$at/rows" --peers-in 2 --out "$at/more-rows" &
    started+=" $!"
    timeout 60 ptq-reduce --quiet --in "@$at/more-rows" --out through.ptq
    all_end $started
    run -0 ptq-diff direct.ptq through.ptq
    [[ $output == *" 0 differences" ]]
}

@test "a relay routes by site, as the reducer does" {
    sample --out chunks.ptq
    forward --in chunks.ptq | ptq-reduce --quiet --out problems.ptq
    ptq-cat --quiet --in problems.ptq --out "@$at/problems" --peers-out 2 &
    started=$!
    for only in attn mlp; do
        ptq-solve --quiet --group 64 --in "$at/problems" --only "$only.*" --out $only.ptq &
        started+=" $!"
    done
    all_end $started
    [ "$(ptq-inspect --fast attn.ptq | grep -c '^solution .*attn\.')" = 4 ]
    [ "$(ptq-inspect --fast mlp.ptq | grep -c '^solution .*mlp\.')" = 4 ]
}

first_doubled() { # filter.py: the first token of each row counts twice
    cat >filter.py <<'END'
import sys
import numpy as np, ptqwire as w

def double(m):
    weights = np.ones(m.tensors["ids"][1].size, "f4")
    if "weights" in m.tensors:
        weights = m.tensors["weights"][1].copy()
    weights[np.cumsum(m.tensors["lengths"][1]) - m.tensors["lengths"][1]] *= 2
    m.tensors["weights"] = ("F32", weights)
    return m

w.run_filter(sys.argv[1], sys.argv[2], double, peers=int(sys.argv[3]))
END
}

same_sums() { # A B: they differ in nothing but the record of how the weights came about
    run -1 ptq-diff "$1" "$2"
    [ "$(grep -c ': prov: the fields differ' <<<"$output")" = 8 ]
    [[ $output == *" tensors equal, 8 differences" ]]
}

@test "a filter in Python between sample and forward, in a pipe and on sockets: as if the sampler had weighed the tokens" {
    need_python
    first_doubled
    sample --first-weight 2 | forward | ptq-reduce --quiet --out want.ptq
    sample | forward | ptq-reduce --quiet --out plain.ptq
    run -1 ptq-diff plain.ptq want.ptq
    sample | python3 filter.py - - 1 | forward | ptq-reduce --quiet --out pipe.ptq
    same_sums want.ptq pipe.ptq
    sample --out "@$at/chunks" &
    started=$!
    timeout 60 python3 filter.py "$at/chunks" "@$at/weighed" 2 &
    started+=" $!"
    for worker in 1 2; do
        forward --in "$at/weighed" --out "$at/rows" &
        started+=" $!"
    done
    timeout 60 ptq-reduce --quiet --in "@$at/rows" --peers 2 --out sockets.ptq
    all_end $started
    same_sums want.ptq sockets.ptq
}

@test "a filter that fails: both its neighbours stop, with its reason" {
    need_python
    cat >broken.py <<'END'
import sys
import ptqwire as w

def give_up(m):
    if m.id == "c1":
        raise RuntimeError("no more of this")
    return m

w.run_filter(sys.argv[1], sys.argv[2], give_up)
END
    sample --out "@$at/chunks" 2>sampled &
    python3 broken.py "$at/chunks" "@$at/weighed" 2>filtered &
    run -1 timeout 60 ptq-forward --model "$M" --inputs full --quiet --in "$at/weighed" --out rows.ptq
    [[ $output == *"incomplete: no more of this"* ]]
}

@test "fields and tensors that nobody knows pass through ptq-cat, in any kind" {
    need_python
    python3 -c '
import numpy as np, ptqwire as w
extra = {"x": ("F32", np.ones((2, 3), "f4")), "strange": ("U16", np.arange(7, dtype="u2"))}
with open("made.ptq", "wb") as f:
    w.write_stream(f, [w.Message(k, f"b0.attn.qkv/{i}", run="r", meta={"field": {"deep": [1, None]}, "i": i}, tensors=extra)
                       for i, k in enumerate(sorted(w.DATA))])'
    ptq-cat --quiet --in made.ptq --out "@$at/s" &
    timeout 30 ptq-cat --quiet --in "$at/s" --out came.ptq
    wait $!
    python3 -c '
import ptqwire as w
both = [[(m.kind, m.id, m.stage, m.run, m.meta, sorted(m.tensors)) for m in w.read_stream(open(n, "rb"))] for n in ("made.ptq", "came.ptq")]
assert both[0] == both[1] and len(both[0]) == 7, both'
    run -0 ptq-diff made.ptq came.ptq
}

@test "a solver in Python takes the solver's place, and is swapped for another during the run" {
    need_python
    M=$ROOT/pipelines/demo/tale-qwen3 # long enough to do something in the middle
    cat >round.py <<'END'
import sys
import numpy as np, ptqwire as w

def solve(p):
    tensors, linears = {}, []
    for linear in p.meta["linears"]:
        W = w.bf16_to_f32(p.tensors[linear["name"]][1])
        scale = (np.abs(W).max(axis=1, keepdims=True) / 7).astype("f2")
        codes = np.clip(np.rint(W / scale) + 8, 0, 15).astype("u1")
        loss = float(((W - scale * (codes.astype("f4") - 8)) ** 2).sum())
        linears.append(dict(linear, bits=4, group=-1, grid="sym", loss=loss, rel_loss=0.01, asym_loss=None))
        tensors[linear["name"] + ".codes"] = ("U8", codes)
        tensors[linear["name"] + ".scales"] = ("F16", scale)
    keep = ("block", "order", "sites", "site", "K", "tokens", "sequences", "sum_w", "sum_w2", "prov")
    meta = {k: p.meta[k] for k in keep if k in p.meta}
    meta.update(solver="round", damp=0.0, attempts=1, fallback=None, seconds=0.0, linears=linears)
    return w.Message("solution", p.id, "round", p.run, meta=meta, tensors=tensors)

out = w.Link(sys.argv[2], sends=["solution"], name="round")
for p in w.receive(sys.argv[1], ["problem"], name="round", credit=1):
    out.send(solve(p))
out.end()
END
    sed 's/^solve\*1 elastic: .*/rounds*1 elastic: python3 round.py %problems %solutions/; /^ .*--\(solver\|groups\|override\)/d; s/${solve.count}/1/' \
        "$ROOT/pipelines/gptq.pipe" >round.pipe
    ptq run ./round.pipe --model "$M" --data "$M/calib.jsonl" --tokens 2048 --length 128 --workers forward=1 --out out >log 2>&1 3>&- &
    run_pid=$!
    until [ "$(grep -c '"solver": *"round"' out/.ptqflow/journal.jsonl 2>/dev/null)" ] &&
        [ "$(grep -c '"record": *"site"' out/.ptqflow/journal.jsonl)" -ge 3 ]; do
        kill -0 $run_pid || { cat log; return 1; }
    done
    ptq ctl --out out swap rounds "ptq-solve --solver rtn --group -1 --in %problems --out %solutions"
    ends_with 0 $run_pid || { cat log; return 1; }
    [ "$(jq -r 'select(.record == "site") | .order' out/.ptqflow/journal.jsonl | sort -n | xargs)" = "$(seq 0 23 | xargs)" ]
    [ "$(jq -r 'select(.record == "site") | .solver' out/.ptqflow/journal.jsonl | sort -u | xargs)" = "round rtn" ]
    [ -s out/model.safetensors ]
}
