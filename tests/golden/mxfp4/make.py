# SPDX-License-Identifier: Apache-2.0
"""Makes the goldens of MXFP4 with the function of transformers that reads gpt-oss:
model.safetensors (blocks and scales of two matrices, all codes, scales over the whole range of
BF16), golden.safetensors (what they are unpacked to)."""
import os, sys
import torch
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

here = os.path.dirname(os.path.abspath(sys.argv[0]))
g = torch.Generator().manual_seed(5)
blocks = torch.randint(0, 256, (2, 70, 3, 16), dtype=torch.uint8, generator=g)
blocks[0, :16, 0, :] = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
# 2^-126 and up: torch's own product loses what lies below; 6 * 2^125 is the last in range
scales = torch.randint(100, 140, (2, 70, 3), dtype=torch.uint8, generator=g)
scales[1, :, 0] = torch.arange(2, 72, dtype=torch.uint8)
scales[1, :, 1] = torch.arange(183, 253, dtype=torch.uint8)
dense = convert_moe_packed_tensors(blocks, scales)
assert torch.isfinite(dense.float()).all()
save_file({"a.x_blocks": blocks, "a.x_scales": scales, "b": torch.ones(3)},
          os.path.join(here, "model.safetensors"))
save_file({"a.x": dense}, os.path.join(here, "golden.safetensors"))
