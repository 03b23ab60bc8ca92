#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stories.py CHECKPOINT TOKENIZER DIR [TEXT ROWS.jsonl]... - a model of llama2.c (the first format of its checkpoints) as a Hugging Face
folder, and texts as rows of tokens, so that the studies can take it. Needs numpy.

The hidden size is filled up to a multiple of 64 with zeros, which changes no output: groups of inputs want that.
"""
import json
import os
import struct
import sys

import numpy as np


def read(path):
    """Header and tensors; the rows of wq and wk in the order of halves, which Hugging Face's rotation wants."""
    with open(path, "rb") as f:
        dim, hidden, layers, heads, kv, vocab, context = struct.unpack("<7i", f.read(28))
        take = lambda *shape: np.fromfile(f, "<f4", int(np.prod(shape))).reshape(shape)
        kv_dim = dim // heads * kv
        t = {"embed": take(abs(vocab), dim), "norm1": take(layers, dim), "q": take(layers, dim, dim), "k": take(layers, kv_dim, dim),
             "v": take(layers, kv_dim, dim), "o": take(layers, dim, dim), "norm2": take(layers, dim), "gate": take(layers, hidden, dim),
             "down": take(layers, dim, hidden), "up": take(layers, hidden, dim), "norm": take(dim)}
    size = dim // heads
    for name, n in (("q", heads), ("k", kv)):
        t[name] = t[name].reshape(layers, n, size // 2, 2, dim).transpose(0, 1, 3, 2, 4).reshape(layers, n * size, dim)
    wide = -(-hidden // 64) * 64
    for name in ("gate", "up"):
        t[name] = np.pad(t[name], ((0, 0), (0, wide - hidden), (0, 0)))
    t["down"] = np.pad(t["down"], ((0, 0), (0, 0), (0, wide - hidden)))
    return t, {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": dim, "intermediate_size": wide, "num_hidden_layers": layers,
               "num_attention_heads": heads, "num_key_value_heads": kv, "vocab_size": abs(vocab), "max_position_embeddings": context,
               "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": True, "torch_dtype": "float32",
               "bos_token_id": 1, "eos_token_id": 2}


def write(folder, t, config):
    names = {"model.embed_tokens.weight": t["embed"], "model.norm.weight": t["norm"]}
    for i in range(config["num_hidden_layers"]):
        base = f"model.layers.{i}."
        for ours, theirs in (("norm1", "input_layernorm"), ("norm2", "post_attention_layernorm"), ("q", "self_attn.q_proj"), ("k", "self_attn.k_proj"),
                             ("v", "self_attn.v_proj"), ("o", "self_attn.o_proj"), ("gate", "mlp.gate_proj"), ("up", "mlp.up_proj"),
                             ("down", "mlp.down_proj")):
            names[base + theirs + ".weight"] = t[ours][i]
    header, at = {}, 0
    for name, v in names.items():
        header[name] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [at, at + v.nbytes]}
        at += v.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for v in names.values():
            f.write(np.ascontiguousarray(v, "<f4").tobytes())
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f, indent=2)


def vocabulary(path, count):
    with open(path, "rb") as f:
        f.read(4)
        pieces = []
        for _ in range(count):
            score, length = struct.unpack("<fi", f.read(8))
            pieces.append((f.read(length), score))
    return {piece: (i, score) for i, (piece, score) in reversed(list(enumerate(pieces)))}


def encode(text, known):
    """Pairs are joined, the one with the highest score first; bytes that stand for nothing are tokens of their own."""
    ids = []
    for word in (" " + text).replace(" ", "\0 ").split("\0"):  # no piece goes on behind a space
        parts = [c.encode() for c in word]
        while True:
            pairs = [(known[a + b][1], -i) for i, (a, b) in enumerate(zip(parts, parts[1:])) if a + b in known]
            if not pairs:
                break
            i = -max(pairs)[1]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        for p in parts:
            ids += [known[p][0]] if p in known else [b + 3 for b in p]
    return ids


def main(checkpoint, tokenizer, folder, *texts):
    t, config = read(checkpoint)
    write(folder, t, config)
    known = vocabulary(tokenizer, config["vocab_size"])
    for source, rows in zip(texts[::2], texts[1::2]):
        ids = []
        with open(source, encoding="utf-8") as f:
            for story in f.read(400000).split("<|endoftext|>")[:-1]:
                ids += [1] + encode(story.strip(), known)
        with open(rows, "w", encoding="utf-8") as f:
            for i in range(0, len(ids) - 255, 256):
                f.write(json.dumps({"input_ids": ids[i:i + 256]}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
