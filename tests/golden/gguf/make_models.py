# SPDX-License-Identifier: Apache-2.0
"""Small GGUF files by llama.cpp's gguf package, and the tensors of the checkpoints they are of."""
import json, struct, numpy as np, gguf, os
from gguf import GGUFWriter, GGMLQuantizationType as Q, quants
rng = np.random.default_rng(7)
D, FF, H, KV, HD, V, L, E, EFF = 32, 32, 2, 1, 16, 5, 1, 2, 32
out = os.path.dirname(os.path.abspath(__file__))
def permute(w, heads):  # as convert_hf_to_gguf.py does it for Llama
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)
def st_write(path, tensors):
    head, at, blobs = {}, 0, []
    for k in sorted(tensors):
        b = tensors[k].astype(np.float32).tobytes()
        head[k] = {"dtype": "F32", "shape": list(tensors[k].shape), "data_offsets": [at, at + len(b)]}
        at += len(b); blobs.append(b)
    h = json.dumps(head).encode(); h += b' ' * (-len(h) % 8)
    open(path, 'wb').write(struct.pack('<Q', len(h)) + h + b''.join(blobs))
def half(*shape): return (rng.standard_normal(shape) * 0.25).astype(np.float16).astype(np.float32)
def make(name, arch, keys, rows, hf):
    """rows: (name in the file, array, type)"""
    w = GGUFWriter(f'{out}/{name}.gguf', arch)
    w.add_block_count(L); w.add_context_length(64); w.add_embedding_length(D); w.add_feed_forward_length(FF)
    w.add_head_count(H); w.add_head_count_kv(KV); w.add_layer_norm_rms_eps(1e-6); w.add_key_length(HD); w.add_value_length(HD)
    w.add_tokenizer_model('gpt2'); w.add_tokenizer_pre('qwen2'); w.add_token_list(['a', 'b', 'ab', 'c', '<e>']); w.add_token_types([1, 1, 1, 1, 3]); w.add_token_merges(['a b'])
    w.add_eos_token_id(4)
    keys(w)
    for n, a, t in rows:
        if t == Q.F32: w.add_tensor(n, a.astype(np.float32))
        elif t == Q.F16: w.add_tensor(n, a.astype(np.float16))
        else: w.add_tensor(n, quants.quantize(a.astype(np.float32), t), raw_dtype=t)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
    st_write(f'{out}/{name}.safetensors', hf)
def put(rows, hf, file, model, a, t=Q.F16, shift=0, perm=0):
    f = permute(a, perm) if perm else a
    if t not in (Q.F16, Q.F32):
        f = quants.dequantize(quants.quantize(f, t), t)
        # rows of heads go back: the inverse of permute
        a = f.reshape(perm, a.shape[0] // perm // 2, 2, *a.shape[1:]).swapaxes(1, 2).reshape(a.shape) if perm else f
    rows.append((file, f + shift, t)); hf[model] = a
def norm(rows, hf, file, model, n, shift=0):
    a = half(n); rows.append((file, a + np.float32(shift), Q.F32)); hf[model] = (a + np.float32(shift)) - np.float32(shift)
def ends(rows, hf, shift=0, tied=0):
    put(rows, hf, 'token_embd.weight', 'model.embed_tokens.weight', half(V, D))
    norm(rows, hf, 'output_norm.weight', 'model.norm.weight', D, shift)
    if not tied: put(rows, hf, 'output.weight', 'lm_head.weight', half(V, D), Q.Q8_0)
def attn(rows, hf, i, perm, t, shift=0, qk=0):
    b, m = f'blk.{i}.', f'model.layers.{i}.'
    norm(rows, hf, b + 'attn_norm.weight', m + 'input_layernorm.weight', D, shift)
    put(rows, hf, b + 'attn_q.weight', m + 'self_attn.q_proj.weight', half(H * HD, D), t, perm=H if perm else 0)
    put(rows, hf, b + 'attn_k.weight', m + 'self_attn.k_proj.weight', half(KV * HD, D), t, perm=KV if perm else 0)
    put(rows, hf, b + 'attn_v.weight', m + 'self_attn.v_proj.weight', half(KV * HD, D), t)
    put(rows, hf, b + 'attn_output.weight', m + 'self_attn.o_proj.weight', half(D, H * HD), t)
    if qk:
        norm(rows, hf, b + 'attn_q_norm.weight', m + 'self_attn.q_norm.weight', HD, shift)
        norm(rows, hf, b + 'attn_k_norm.weight', m + 'self_attn.k_norm.weight', HD, shift)
def mlp(rows, hf, i, t):
    b, m = f'blk.{i}.', f'model.layers.{i}.mlp.'
    for f, n, s in (('gate', 'gate_proj', (FF, D)), ('up', 'up_proj', (FF, D)), ('down', 'down_proj', (D, FF))):
        put(rows, hf, f'{b}ffn_{f}.weight', f'{m}{n}.weight', half(*s), t)
def experts(rows, hf, i, new, t):
    b, m = f'blk.{i}.', f'model.layers.{i}.' + ('mlp.' if new else 'block_sparse_moe.')
    a = half(E, D); rows.append((b + 'ffn_gate_inp.weight', a, Q.F32)); hf[m + 'gate.weight'] = a
    for f, n, s in (('gate', 'gate_proj' if new else 'w1', (EFF, D)), ('up', 'up_proj' if new else 'w3', (EFF, D)), ('down', 'down_proj' if new else 'w2', (D, EFF))):
        a = half(E, *s)
        if t != Q.F16: a = quants.dequantize(quants.quantize(a, t), t)
        rows.append((f'{b}ffn_{f}_exps.weight', a, t))
        for k in range(E): hf[f'{m}experts.{k}.{n}.weight'] = a[k]
os.makedirs(out, exist_ok=True)
# llama: Q4_0 in the first block, F16 in the second
r, h = [], {}
ends(r, h)
for i in range(L):
    t = Q.Q4_0
    attn(r, h, i, 1, t); norm(r, h, f'blk.{i}.ffn_norm.weight', f'model.layers.{i}.post_attention_layernorm.weight', D); mlp(r, h, i, Q.F16)
make('llama', 'llama', lambda w: w.add_rope_dimension_count(HD), r, h)
# mixtral and qwen3moe
for name, arch, new in (('mixtral', 'llama', 0), ('qwen3moe', 'qwen3moe', 1)):
    r, h = [], {}
    ends(r, h)
    for i in range(L):
        attn(r, h, i, not new, Q.F16, qk=new); norm(r, h, f'blk.{i}.ffn_norm.weight', f'model.layers.{i}.post_attention_layernorm.weight', D)
        experts(r, h, i, new, Q.Q4_0 if new else Q.F16)
    def keys(w, new=new):
        w.add_expert_count(E); w.add_expert_used_count(2); w.add_expert_feed_forward_length(EFF)
    make(name, arch, keys, r, h)
# gemma 2 and 3
for name in ('gemma2', 'gemma3'):
    r, h = [], {}
    three = name == 'gemma3'
    ends(r, h, 1, 1)
    for i in range(L):
        attn(r, h, i, 0, Q.F16, 1, three)
        norm(r, h, f'blk.{i}.post_attention_norm.weight', f'model.layers.{i}.post_attention_layernorm.weight', D, 1)
        norm(r, h, f'blk.{i}.ffn_norm.weight', f'model.layers.{i}.pre_feedforward_layernorm.weight', D, 1)
        norm(r, h, f'blk.{i}.post_ffw_norm.weight', f'model.layers.{i}.post_feedforward_layernorm.weight', D, 1)
        mlp(r, h, i, Q.F16)
    def keys(w, three=three):
        w.add_sliding_window(8)
        if three: w.add_rope_freq_base(1000000.0); w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR); w.add_rope_scaling_factor(8.0)
        else: w.add_attn_logit_softcapping(50.0); w.add_final_logit_softcapping(30.0)
    make(name, name, keys, r, h)
# phi3 with longrope
r, h = [], {}
ends(r, h)
for i in range(L):
    b, m = f'blk.{i}.', f'model.layers.{i}.'
    norm(r, h, b + 'attn_norm.weight', m + 'input_layernorm.weight', D)
    put(r, h, b + 'attn_qkv.weight', m + 'self_attn.qkv_proj.weight', half((H + 2 * KV) * HD, D))
    put(r, h, b + 'attn_output.weight', m + 'self_attn.o_proj.weight', half(D, H * HD))
    norm(r, h, b + 'ffn_norm.weight', m + 'post_attention_layernorm.weight', D)
    put(r, h, b + 'ffn_up.weight', m + 'mlp.gate_up_proj.weight', half(2 * FF, D))
    put(r, h, b + 'ffn_down.weight', m + 'mlp.down_proj.weight', half(D, FF))
r.append(('rope_factors_long.weight', np.array([1.5, 2, 3, 4.25], np.float32), Q.F32))
r.append(('rope_factors_short.weight', np.array([1, 1, 1.25, 1.5], np.float32), Q.F32))
def keys(w):
    w.add_rope_dimension_count(8); w.add_sliding_window(0); w.add_rope_scaling_orig_ctx_len(32); w.add_rope_scaling_attn_factors(1.0954451)
make('phi3', 'phi3', keys, r, h)
