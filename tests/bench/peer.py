# SPDX-License-Identifier: Apache-2.0
"""What peers.sh asks of Python: the rows that every tool gets, and one run of a peer.

    peer.py rows MODEL DATA TOKENS LENGTH ROWS     lines {"input_ids": [...]} of LENGTH tokens each
    peer.py text MODEL ROWS TEXT                   the rows as one text
    peer.py imatrix BIN GGUF TEXT LENGTH OUT       llama.cpp's importance matrix, then OUT in Q4_0 by it; last line as below
    peer.py gptqmodel|llmcompressor MODEL ROWS BITS GROUP OUT    last line: used WALL CPU MIB
    peer.py version gptqmodel|llmcompressor        "NAME VERSION, torch VERSION", exit 1 where it is not installed
"""
import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import time

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", CUDA_VISIBLE_DEVICES="")
# Its default on two cores is one, of which it then asks two.
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(max(2, ((os.cpu_count() or 1) + 1) // 2)))


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def rows(model, data, tokens, length, out):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = []
    for line in lines(data):
        ids += line["input_ids"] if "input_ids" in line else tokenizer(line["text"], add_special_tokens=False)["input_ids"]
        if len(ids) >= int(tokens):
            break
    with open(out, "w", encoding="utf-8") as f:
        for at in range(0, min(len(ids), int(tokens)) - int(length) + 1, int(length)):
            f.write(json.dumps({"input_ids": ids[at : at + int(length)]}) + "\n")


def text(model, data, out):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    with open(out, "w", encoding="utf-8") as f:
        for row in lines(data):
            f.write(tokenizer.decode(row["input_ids"], clean_up_tokenization_spaces=False))


def imatrix(programs, gguf, data, length, out):
    threads = str(len(os.sched_getaffinity(0)))
    made = out + ".imatrix"
    # A context holds one row; the head and the embeddings stay as they are, as ours do.
    run = [os.path.join(programs, "llama-imatrix"), "-m", gguf, "-f", data, "-o", made, "-c", length, "-b", length, "-ub", "512", "--no-ppl", "-t", threads]
    subprocess.run(run, check=True)
    kept = [f"--{what}-type" for what in ("output-tensor", "token-embedding")]
    run = [os.path.join(programs, "llama-quantize"), "--imatrix", made, kept[0], "bf16", kept[1], "bf16", gguf, out, "Q4_0", threads]
    subprocess.run(run, check=True)


def gptqmodel(model, data, bits, group, out):
    import torch
    from gptqmodel import GPTQModel, QuantizeConfig

    config = QuantizeConfig(bits=bits, group_size=group, sym=True, desc_act=False, damp_percent=0.01)
    m = GPTQModel.load(model, config, device="cpu", dtype=torch.float32)
    ones = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in data]
    m.quantize(ones, batch_size=1)
    m.save(out)


def llmcompressor(model, data, bits, group, out):
    import torch
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import GPTQModifier
    from transformers import AutoModelForCausalLM

    m = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, device_map="cpu")
    weights = QuantizationArgs(num_bits=bits, type="int", symmetric=True, strategy="group", group_size=group)
    scheme = QuantizationScheme(targets=["Linear"], weights=weights)
    recipe = GPTQModifier(config_groups={"group_0": scheme}, ignore=["lm_head"], dampening_frac=0.01)
    ones = Dataset.from_list([{**row, "attention_mask": [1] * len(row["input_ids"])} for row in data])
    length = max(len(row["input_ids"]) for row in data)
    oneshot(model=m, dataset=ones, recipe=recipe, max_seq_length=length, num_calibration_samples=len(data))
    m.save_pretrained(out, save_compressed=True)


def used(began):
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    return f"used {time.monotonic() - began:.1f} {cpu:.1f}", own.ru_maxrss / 1024, others.ru_maxrss / 1024


def main(what, *rest):
    if what == "rows":
        rows(*rest)
    elif what == "text":
        text(*rest)
    elif what == "version":
        try:
            print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in (rest[0], "torch")))
        except importlib.metadata.PackageNotFoundError:
            sys.exit(1)
    elif what == "imatrix":
        began = time.monotonic()
        imatrix(*rest)
        line, _, most = used(began)
        print(f"\n{line} {most:.0f}")
    else:
        model, data, bits, group, out = rest
        began = time.monotonic()
        {"gptqmodel": gptqmodel, "llmcompressor": llmcompressor}[what](model, lines(data), int(bits), int(group), out)
        line, most, _ = used(began)
        print(f"\n{line} {most:.0f}")


main(*sys.argv[1:])
