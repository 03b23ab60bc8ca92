# SPDX-License-Identifier: Apache-2.0
"""GPTQ with desc_act and without static groups, in f64, plainly: makes golden.safetensors (a problem
of its own, 3 bits, groups of 16). With the folder of the official solver's goldens as argument it
first shows that it gives their codes (whose grids are stale within blocks of 128 columns)."""
import json, os, struct, sys
import numpy as np

DT = {"F64": "<f8", "F32": "<f4", "U8": "u1", "I32": "<i4"}


def load(path):
    raw = open(path, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    return {k: np.frombuffer(raw[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]], DT[v["dtype"]]).reshape(v["shape"])
            for k, v in json.loads(raw[8:8 + n]).items() if k != "__metadata__" and v["dtype"] in DT}


def save(path, tensors):
    names = {np.dtype(v).str: k for k, v in DT.items()}
    head, at = {}, 0
    for k, a in tensors.items():
        head[k] = {"dtype": names[a.dtype.str], "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(head).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(np.ascontiguousarray(a).tobytes() for a in tensors.values()))


def solve(W, H, bits, group, damp=0.01, stale=0):
    N, K = W.shape
    W, H, top = W.astype("f8").copy(), H.copy(), 2 ** bits - 1
    dead = np.diag(H) == 0
    H[dead, dead] = 1
    W[:, dead] = 0
    order = np.argsort(-np.diag(H), kind="stable")
    W, H = W[:, order], H[order][:, order]
    H[np.diag_indices(K)] += damp * np.diag(H).mean()
    U = np.linalg.cholesky(np.linalg.inv(H)).T
    codes, scales = np.zeros((N, K), "u1"), np.zeros((N, K // group))
    begun = W.copy()
    for j in range(K):
        if stale and j % stale == 0:
            begun = W.copy()
        if j % group == 0:
            x = (begun if stale else W)[:, j:j + group]
            lo, hi = np.minimum(x.min(1), 0), np.maximum(x.max(1), 0)
            a = np.maximum(np.where(lo < 0, -lo, 0), hi)
            lo = np.where(lo < 0, -a, lo)
            lo, hi = np.where(a == 0, -1.0, lo), np.where(a == 0, 1.0, a)
            scales[:, j // group] = s = (hi - lo) / top
        q = np.clip(np.rint(W[:, j] / s) + 2 ** (bits - 1), 0, top)
        codes[:, j] = q
        W[:, j:] -= np.outer((W[:, j] - s * (q - 2 ** (bits - 1))) / U[j, j], U[j, j:])
    place = np.argsort(order)
    return codes[:, place], scales, (place // group).astype("<i4")


if len(sys.argv) > 1:
    for name in "L1.attn_in", "L1.down_in":
        g, case = load(f"{sys.argv[1]}/{name}.safetensors"), "gptq-b3-gsym-g64-act-compat."
        codes, scales, groups = solve(g["W"], g["H"], 3, 64, stale=128)
        fine = g[case + "margin"] >= 1e-6
        print(name, "codes differ:", (codes != g[case + "codes"])[fine].sum(), "groups differ:", (groups != g[case + "g_idx"]).sum(),
              "scales:", np.abs(scales / g[case + "scales"] - 1)[fine].max(),
              "not stale, codes differ:", (solve(g["W"], g["H"], 3, 64)[0] != g[case + "codes"]).sum())

r = np.random.default_rng(11)
X = r.standard_normal((200, 64)) * np.exp(r.standard_normal(64))
X[:, 1:] += 0.5 * X[:, :-1]
W, H = r.standard_normal((12, 64)).astype("f4"), X.T @ X / len(X)
codes, scales, groups = solve(W, H, 3, 16)
save(os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "golden.safetensors"),
     {"H": H, "scales": scales, "W": W, "g_idx": groups, "codes": codes})
