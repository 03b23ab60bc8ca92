#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# squeeze.bats - a table of levels for each row: against a reference in numpy, in a run, and what cannot hold it.
bats_require_minimum_version 1.5.0
load model.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    export ROOT=$BATS_TEST_DIRNAME/../..
    export XDG_RUNTIME_DIR=$(mktemp -d /tmp/ptq-squeeze-XXXXXX)
}

teardown() {
    rm -rf "$XDG_RUNTIME_DIR"
}

@test "tables are the best clusters, weighed by the Fisher diagonal, by any number of threads" {
    python3 -c 'import numpy' 2>/dev/null || skip "no numpy"
    cat >reference.py <<'END2'
import json, struct, sys
import numpy as np
def save(path, tensors):
    head, data = {}, b''
    for name, x in tensors.items():
        head[name] = {'dtype': 'F32', 'shape': list(x.shape), 'data_offsets': [len(data), len(data) + x.nbytes]}
        data += x.tobytes()
    head = json.dumps(head).encode()
    open(path, 'wb').write(struct.pack('<Q', len(head)) + head + data)
def load(path, name):
    data = open(path, 'rb').read()
    n = struct.unpack('<Q', data[:8])[0]
    x = json.loads(data[8:8 + n])[name]
    return np.frombuffer(data[8 + n:][slice(*x['data_offsets'])], {'F32': 'f4', 'U8': 'u1'}[x['dtype']]).reshape(x['shape'])
def least(x, f, k): # every end of every cluster
    at = np.argsort(x)
    x, f = x[at], f[at]
    w, a, b = (np.concatenate([[0], np.cumsum(v)]) for v in (f, f * x, f * x * x))
    def loss(i, j):
        d = w[j] - w[i]
        return max(b[j] - b[i] - (a[j] - a[i]) ** 2 / d, 0) if d > 0 else 0
    best = [loss(0, j) for j in range(len(x) + 1)]
    for _ in range(k - 1):
        best = [0] + [min(best[i] + loss(i, j) for i in range(j)) for j in range(1, len(x) + 1)]
    return best[-1]
rng = np.random.default_rng(3)
w = rng.standard_normal((20, 48)).astype('f4')
w[1] = np.sign(w[1])
f = (rng.random((20, 48)) ** 8).astype('f4')
f[2] = 0
f[3, :40] = 0
if sys.argv[1] == 'make':
    save('in.safetensors', {'o.H': np.eye(48, dtype='f4'), 'o.W': w})
    save('fisher.safetensors', {'o.weight': f})
    save('less.safetensors', {'o.weight': -f})
    save('other.safetensors', {'p.weight': f})
else:
    q, codes = load(sys.argv[1], 'o.dequantized').astype('f8'), load(sys.argv[1], 'o.codes')
    f = f.astype('f8') if sys.argv[2] == 'fisher' else np.ones_like(w, 'f8')
    for n in range(len(w)):
        g = f[n] if f[n].any() else np.ones(48)
        got, want = (g * (w[n] - q[n]) ** 2).sum(), least(w[n].astype('f8'), g, 4)
        assert abs(got - want) <= 1e-5 * want + 1e-9, (n, got, want)
        assert codes[n].max() < 4 and len(set(q[n])) <= 4
END2
    python3 reference.py make
    ptq-stream --out problems.ptq import in.safetensors
    solve() { # OUT MORE...
        ptq-solve --in problems.ptq --out "$1.ptq" --solver squeeze --grid kmeans --bits 2 --group -1 --quiet "${@:2}"
    }
    solve fisher --fisher fisher.safetensors --threads 1
    solve again --fisher fisher.safetensors --threads 3
    solve plain
    for name in fisher again plain; do
        ptq-stream export $name.ptq $name.safetensors
    done
    cmp fisher.safetensors again.safetensors
    python3 reference.py fisher.safetensors fisher
    python3 reference.py plain.safetensors plain
    run -100 solve none --fisher less.safetensors
    [[ $output == *"but squares are not below 0"* ]]
    run -100 solve none --fisher other.safetensors
    [[ $output == *"has no tensor 'o.weight'"* ]]
}

@test "a run writes it as dense weights; formats that cannot hold tables, and other solvers, say so" {
    cut_model m 1
    job() { # OUT FORMAT SOLVER GRID GROUP MORE...
        timeout 60 ptq run gptq --model m --data m/calib.jsonl --tokens 128 --length 64 --bits 3 --out "$1" --format "$2" --solver "$3" --grid "$4" \
            --group "$5" --quiet "${@:6}"
    }
    job out dense squeeze kmeans -1
    ptq-check out
    grep -q '"solver":"squeeze"' out/.ptqflow/journal.jsonl
    for format in gptq awq compressed-tensors gguf; do
        run -100 job none $format squeeze kmeans -1
        [[ $output == *kmeans* ]]
    done
    run -100 job none dense gptq kmeans -1
    [[ $output == *"a table for each row, which solver gptq does not make"* ]]
    run -100 job none dense squeeze asym -1
    [[ $output == *"solver squeeze needs --grid kmeans"* ]]
    run -100 job none dense squeeze kmeans 64
    [[ $output == *"one table a row: say --group -1"* ]]
    run -100 job none dense squeeze kmeans -1 --refine 1
    [[ $output == *"--refine means nothing to solver squeeze"* ]]
    [ ! -e none ]
}
