#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# look.bats - ptq-inspect and ptq-diff on quantized checkpoints: codes are looked at as the weights that they stand for.
bats_require_minimum_version 1.5.0

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export PATH="${PTQ_BIN:-$ROOT/bin}:$PATH"
    export M=$ROOT/pipelines/demo/tale-qwen3
    cd "$BATS_FILE_TMPDIR"
    ptq run gptq --model "$M" --data "$M/calib.jsonl" --tokens 1024 --length 256 --solver rtn --quiet \
        --override 'b0.mlp.down: bits=8 group=32' --override 'b1.*: skip' --format gptq,dense,compressed-tensors --out sym
    ptq run gptq --model "$M" --data "$M/calib.jsonl" --tokens 1024 --length 256 --solver rtn --quiet --bits 3 --grid asym --out asym
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

@test "what is no checkpoint is named: an output of several formats, a run that failed, JSON" {
    local of
    for of in "ptq inspect sym" "ptq eval --model sym --data $M/eval.jsonl" "ptq diff sym asym"; do
        run -100 $of
        [[ $output == *"(models are in it: sym/compressed-tensors, sym/dense, sym/gptq)" ]]
    done
    mkdir -p ended/.ptqflow
    run -100 ptq inspect ended
    [[ $output == *"(a run that is not finished: its checkpoint appears when it is)" ]]
    echo 'write: no room' >ended/.ptqflow/failed
    for of in "ptq inspect ended" "ptq eval --model ended --data $M/eval.jsonl"; do
        run -100 $of
        [[ $output == *"(a run that ended without a checkpoint: write: no room)" ]]
    done
    for of in sym/gptq/config.json sym/.ptqflow/journal.jsonl; do
        run -100 ptq inspect $of
        [[ $output == *"$of: JSON text, not a safetensors file"* ]]
    done
    echo "a text that is neither" >text.txt
    run -100 ptq inspect text.txt
    [[ $output == *"'text.txt' is not a file that can be read here: these are streams (.ptq), safetensors and GGUF"* ]]
    run -100 ptq import sym/gptq/config.json to
    [[ $output == *"not a GGUF file (one begins with GGUF"* ]]
}

# dequantize DIR NAME DENSE: what the weights of a GPTQ linear are, and how far from those of a dense checkpoint, reckoned here
dequantize() {
    python3 - "$@" <<'EOF'
import json, struct, sys
import numpy as np

def tensor(folder, name):
    raw = open(folder + "/model.safetensors", "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    x = json.loads(raw[8:8 + n])[name]
    data = raw[8 + n + x["data_offsets"][0]:8 + n + x["data_offsets"][1]]
    if x["dtype"] == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").reshape(x["shape"]).astype(float)
    return np.frombuffer(data, {"I32": "<u4", "F16": "<f2"}[x["dtype"]]).reshape(x["shape"])

folder, name, dense = sys.argv[1:]
bits = 3 if folder == "asym" else 8 if name.endswith("0.mlp.down_proj") else 4
def bits_of(words, axis): # least significant bit first, codes across words
    b = (np.moveaxis(words, axis, 0)[:, None] >> np.arange(32)[:, None].astype("u4")[None]) & 1
    return b.reshape(-1, *b.shape[2:])
def codes(words, axis):
    b = bits_of(words, axis).astype(int)
    b = b.reshape(-1, bits, *b.shape[1:])
    return (b << np.arange(bits).reshape(1, -1, *[1] * (b.ndim - 2))).sum(1)
q = codes(tensor(folder, name + ".qweight"), 0)        # [K, N]
z = codes(tensor(folder, name + ".qzeros"), 1).T + 1   # [G, N]
s = tensor(folder, name + ".scales").astype(float)     # [G, N]
g = tensor(folder, name + ".g_idx").astype(int)
w = (s[g] * (q - z[g])).T
d = tensor(dense, name + ".weight")
e = d - w
print(json.dumps({"norm": np.linalg.norm(w), "min": w.min(), "max": w.max(), "mean": w.mean(), "max_abs": abs(e).max(),
    "relative_error": np.linalg.norm(e) / np.linalg.norm(d), "cosine": (d * w).sum() / np.linalg.norm(d) / np.linalg.norm(w)}))
EOF
}

near() { # EXPECTED ACTUAL: the same figures to six digits
    jq -n --argjson want "$1" --argjson got "$2" '$want | to_entries | all(.value as $w | $got[.key] | . - $w | fabs <= 1e-6 + 1e-5 * ($w | fabs))' |
        grep -qx true
}

@test "inspect: of each quantized linear bits, group, grid, shape, and statistics of its weights" {
    run -0 --separate-stderr ptq inspect sym/gptq
    [[ $output == *$'\n  GPTQ: 8 bits, group 32, 768 inputs, 256 outputs, grid sym, F16 scales; weights  min -0.'* ]]
    [ "$(grep -c '^  GPTQ: 4 bits, group 64' <<<"$output")" = 34 ] # of 42 one has 8 bits, 7 are left out
    [[ $output != *'layers.1.mlp.up_proj.qweight'* && ${lines[-1]} == *', 35 linears quantized as GPTQ' ]]
    [ "$(ptq inspect asym | grep -c '^  GPTQ: 3 bits, .* grid asym, F16 scales; weights  min ')" = 42 ]
    [ "$(ptq inspect sym/compressed-tensors | grep '^  comp' | sed 's/.*: //')" = "$(grep '^  GPTQ' <<<"$output" | sed 's/.*: //')" ]
    run -0 ptq inspect --fast sym/gptq
    [[ $output == *$'\n  GPTQ: 8 bits, group 32, 768 inputs, 256 outputs\n'* && $output != *"; weights"* ]]
}

@test "inspect and diff: the figures are those that numpy gets from the file" {
    python3 -c 'import numpy' 2>/dev/null || skip "python3-numpy is not installed"
    for linear in "sym/gptq model.layers.0.mlp.down_proj" "sym/gptq model.layers.3.self_attn.k_proj" "asym model.layers.5.mlp.up_proj"; do
        read -r dir name <<<"$linear"
        want=$(dequantize "$dir" "$name" "$M")
        got=$(ptq inspect --json "$dir" | jq -c --arg n "$name.qweight" 'select(.name == $n) | .weights')
        near "$(jq -c '{norm, min, max, mean}' <<<"$want")" "$got"
        got=$(ptq diff --json "$M" "$dir" | jq -c --arg n "$name.weight" 'select(.what == $n)')
        near "$(jq -c '{max_abs, relative_error, cosine}' <<<"$want")" "$got"
    done
}

@test "diff: quantized against dense, other bits, other formats" {
    run -0 ptq diff sym/gptq sym/compressed-tensors # the same codes
    [ "$output" = "68 tensors equal, 0 differences" ]
    run -0 ptq diff sym/gptq sym/gptq
    run -1 ptq diff sym/dense sym/gptq # which rounds to BF16
    [ "${#lines[@]}" = 36 ]
    [[ ${lines[0]} == "model.layers.0.mlp.down_proj.weight: BF16 against GPTQ of 8 bits: "*" of 196608 elements differ, by at most 0.000"*"; relative error 0.001"*", cosine 0.99999"* ]]
    [[ ${lines[35]} == "33 tensors equal, 35 differences; relative error of what differs 0.001"*", at most 0.001"* ]]
    run -1 ptq diff sym/gptq asym
    [[ $output == *"model.layers.0.mlp.down_proj.weight: GPTQ of 8 bits against GPTQ of 3 bits: "* ]]
    [[ $output == *"model.layers.1.mlp.down_proj.weight: BF16 against GPTQ of 3 bits: "* ]]
    run -1 ptq diff --json "$M" asym
    jq -e '.equal == 26 and .different == 42 and .relative_error > 0.1 and .worst_relative_error >= .relative_error and
        (.worst | startswith("model.layers."))' <<<"${lines[-1]}"
}

@test "inspect and diff: the same codes in every format that is a folder are the same weights" {
    formats=$(ptq completion words ptq run gptq --format '' | cut -f1 | grep -v '^gguf$' | paste -sd,)
    ptq run gptq --model "$M" --data "$M/calib.jsonl" --tokens 512 --length 256 --solver rtn --quiet --grid asym --group 32 --format "$formats" --out every
    ptq inspect every/gptq | grep -o ': 4 bits, .*' >want
    for dir in every/*; do
        if [ "$dir" != every/dense ]; then
            ptq inspect "$dir" | grep -o ': 4 bits, .*' | diff want -
            run -0 ptq diff every/gptq "$dir"
            [ "$output" = "68 tensors equal, 0 differences" ]
        fi
    done
    [ "$(wc -l <want)" = 42 ]
}

@test "diff: checkpoints in different bases are not compared, in one they are" {
    ptq rotate --quiet --model "$M" one
    ptq rotate --quiet --model "$M" --seed 2 two
    run -100 ptq diff "$M" one
    [[ $output == "diff: fatal: '$M' is not rotated, 'one' is rotated (random-hadamard, seed 1): their weights are in different bases"* ]]
    run -100 ptq diff two one
    run -0 ptq diff one one
}

@test "inspect and diff: codes that cannot be read are said, and taken as they are stored" {
    cp -r sym/gptq other
    sed -i 's/"quant_method": "gptq"/"quant_method": "telepathy"/' other/config.json
    run -0 --separate-stderr ptq inspect other
    [[ $stderr == *"quant_method 'telepathy' is not supported"*"its tensors are taken as they are stored"* ]]
    [[ $output == *$'\n  GPTQ: 8 bits, group 32, 768 inputs, 256 outputs\n'* ]]
    run -1 --separate-stderr ptq diff other sym/gptq
    [[ $output == *"model.layers.0.mlp.down_proj.qweight: only in the first"*"model.layers.0.mlp.down_proj.weight: only in the second"* ]]
    n=$(od -An -t u8 -N8 other/model.safetensors)
    at=$(tail -c +9 other/model.safetensors | head -c "$((n))" | jq '."model.layers.3.mlp.up_proj.scales".data_offsets[0]')
    printf '\0\176' | dd of=other/model.safetensors bs=1 seek=$((8 + n + at)) conv=notrunc status=none # NaN
    cp sym/gptq/config.json other
    run -0 ptq inspect other
    [[ $output == *"GPTQ: 4 bits, group 64, 256 inputs, 768 outputs; its weights cannot be read: other"*"'model.layers.3.mlp.up_proj.scales' holds NaN or infinite numbers"* ]]
    run -100 ptq diff other sym/gptq
    [[ $output == *"'model.layers.3.mlp.up_proj.scales' holds NaN"* ]]
}
