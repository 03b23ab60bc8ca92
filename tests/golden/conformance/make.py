#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Remakes the folders of families that PTQ_SHARED lacks, with transformers and the helpers of its data/conformance (conform.py).

make.py [FAMILY ...]   with PTQ_SHARED set; writes into the folder it lies in, and prints the f32-f64 differences for test_conformance.c"""
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.environ["PTQ_SHARED"], "data/conformance"))
import conform  # noqa: E402
import transformers as T  # noqa: E402

SIZES = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16)
SIZES.update(max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False)
LATENT = dict(n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=24, n_shared_experts=1, num_key_value_heads=4, q_lora_rank=24)
LATENT.update(kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=12, mlp_layer_types=["dense", "sparse"])
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)


def rope(part=None, **more):
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, **({"partial_rotary_factor": part} if part else {}), **more}}


# Class, what it has beside the sizes, and what that turns on.
FAMILIES = {
    "seed_oss": (T.SeedOssForCausalLM, {"attention_bias": True, "attention_out_bias": False, "rope_parameters": LLAMA3}, ["biases of q, k, v, none of o"]),
    "ernie4_5": (T.Ernie4_5ForCausalLM, {"use_bias": True, **rope()}, ["neighbours turn together", "biases everywhere"]),
    "glm": (T.GlmForCausalLM, {"attention_bias": True, **rope(0.5)}, ["half of a head turns, neighbours together", "fused gate_up", "biases of q, k, v"]),
    "glm4": (T.Glm4ForCausalLM, rope(0.5), ["the same", "norms behind the sublayers too"]),
    "exaone4": (T.Exaone4ForCausalLM, {"sliding_window": 5, "sliding_window_pattern": 2, **rope()}, ["norms behind the sublayers", "q/k norm", "window 5 and rope in the first layer only"]),
    "arcee": (T.ArceeForCausalLM, {"hidden_act": "relu2", "mlp_bias": True, **rope()}, ["no gate, the square of a relu", "biases of the MLP"]),
    "glm4_moe_lite": (T.Glm4MoeLiteForCausalLM, {**LATENT, **rope()}, ["keys and values from a latent", "sigmoid router with a correction, weights times 1.8", "a shared expert", "the first block dense"]),
    "minimax_m2": (T.MiniMaxM2ForCausalLM, {"num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 24, **rope(0.5)}, ["sigmoid router with a correction", "q/k norm over all heads", "half of a head turns"]),
}


def corrected(model):
    """A correction that changes who is chosen."""
    import torch

    for name, b in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            b.copy_(0.3 * torch.randn(b.shape, generator=torch.Generator().manual_seed(5)))


def linears(tap, root, name, shared=conform.Tap.linears):
    """The helper takes the input of up from that of gate: here there may be none."""
    shared(tap, root, name)
    names = [n for n, _ in root.named_modules()]
    if "mlp.up_proj" in names and "mlp.gate_proj" not in names:
        tap.pre(root.get_submodule("mlp.up_proj"), f"in.{tap.s}.{name}.mlp.up_proj")


def main(names):
    conform.Tap.linears = linears
    weights = conform.init_weights
    conform.init_weights = lambda model, *rest: (weights(model, *rest), corrected(model))
    for i, (name, (kind, more, cases)) in enumerate(FAMILIES.items()):
        if not names or name in names:
            conform.text_family(os.path.join(here, name), name, kind, {k: v for k, v in {**SIZES, **more}.items() if not (k == "head_dim" and "kv_lora_rank" in more)}, (24, 13), 1, "bf16", 70 + i, cases)


if __name__ == "__main__":
    main(sys.argv[1:])
