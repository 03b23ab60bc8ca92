#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# mxfp4.bats - gpt-oss as it is published, its experts in MXFP4: a run from it is the run from the same weights in bf16. Needs the tiny
# model of PTQ_SHARED; numpy packs it.
bats_require_minimum_version 1.5.0

setup_file() {
    export PATH="${PTQ_BIN:-$BATS_TEST_DIRNAME/../../bin}:$PATH"
    cd "$BATS_FILE_TMPDIR"
    awk 'BEGIN { srand(3); printf "{\"input_ids\":["; for (k = 0; k < 64; k++) printf "%s%d", k ? "," : "", 4 + int(rand() * 250); print "]}" }' >data.jsonl
}

setup() {
    model=${PTQ_SHARED:-$BATS_TEST_DIRNAME/../../../shared}/data/conformance/gpt_oss
    cd "$BATS_FILE_TMPDIR"
}

# Experts rounded to MXFP4: into packed/ as blocks and scales, into plain/ as what these stand for.
pack() {
    python3 - "$model" <<'END'
import json, os, sys
import numpy as np

E2M1 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6], "f4")

def read(path):
    raw = open(path, "rb").read()
    n = int.from_bytes(raw[:8], "little")
    return {k: (v["dtype"], v["shape"], raw[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]])
            for k, v in json.loads(raw[8:8 + n]).items() if k != "__metadata__"}

def write(folder, tensors, quantization):
    os.makedirs(folder)
    at, head = 0, {}
    for k, (dtype, shape, data) in tensors.items():
        head[k] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(head).encode()
    with open(f"{folder}/model.safetensors", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(d for _, _, d in tensors.values()))
    config = json.load(open(f"{sys.argv[1]}/config.json"))
    json.dump(config | quantization, open(f"{folder}/config.json", "w"))

def packed(data, shape):
    x = (np.frombuffer(data, "<u2").astype("u4") << 16).view("f4").reshape(shape).transpose(0, 2, 1)
    x = x.reshape(*x.shape[:2], -1, 32)
    scale = np.floor(np.log2(np.abs(x).max(-1))) - 2
    code = np.abs(x[..., None] / np.exp2(scale)[..., None, None] - E2M1).argmin(-1).astype("u1")
    dense = (E2M1[code] * np.exp2(scale)[..., None]).reshape(*x.shape[:2], -1).transpose(0, 2, 1)
    bf16 = (np.ascontiguousarray(dense, "f4").view("u4") >> 16).astype("<u2")
    return code[..., ::2] | code[..., 1::2] << 4, (scale + 127).astype("u1"), bf16

blocks, plain = {}, {}
for name, (dtype, shape, data) in read(f"{sys.argv[1]}/model.safetensors").items():
    if name.endswith("experts.gate_up_proj") or name.endswith("experts.down_proj"):
        b, s, w = packed(data, shape)
        blocks[name + "_blocks"] = ("U8", b.shape, b.tobytes())
        blocks[name + "_scales"] = ("U8", s.shape, s.tobytes())
        plain[name] = (dtype, shape, w.tobytes())
    else:
        blocks[name] = plain[name] = (dtype, shape, data)
method = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "model.embed_tokens", "lm_head"]}
write("packed", blocks, {"quantization_config": method})
write("plain", plain, {})
END
}

@test "mxfp4: a run from packed experts writes what a run from their weights writes, codes and dense tensors" {
    [ -d "$model" ] || skip "data/conformance is not on this machine (PTQ_SHARED)"
    python3 -c 'import numpy' 2>/dev/null || skip "python3-numpy is not installed"
    pack
    ptq diff packed plain
    for m in packed plain; do
        # the experts of one block are codes, the others stay in their one tensor, which is bf16 then
        ptq run gptq --model $m --data data.jsonl --tokens 64 --length 64 --bits 8 --group 8 --format gptq,dense --out $m.out \
            --override 'b[123].expert.*: skip' --quiet 2>$m.txt
    done
    for f in gptq dense; do
        ptq diff packed.out/$f plain.out/$f
        diff <(jq -S . packed.out/$f/config.json) <(jq -S . plain.out/$f/config.json)
    done
    ptq check packed.out/dense
    grep -q "'packed' is quantized already, to MXFP4" packed.txt
    run -1 grep -q 'quantized already' plain.txt
    ptq eval --model packed --ref plain --data data.jsonl --max-windows 1 --quiet --json | jq -e '.kld_mean == 0'
    ptq plan gptq --model packed --data data.jsonl --tokens 64 --length 64 --bits 8 --group 8 --format dense
}

@test "mxfp4: blocks without their scales are refused before the start" {
    [ -d packed ] || skip "the test before made no model"
    mkdir broken
    sed 's/_scales/_scalez/g' packed/model.safetensors >broken/model.safetensors
    cp packed/config.json broken
    run -100 ptq run gptq --model broken --data data.jsonl --tokens 64 --length 64 --bits 8 --group 8 --out never --quiet
    [[ $output == *"experts.down_proj_blocks' holds blocks of MXFP4, but 'model.layers.0.mlp.experts.down_proj_scales' is not there"* ]]
}

@test "mxfp4: converted to dense, the weights it stands for; parts that are none and numbers that are not finite are named" {
    [ -d packed ] || skip "the test before made no model"
    ptq convert --model packed --format dense dense 2>said
    grep -q "MXFP4 unpacked" said
    ptq diff dense plain
    ptq check dense
    jq -e 'has("quantization_config") | not' dense/config.json
    run -100 ptq convert --model packed --format gptq never
    [[ $output == *"'packed' is stored as MXFP4"*"--format dense"* ]]
    python3 - <<'END'
import json, os, shutil
def damaged(name, source, tensor, change):
    raw = open(f"{source}/model.safetensors", "rb").read()
    n = int.from_bytes(raw[:8], "little")
    head, data = json.loads(raw[8:8 + n]), bytearray(raw[8 + n:])
    change(head, "model.layers.0.mlp.experts.gate_up_proj" + tensor, data)
    os.makedirs(name)
    text = json.dumps(head).encode()
    open(f"{name}/model.safetensors", "wb").write(len(text).to_bytes(8, "little") + text + data)
    shutil.copy(f"{source}/config.json", name)
def first(value):
    def put(head, x, data):
        at = head[x]["data_offsets"][0]
        data[at:at + len(value)] = value
    return put
damaged("nan", "plain", "", first(b"\xc0\x7f"))
damaged("scale255", "packed", "_scales", first(b"\xff"))
damaged("scale254", "packed", "_scales", first(b"\xfe" * 32)) # some of them times 6
damaged("type", "packed", "_blocks", lambda head, x, data: head[x].update(dtype="I8"))
damaged("gone", "packed", "_blocks", lambda head, x, data: head.update(other=head.pop(x)))
END
    x=model.layers.0.mlp.experts.gate_up_proj
    run -1 ptq check nan
    [[ $output == *"tensor '$x' has NaN or infinite numbers"*"1 problem,"* ]]
    for v in 255 254; do
        run -1 ptq check scale$v
        [[ $output == *"tensor '${x}_scales' has NaN or infinite numbers"*"1 problem,"* ]]
    done
    run -100 ptq eval --model type --data data.jsonl --quiet
    [[ $output == *"tensor '${x}_blocks' is I8 [8, 128, 2, 16], but blocks of MXFP4 are U8 [experts, rows, blocks, 16]"* ]]
    run -100 ptq eval --model gone --data data.jsonl --quiet
    [[ $output == *"tensor '${x}_scales' holds scales of MXFP4, but '${x}_blocks' is not there"* ]]
}
