#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tiny random models of every family with options that few use, in transformers and in `ptq eval --logits`.

variants.py MODELS DIR [FAMILY...]   MODELS: the conformance folders, whose config.json is where each starts from; DIR: an empty folder

A line for each model: how far a logit is off at most, as a share of their deviation (f32 against f32: 1e-4 is far), or what refused it. Exits 1
where one is further off, or is refused and should not be."""
import json
import math
import os
import random
import shutil
import subprocess
import sys

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", CUDA_VISIBLE_DEVICES="")
FAR = 2e-4
WINDOWS = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1, "layer_types": None}
MIXED = {"layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 4, "use_sliding_window": True}


def rope(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}, "rope_scaling": None, "rope_theta": None}


def longrope(half, factor, original, **more):
    short, long = ([round(1 + step * i, 3) for i in range(half)] for step in (0.05, 0.4))
    said = {"rope_type": "longrope", "short_factor": short, "long_factor": long, "original_max_position_embeddings": original, **more}
    return said if factor is None else {**said, "factor": factor}


YARN = rope("yarn", factor=4.0, original_max_position_embeddings=16, attention_factor=1.3, beta_fast=16.0, beta_slow=2.0, truncate=False)
MSCALE = rope("yarn", factor=8.0, original_max_position_embeddings=16, mscale=0.7, mscale_all_dim=0.4)
DEFAULT = rope("default")
LLAMA3 = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)



def of(family, architecture, **options):
    """What has no folder of its own starts from another's."""
    return {"model_type": family, "architectures": [architecture], **options}


SEED = of("seed_oss", "SeedOssForCausalLM", attention_bias=True, attention_out_bias=False)
ERNIE = of("ernie4_5", "Ernie4_5ForCausalLM", head_dim=24)
GLM = of("glm", "GlmForCausalLM", **DEFAULT)
GLM4 = of("glm4", "Glm4ForCausalLM", **DEFAULT)
EXAONE = of("exaone4", "Exaone4ForCausalLM", **DEFAULT)
ARCEE = of("arcee", "ArceeForCausalLM", hidden_act="relu2")
LITE = of("glm4_moe_lite", "Glm4MoeLiteForCausalLM", n_group=1, topk_group=1)
MINIMAX = of("minimax_m2", "MiniMaxM2ForCausalLM", head_dim=16, **rope("default", partial_rotary_factor=0.5))

# Of each family: options, and after them the key by which it is to be refused. None: the key is taken out.
VARIANTS = [
    ("llama3", {"num_key_value_heads": 1, "attention_bias": True, "tie_word_embeddings": True, "head_dim": 24, **rope("linear", factor=4.0)}),
    ("llama3", {"max_position_embeddings": 16, "mlp_bias": True, **rope("dynamic", factor=2.0)}),
    ("llama3", {"hidden_act": "gelu_pytorch_tanh", "rms_norm_eps": 1e-2, **YARN}),
    ("llama3", MSCALE),
    ("llama3", {"hidden_act": "gelu"}),
    ("llama3", {"hidden_act": "quick_gelu", **DEFAULT}),
    ("llama3", {"hidden_act": "relu2"}),
    ("llama3", {"hidden_act": "relu"}),
    ("llama3", {"hidden_act": "mish"}, "hidden_act"),
    ("llama3", SEED),
    ("llama3", {**SEED, "attention_out_bias": True, "mlp_bias": True, **YARN}),
    ("llama3", ERNIE),
    ("llama3", {**ERNIE, "use_bias": True, "tie_word_embeddings": True, **DEFAULT}),
    ("llama3", {**GLM, "partial_rotary_factor": 0.5, "attention_bias": True}),
    ("llama3", {**GLM4, "partial_rotary_factor": 0.5}),
    ("llama3", {**GLM4, **rope("default", partial_rotary_factor=0.25), "attention_bias": True, "tie_word_embeddings": True}),
    ("llama3", {**EXAONE, "sliding_window": 4, "sliding_window_pattern": 2}),
    ("llama3", {**EXAONE, "sliding_window": 4, "sliding_window_pattern": "LLLG", "layer_types": ["sliding_attention"] * 3 + ["full_attention"]}),
    ("llama3", {**EXAONE, "sliding_window": None, "sliding_window_pattern": None, "layer_types": ["full_attention"] * 4, **LLAMA3}),
    ("llama3", ARCEE),
    ("llama3", {**ARCEE, "hidden_act": "silu", "mlp_bias": True, "attention_bias": True, **YARN}),
    ("deepseek_v3", LITE),
    ("deepseek_v3", {**LITE, "mlp_layer_types": ["sparse", "dense", "sparse", "dense"], "q_lora_rank": None, "rope_interleave": False, **DEFAULT}),
    ("mixtral", MINIMAX),
    ("mixtral", {**MINIMAX, "num_experts_per_tok": 3, "tie_word_embeddings": True, "rotary_dim": 12, **DEFAULT}),
    ("mistral", {"sliding_window": 3, "head_dim": 24, "tie_word_embeddings": True}),
    ("qwen2", WINDOWS),
    ("qwen2", MIXED),
    ("qwen3", {**WINDOWS, "attention_bias": True, "tie_word_embeddings": False}),
    ("qwen3", {"num_key_value_heads": 1, **LLAMA3}),
    ("qwen3_moe", {"mlp_only_layers": [0], "norm_topk_prob": True, "num_experts_per_tok": 1}),
    ("qwen3_moe", {"decoder_sparse_step": 1, "norm_topk_prob": False, "attention_bias": True}),
    ("mixtral", {"num_experts_per_tok": 3, "sliding_window": 6}),
    ("gemma2", {"attn_logit_softcapping": None, "attention_bias": True, "query_pre_attn_scalar": 7}),
    ("gemma2", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ("gemma3", {"final_logit_softcapping": 5.0, "attn_logit_softcapping": 7.0}),
    ("gemma3", {"rope_parameters": {"full_attention": longrope(10, 4.0, 9, rope_theta=1000000.0), "sliding_attention": longrope(10, None, 64, rope_theta=10000.0)}}),
    ("gemma3", {"attention_bias": True, "tie_word_embeddings": False, "query_pre_attn_scalar": 5}),
    ("smollm3", {"no_rope_layers": [0, 1, 1, 0, 1], "attention_bias": True, "mlp_bias": True}),
    ("phi3", {"sliding_window": 5, "partial_rotary_factor": 0.25, "num_key_value_heads": 1}),
    ("phi3-longrope", {"original_max_position_embeddings": 64}),
    ("phi3-longrope", {"original_max_position_embeddings": 4}),
    ("olmo2", {"attention_bias": True, "num_key_value_heads": 1, **rope("linear", factor=2.0)}),
    ("olmo3", {"rope_scaling": longrope(8, 2.0, 7)}),
    ("olmo3", {"layer_types": ["full_attention", "sliding_attention"] * 2, "sliding_window": 5}),
    ("granite", {"attention_bias": True, "mlp_bias": True, "logits_scaling": 3.0, "residual_multiplier": 0.5}),
    ("cohere2", {"logit_scale": 0.3, "attention_bias": True, "layer_norm_eps": 1e-3}),
    ("cohere2", {"use_qk_norm": True}, "use_qk_norm"),
    ("gpt_oss", {"num_experts_per_tok": 3, "sliding_window": 4, "attention_bias": False, "swiglu_limit": 1.0}),
    ("deepseek_v3", {"q_lora_rank": None, "attention_bias": True}),
    ("deepseek_v3", {"rope_interleave": False, "n_group": 1, "topk_group": 1, "norm_topk_prob": False}),
    ("glm4_moe", {"use_qk_norm": False, "n_group": 2, "topk_group": 1, "partial_rotary_factor": 0.25}),
    ("ministral3", {"sliding_window": 5, "num_key_value_heads": 1, "attention_bias": True}),
    ("qwen2_moe", {**WINDOWS, "qkv_bias": False, "norm_topk_prob": True}),
    ("qwen3_next", {"norm_topk_prob": False, "attention_bias": True, "partial_rotary_factor": 0.5}),
    ("qwen3_5", {"linear_conv_kernel_dim": 3, "tie_word_embeddings": True, "attention_bias": True}),
    ("qwen3_5_moe", {"num_experts_per_tok": 1}),
    ("gemma4", {"num_kv_shared_layers": 0, "final_logit_softcapping": None}),
    ("gemma4-moe", {"top_k_experts": 1, "attention_k_eq_v": False, "attention_bias": True}),
]
TAKEN_OUT = {"layer_types", "rope_scaling", "rope_theta"}


def configure(source, folder, options):
    with open(os.path.join(source, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    text = config.get("text_config", config)
    for key, value in options.items():
        for part in [text] + [config] * (key == "tie_word_embeddings"):
            if value is None and key in TAKEN_OUT:
                part.pop(key, None)
            else:
                part[key] = value
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f)
    return text is config, text["vocab_size"]


def make(folder, plain, seed):
    """The model with weights of a size that makes every part count."""
    import torch
    import transformers

    kind = transformers.AutoModelForCausalLM if plain else transformers.AutoModelForImageTextToText
    config = transformers.AutoConfig.from_pretrained(folder)
    model = kind.from_config(config, attn_implementation="eager", dtype=torch.float32).float().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            r = torch.randn(p.shape, generator=generator)
            if p.dim() >= 2:
                p.copy_(1.2 * r / math.sqrt(p.shape[-1]))
            elif "norm" in name:
                p.copy_(p.mean().round() + 0.2 * r)
            else:
                p.copy_(0.5 * r if "A_log" in name else p + 0.3 * r)
        for name, b in model.named_buffers():
            if "correction" in name:
                b.copy_(0.1 * torch.randn(b.shape, generator=generator))
    model.save_pretrained(folder)
    return model


def compare(folder, model, vocab):
    """(how far, what refused it)"""
    import torch
    from safetensors.torch import load_file

    rows, logits = os.path.join(folder, "ids.jsonl"), os.path.join(folder, "logits")
    draw = random.Random(7)
    ids = [draw.randrange(4, min(vocab, 250)) for _ in range(40)]
    with open(rows, "w", encoding="utf-8") as f:
        f.write(json.dumps({"input_ids": ids}) + "\n")
    with torch.no_grad():
        want = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    done = subprocess.run(["ptq", "eval", "--model", folder, "--data", rows, "--logits", logits, "--json", "--quiet"], capture_output=True, text=True)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1]
    return ((load_file(logits)["logits.0"] - want).abs().max() / want.std()).item(), ""


def main(models, room, *families):
    bad = 0
    for i, (family, options, *refusal) in enumerate(VARIANTS):
        if families and family not in families:
            continue
        folder = os.path.join(room, f"{i}-{family}")
        plain, vocab = configure(os.path.join(models, family), folder, options)
        far, why = compare(folder, make(folder, plain, i), vocab)
        good = far is not None and far < FAR if not refusal else far is None and refusal[0] in why
        bad += not good
        said = why if far is None else f"{far:.1e}"
        print("ok" if good else "BAD", family, json.dumps(options), said, flush=True)
        shutil.rmtree(folder)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
