#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unpacks a GPTQ v1 checkpoint with numpy alone and compares it with the dequantized checkpoint beside it.

usage: check_gptq.py GPTQ_DIR DENSE_DIR. Exit 0 equal, 1 not, 77 numpy or safetensors missing.
Written from the description of the format, not from the C code: bits as a stream, value = scale * (code - zero)."""
import json
import os
import sys

try:
    import numpy as np
    from safetensors.numpy import load_file  # noqa: F401  (says whether the library is there and reads headers)
except ImportError as missing:
    print(f"skip: {missing}")
    sys.exit(77)


def raw(folder):
    """name -> (dtype, array); bf16 as uint16, read here because numpy has no bf16."""
    out = {}
    for file in sorted(os.listdir(folder)):
        if not file.endswith(".safetensors"):
            continue
        data = open(os.path.join(folder, file), "rb").read()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        kinds = {"I32": "<i4", "F16": "<f2", "BF16": "<u2", "F32": "<f4"}
        for name, t in header.items():
            if name != "__metadata__":
                first, end = t["data_offsets"]
                out[name] = (t["dtype"], np.frombuffer(data[8 + size + first : 8 + size + end], kinds[t["dtype"]]).reshape(t["shape"]))
    return out


def fields(words, bits, axis):
    """Unsigned b-bit fields of 32-bit words along an axis, lowest bit first."""
    words = np.moveaxis(words.view(np.uint32), axis, 0)
    stream = (words[:, None] >> np.arange(32, dtype=np.uint32)[None, :, None]) & 1
    stream = stream.reshape(-1, bits, words.shape[1])
    values = (stream << np.arange(bits, dtype=np.uint32)[None, :, None]).sum(1)
    return np.moveaxis(values, 0, axis).astype(np.int64)


def f64(dtype, a):
    if dtype == "BF16":
        return (a.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return a.astype(np.float64)


def to_type(dtype, w):
    w = w.astype(np.float32)
    if dtype == "BF16":
        u = w.view(np.uint32)
        return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)
    return w.astype({"F16": np.float16, "F32": np.float32}[dtype])


def main(gptq, dense):
    config = json.load(open(os.path.join(gptq, "config.json")))["quantization_config"]
    assert config == json.load(open(os.path.join(gptq, "quantize_config.json")))
    bits = config["bits"]
    packed, plain = raw(gptq), raw(dense)
    count = 0
    for name, (dtype, want) in plain.items():
        linear = name.removesuffix(".weight")
        if linear + ".qweight" not in packed:
            assert packed[name][0] == dtype and np.array_equal(packed[name][1], want), name
            continue
        codes = fields(packed[linear + ".qweight"][1], bits, 0)            # [K, N]
        zeros = fields(packed[linear + ".qzeros"][1], bits, 1) + 1         # [G, N]
        scales = f64(*packed[linear + ".scales"])
        group = packed[linear + ".g_idx"][1]
        assert name not in packed, name
        value = scales[group] * (codes - zeros[group])
        assert np.array_equal(to_type(dtype, np.ascontiguousarray(value.T)), want), name
        count += 1
    quantized = sum(n.endswith(".qweight") for n in packed)
    assert count == quantized > 0, (count, quantized)
    assert len(packed) == len(plain) + 3 * count
    print(f"{count} linears equal")


if __name__ == "__main__":
    main(*sys.argv[1:3])
