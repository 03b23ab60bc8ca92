#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ct-float.safetensors: FP8, NVFP4 and MXFP4 linears [6,64] by compressed-tensors 0.19 (compress, then what decompress makes of it; FP4 in f32, not in its bf16)."""
import torch
from compressed_tensors.compressors.mxfp4.base import MXFP4PackedCompressor
from compressed_tensors.compressors.naive_quantized.base import FloatQuantizationCompressor
from compressed_tensors.compressors.nvfp4.base import NVFP4PackedCompressor
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import dequantize
from compressed_tensors.quantization.quant_scheme import FP8_DYNAMIC, MXFP4A16, NVFP4A16
from safetensors.torch import save_file

torch.manual_seed(1)
N, K, out = 6, 64, {}
W = torch.randn(N, K) * 0.05
W[0, 0], W[1, :16] = 0.3, 0.0


def put(name, packer, args, state):
    scheme = QuantizationScheme(targets=["Linear"], **args)
    kept = packer.compress(dict(state), scheme)
    if "weight_packed" in kept:
        codes = unpack_fp4_from_uint8(kept["weight_packed"], N, K, dtype=torch.float32)
        scale = packer._decompress_scale(kept["weight_scale"], torch.float32)
        whole = dequantize(codes, scale, args=scheme.weights, global_scale=kept.get("weight_global_scale"), dtype=torch.float32)
    else:
        whole = packer.decompress(dict(kept), scheme)["weight"].float()
    for part, t in kept.items():
        out[f"{name}.{part}"] = t.contiguous()
    out[f"{name}-is.weight"] = whole.contiguous()


def amax(x, group):
    return x.reshape(N, -1, group).abs().amax(-1).clamp(min=1e-4)


out["source.weight"] = W
put("fp8-channel", FloatQuantizationCompressor, FP8_DYNAMIC, {"weight": W, "weight_scale": (amax(W, K) / 448).float()})
tensor = dict(FP8_DYNAMIC, weights=QuantizationArgs(num_bits=8, type="float", strategy="tensor", symmetric=True))
put("fp8-tensor", FloatQuantizationCompressor, tensor, {"weight": W, "weight_scale": (W.abs().max() / 448).reshape(1)})
block = dict(FP8_DYNAMIC, weights=QuantizationArgs(num_bits=8, type="float", strategy="block", block_structure=[4, 24], symmetric=True))
padded = torch.zeros(8, 72)
padded[:N, :K] = W
scale = padded.reshape(2, 4, 3, 24).abs().amax((1, 3)) / 448
put("fp8-block", FloatQuantizationCompressor, block, {"weight": W, "weight_scale": scale})
g = torch.tensor([2688.0]) / W.abs().max()
put("nvfp4", NVFP4PackedCompressor, NVFP4A16, {"weight": W, "weight_scale": (amax(W, 16) / 6 * g).to(torch.float8_e4m3fn).float(), "weight_global_scale": g})
put("mxfp4", MXFP4PackedCompressor, MXFP4A16, {"weight": W, "weight_scale": 2 ** torch.floor(torch.log2(amax(W, 32) / 4))})
save_file(out, "ct-float.safetensors")
for k, v in sorted(out.items()):
    print(k, v.dtype, list(v.shape))
