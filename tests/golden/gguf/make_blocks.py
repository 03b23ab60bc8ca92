# SPDX-License-Identifier: Apache-2.0
# How blocks.safetensors was made: random blocks, decoded by the package gguf (0.19.0, MIT) of PyPI.
# python3 make_blocks.py blocks.safetensors
import json, struct, sys
import gguf, numpy as np

STEPS = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
         "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}
rng = np.random.default_rng(11)
head, body = {}, b""


def add(name, dtype, a):
    global body
    b = a.tobytes()
    head[name] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [len(body), len(body) + len(b)]}
    body += b


for name, at in STEPS.items():
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (3, size), dtype=np.uint8)
    for row in blocks:
        for o in at:                                     # steps that are numbers, of either sign
            row[o:o + 2] = np.array([rng.normal() / 64], np.float16).view(np.uint8)
    add(name + ".bytes", "U8", blocks)
    add(name + ".dequant", "F32", gguf.quants.dequantize(blocks, kind).astype(np.float32))
text = json.dumps(head).encode()
text += b" " * (-len(text) % 8)
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + body)
