#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint in an engine that others made, beside what ptq-eval says of it.

client.py has ENGINE                       exit 0: installed, 77: not, with the reason
client.py ids DIR TEXT.jsonl WINDOW COUNT  prints rows of input_ids: COUNT windows of the text, for ptq-eval
client.py bytes DIR COPY KEY=VALUE...      a copy of a model without a tokenizer, with one of single bytes and these values in config.json, and ids.jsonl
client.py see DIR GOLDEN LOGITS            the same of a model that sees, in transformers: rows and pictures are those of a conformance golden
client.py pack DIR DENSE                   every quantized linear of a compressed-tensors checkpoint, unpacked by that package, beside the same run's
                                           dense weights, and packed anew: prints how many tensors, which differ, its release
client.py quantize SOURCE IMATRIX OUT      llama.cpp's own codes of few bits for a GGUF file by its importance matrix, which must name each linear of the blocks: prints their
                                           error, weighted by that matrix, with and without it
client.py widen SOURCE OUT                 a GGUF file with the numbers of another as F32, as its Python package reads them
client.py run ENGINE DIR IDS.jsonl LOGITS  runs the rows, prints one JSON object: perplexity, and how far the logits
                                           are from those of `ptq eval --logits LOGITS` (relative, root mean square)

Engines: transformers (with optimum and gptqmodel), dense (transformers alone), compressed-tensors (transformers with that package; as plain weights where there are
zero points, as the model card says), compressed-tensors-weights (the same,
but activations are not rounded, and what it has unpacked is widened to f32), gptqmodel, openvino (with optimum-intel
and gptqmodel), llama.cpp (xllamacpp; it rounds activations to 8 bits where weights have codes; no logits), vllm (its CPU build, in f16: in bf16, where a CPU has AMX, it
rounds activations to 8 bits, unless VLLM_CPU_INT4_W4A8 is 0; no logits either. Its product
with 4-bit weights wants AVX-512: on other processors that one call is done here, from the weights as vLLM has loaded,
fused and packed them)."""
import ctypes
import importlib.util
import json
import math
import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", CUDA_VISIBLE_DEVICES="")
os.environ["TORCHDYNAMO_DISABLE"] = "1"  # compiling takes minutes, for some rows
NEEDS = {
    "transformers": ["torch", "transformers", "optimum", "gptqmodel"],
    "dense": ["torch", "transformers"],
    "compressed-tensors": ["torch", "transformers", "compressed_tensors"],
    "compressed-tensors-weights": ["torch", "transformers", "compressed_tensors"],
    "gptqmodel": ["torch", "transformers", "gptqmodel"],
    "llama.cpp": ["xllamacpp", "tokenizers"],
    "imatrix": ["xllamacpp", "gguf", "tokenizers"],
    "vllm": ["torch", "vllm"],
    "openvino": ["torch", "transformers", "openvino", "optimum.intel", "nncf", "gptqmodel"],
}


def has(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def transformers_model(path):
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, device_map="cpu", dtype=torch.float32)


def packed_model(path):
    import torch
    from transformers import AutoModelForCausalLM, CompressedTensorsConfig

    with open(os.path.join(path, "config.json"), encoding="utf-8") as f:
        groups = json.load(f)["quantization_config"]["config_groups"].values()
    zeros = any(not g["weights"]["symmetric"] for g in groups)
    how = {"quantization_config": CompressedTensorsConfig(dequantize=True)} if zeros else {}
    return AutoModelForCausalLM.from_pretrained(path, device_map="cpu", dtype=torch.float32, **how)


def weights_model(path):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, device_map="cpu", dtype="auto")
    for module in model.modules():
        module.quantization_enabled = False
    model(input_ids=torch.tensor([[0]]))
    return torch.nn.Module.float(model)


def gptqmodel_model(path):
    import torch
    from gptqmodel import BACKEND, GPTQModel

    return GPTQModel.load(path, device="cpu", dtype=torch.float16, backend=BACKEND.GPTQ_TORCH)


def openvino_model(path):
    from optimum.intel import OVModelForCausalLM

    # Its defaults on a CPU quantize activations and the cache as well; exactness is asked for by name.
    exact = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    return OVModelForCausalLM.from_pretrained(path, export=True, ov_config=exact)


START, WRITTEN = 16, 12  # tokens that are given, and that are written behind them
LOAD = {
    "transformers": transformers_model,
    "dense": transformers_model,
    "compressed-tensors": packed_model,
    "compressed-tensors-weights": weights_model,
    "gptqmodel": gptqmodel_model,
    "openvino": openvino_model,
}


def ids(folder, text, window, count):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokens = []
    for line in open(text, encoding="utf-8"):
        tokens += tokenizer.encode(json.loads(line)["text"], add_special_tokens=False).ids
    for i in range(count):
        print(json.dumps({"input_ids": tokens[i * window : (i + 1) * window]}))


def bytes_copy(folder, copy, *values):
    import random
    import shutil

    shutil.copytree(folder, copy)
    seen = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    hidden = [b for b in range(256) if b not in seen]  # as GPT-2 shows them
    vocab = {chr(b) if b in seen else chr(256 + hidden.index(b)): b for b in range(256)}
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    cut = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    ]
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": cut},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "ignore_merges": True, "vocab": vocab, "merges": []},
    }
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    vocab = config["vocab_size"]
    config.update(bos_token_id=vocab - 1, eos_token_id=vocab - 2, pad_token_id=vocab - 3)
    config.update((v.split("=")[0], json.loads(v.split("=")[1])) for v in values)
    random.seed(1)
    rows = [{"input_ids": [random.randrange(min(256, vocab - 3)) for _ in range(24)]} for _ in range(12)]
    for name, text in ("config.json", json.dumps(config)), ("tokenizer.json", json.dumps(tokenizer)), ("ids.jsonl", "\n".join(map(json.dumps, rows))):
        path = os.path.join(copy, name)
        if os.path.exists(path):
            os.remove(path)  # the copy of what cannot be written
        with open(path, "w", encoding="utf-8") as f:
            f.write(text + "\n")


def llama_post(server, path, body):
    import urllib.request

    request = urllib.request.Request(server.listening_address + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def llama_server(path):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.warmup = path, 512, 1, False
    if "OMP_NUM_THREADS" in os.environ:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(os.environ["OMP_NUM_THREADS"])
    return xllamacpp.Server(params)


class Parameters(ctypes.Structure):
    """Of a model or a context: larger than any release's; what is in it is changed by place, and asked for first."""

    _fields_ = [("word", ctypes.c_int32 * 256)]


class Batch(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embedding", ctypes.c_void_p)]
    _fields_ += [("position", ctypes.POINTER(ctypes.c_int32)), ("sequences", ctypes.POINTER(ctypes.c_int32))]
    _fields_ += [("sequence", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))), ("wanted", ctypes.POINTER(ctypes.c_int8)), ("more", ctypes.c_byte * 256)]


def llama_rows(path, rows):
    """The logits [T, vocabulary] of each row, by the C interface of the library that xllamacpp is: its server tells them of the last token alone."""
    import numpy
    import xllamacpp.xllamacpp

    library, where, word, width = ctypes.CDLL(xllamacpp.xllamacpp.__file__), ctypes.c_void_p, ctypes.c_int32, max(map(len, rows))

    def call(name, result, *arguments):
        of = getattr(library, name)
        of.restype, of.argtypes = result, [type(a) if isinstance(a, ctypes._SimpleCData | ctypes.Structure) else where for a in arguments]
        return of(*arguments)

    call("llama_backend_init", None)
    model = call("llama_model_load_from_file", where, ctypes.c_char_p(path.encode()), call("llama_model_default_params", Parameters))
    how = call("llama_context_default_params", Parameters)
    assert model and how.word[:3] == [512, 2048, 512], "n_ctx, n_batch, n_ubatch are not where they were"
    how.word[:3] = [max(width, 512), max(width, 512), 512]
    context = call("llama_init_from_model", where, model, how)
    threads = word(int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    call("llama_set_n_threads", None, context, threads, threads)
    size = call("llama_vocab_n_tokens", word, call("llama_model_get_vocab", where, model))
    batch = call("llama_batch_init", Batch, word(width), word(0), word(1))
    for row in rows:
        call("llama_memory_clear", None, call("llama_get_memory", where, context), ctypes.c_bool(True))
        batch.count = len(row)
        for i, token in enumerate(row):
            batch.token[i], batch.position[i], batch.sequences[i], batch.sequence[i][0], batch.wanted[i] = token, i, 1, 0, 1
        assert call("llama_decode", word, context, batch) == 0
        yield numpy.ctypeslib.as_array(call("llama_get_logits", ctypes.POINTER(ctypes.c_float), context), (len(row), size))


def llama(folder, rows):
    """Of the file; and whether its tokenizer cuts the text as tokenizer.json does."""
    import numpy
    from tokenizers import Tokenizer

    path, tokenizer = os.path.join(folder, "gguf", "model.gguf"), Tokenizer.from_file(os.path.join(folder, "dense", "tokenizer.json"))
    given = [json.loads(line)["input_ids"] for line in open(rows, encoding="utf-8")]
    nll = 0.0
    for row, logits in zip(given, llama_rows(path, given)):
        top = logits.max(1, keepdims=True)
        log = (logits - top)[range(len(row) - 1), row[1:]] - numpy.log(numpy.exp(logits[:-1] - top[:-1]).sum(1, dtype=float))
        nll -= log.sum(dtype=float)
    server, cuts = llama_server(path), 0
    for row in given:
        text = tokenizer.decode(row, skip_special_tokens=False)
        cuts += llama_post(server, "/tokenize", {"content": text})["tokens"] != tokenizer.encode(text, add_special_tokens=False).ids
    body = {"prompt": given[0][:START], "n_predict": WRITTEN, "temperature": 0, "return_tokens": True, "ignore_eos": True}
    got = llama_post(server, "/completion", body)
    perplexity = math.exp(nll / sum(len(row) - 1 for row in given))
    print(json.dumps({"engine": "llama.cpp", "perplexity": perplexity, "cut_otherwise": cuts, "written": got["tokens"], "text": got["content"]}))


def wna16(x, words, scales, zeros, bias, weights):
    """The product that vLLM's build for AVX2 lacks. words [N/16, K*2]: blocks of 16 outputs, two words an input, a code each 4 bits;
    scales [G, N]; zeros [G, N/8] or none, which stands for 8. weights keeps what has been unpacked."""
    import torch

    n, k = scales.shape[1], x.shape[-1]
    if words.data_ptr() not in weights:
        each = torch.arange(0, 32, 4, dtype=torch.int32)
        codes = ((words.reshape(n // 16, k, 2, 1) >> each) & 15).permute(1, 0, 2, 3).reshape(k, n)
        zero = 8 if zeros is None else ((zeros[:, :, None] >> each) & 15).reshape(-1, n).repeat_interleave(k // scales.shape[0], 0)
        weights[words.data_ptr()] = (codes - zero).float() * scales.float().repeat_interleave(k // scales.shape[0], 0)
    y = x.float() @ weights[words.data_ptr()]
    return (y if bias is None else y + bias.float()).to(x.dtype)


def vllm(folder, rows):
    os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_LOGGING_LEVEL="ERROR")
    import torch
    from vllm import LLM, SamplingParams, _custom_ops

    lent = not hasattr(torch.ops._C, "cpu_gemm_wna16")
    if lent:
        weights = {}
        _custom_ops.cpu_gemm_wna16 = lambda input, q_weight, scales, zeros, bias, **_: wna16(input, q_weight, scales, zeros, bias, weights)
    prompts = [json.loads(line)["input_ids"] for line in open(rows, encoding="utf-8")]
    model = LLM(model=folder, dtype="float16", max_model_len=max(map(len, prompts)) + 32, enforce_eager=True)
    given = [{"prompt_token_ids": p} for p in prompts]
    nll = predictions = 0
    for got, prompt in zip(model.generate(given, SamplingParams(max_tokens=1, prompt_logprobs=0, temperature=0)), prompts):
        for token, of in list(zip(prompt, got.prompt_logprobs))[1:]:
            nll -= of[token].logprob
            predictions += 1
    start = {"prompt_token_ids": prompts[0][:START]}
    text = model.generate([start], SamplingParams(max_tokens=WRITTEN, temperature=0, ignore_eos=True))[0].outputs[0]
    print(json.dumps({"engine": "vllm", "perplexity": math.exp(nll / predictions), "written": list(text.token_ids), "text": text.text, "own_product": lent}))


def written(model, prompt):
    """What it likes best behind the first tokens of a row: its own cache of keys and values is part of that."""
    import torch

    x = torch.tensor([prompt[:START]])
    got = model.generate(input_ids=x, attention_mask=torch.ones_like(x), max_new_tokens=WRITTEN, min_new_tokens=WRITTEN, do_sample=False)
    return got[0, START:].tolist()


def run(engine, folder, rows, logits):
    if engine == "llama.cpp":
        return llama(folder, rows)
    if engine == "vllm":
        return vllm(folder, rows)
    import torch
    from safetensors.torch import load_file

    model, want = LOAD[engine](folder), load_file(logits)
    nll = predictions = 0
    off = of = 0.0
    first = None
    for i, line in enumerate(open(rows, encoding="utf-8")):
        x = torch.tensor([json.loads(line)["input_ids"]])
        first = first or x[0].tolist()
        with torch.no_grad():
            got = model(input_ids=x, attention_mask=torch.ones_like(x)).logits[0].float().cpu()
        nll += torch.nn.functional.cross_entropy(got[:-1], x[0, 1:], reduction="sum").item()
        predictions += x.shape[1] - 1
        off += (got - want[f"logits.{i}"]).double().square().sum().item()
        of += want[f"logits.{i}"].double().square().sum().item()
    print(json.dumps({"engine": engine, "perplexity": math.exp(nll / predictions), "off": math.sqrt(off / of), "written": written(model, first)}))


def see(folder, golden, logits):
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder, device_map="cpu", dtype=torch.float32, attn_implementation="eager")
    given, want = load_file(golden), load_file(logits)
    off = of = 0.0
    for i in range(len(want)):
        x = {k: given[f"{k}.{i}"] for k in ("pixel_values", "pixel_attention_mask", "image_grid_thw", "image_sizes") if f"{k}.{i}" in given}
        x["input_ids"] = given[f"input_ids.{i}"][None]
        if given[f"position_ids.{i}"].shape[0] == 3:  # else its newest releases want the kind of each token
            x["position_ids"] = given[f"position_ids.{i}"][:, None]
        with torch.no_grad():
            got = model(attention_mask=torch.ones_like(x["input_ids"]), **x).logits[0].float()
        off += (got - want[f"logits.{i}"]).double().square().sum().item()
        of += want[f"logits.{i}"].double().square().sum().item()
    print(json.dumps({"engine": "transformers", "rows": len(want), "off": math.sqrt(off / of)}))


def pack(folder, dense):
    """Of a checkpoint of one kind."""
    import compressed_tensors
    import torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationConfig
    from safetensors.torch import load_file

    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = QuantizationConfig.model_validate(json.load(f)["quantization_config"])
    (scheme,) = config.config_groups.values()
    packer = BaseCompressor.get_value_from_registry(config.format)
    tensors, plain = (load_file(os.path.join(d, "model.safetensors")) for d in (folder, dense))
    names = ["weight_packed", "weight_scale", "weight_shape", "weight_zero_point"]
    count, differ = 0, []
    for module in (n.removesuffix(".weight_packed") for n in tensors if n.endswith(".weight_packed")):
        mine = {n: tensors[f"{module}.{n}"] for n in names if f"{module}.{n}" in tensors}
        wide = dict(mine, weight_scale=mine["weight_scale"].float())  # their product is not rounded then
        unpacked, want = packer.decompress(wide, scheme), plain[f"{module}.weight"]
        theirs = packer.compress(unpacked, scheme)
        theirs["weight_scale"] = theirs["weight_scale"].to(mine["weight_scale"].dtype)
        count += len(mine)
        differ += [f"{module}.weight"] * (not torch.equal(unpacked["weight"].to(want.dtype), want))
        differ += [f"{module}.{n}" for n in mine.keys() | theirs.keys() if n not in mine or n not in theirs or not torch.equal(mine[n], theirs[n])]
    print(json.dumps({"release": compressed_tensors.__version__, "tensors": count, "differ": differ}))


def importance(path):
    """As llama-quantize reads the file of a model without experts: the mean square of each input."""
    import gguf
    import numpy

    reader = gguf.GGUFReader(path)
    for key in "general.type", "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size":
        assert reader.get_field(key) is not None, key
    tensors = {t.name: numpy.array(t.data, numpy.float32) for t in reader.tensors}
    sums = {n.removesuffix(".in_sum2"): x for n, x in tensors.items() if n.endswith(".in_sum2")}
    return {n: x / tensors[f"{n}.counts"].reshape(-1, 1) for n, x in sums.items()}


def weighted_error(source, made, matrix):
    import gguf
    import numpy

    plain, coded = ({t.name: t for t in gguf.GGUFReader(path).tensors} for path in (source, made))
    off = of = 0.0
    for name, mean in matrix.items():
        w, q = (gguf.quants.dequantize(m[name].data, m[name].tensor_type).astype(numpy.float64) for m in (plain, coded))
        off += ((w - q) ** 2 * mean).sum()
        of += (w**2 * mean).sum()
    return off / of


def gguf_like(reader, out):
    """A writer with the fields of another file."""
    import gguf

    writer = gguf.GGUFWriter(out, reader.get_field("general.architecture").contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            writer.add_key_value(name, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None)
    return writer


def gguf_finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def widen(source, out):
    import gguf
    import numpy

    reader = gguf.GGUFReader(source)
    writer = gguf_like(reader, out)
    for t in reader.tensors:
        writer.add_tensor(t.name, numpy.asarray(gguf.quants.dequantize(t.data, t.tensor_type), numpy.float32))
    gguf_finish(writer)


def quantize(source, imatrix, out):
    """Four bits: Q4_K where blocks of 256 fit, else IQ4_NL."""
    import gguf
    import numpy
    import xllamacpp.xllamacpp

    ggml = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    matrix, reader, error = importance(imatrix), gguf.GGUFReader(source), []
    linears = {t.name for t in reader.tensors if t.name.startswith("blk.") and len(t.shape) > 1}
    assert linears == matrix.keys(), linears ^ matrix.keys()
    for weigh in False, True:  # what is left in the file is made with it
        writer = gguf_like(reader, out)
        for t in reader.tensors:
            if t.name not in linears:
                writer.add_tensor(t.name, t.data, raw_dtype=t.tensor_type)
                continue
            x = numpy.ascontiguousarray(gguf.quants.dequantize(t.data, t.tensor_type), numpy.float32)
            kind = gguf.GGMLQuantizationType.Q4_K if x.shape[-1] % 256 == 0 else gguf.GGMLQuantizationType.IQ4_NL
            block, size = gguf.GGML_QUANT_SIZES[kind]
            coded = numpy.empty((*x.shape[:-1], x.shape[-1] // block * size), numpy.uint8)
            mean = matrix[t.name].ctypes.data_as(ctypes.c_void_p) if weigh else None
            shape = ctypes.c_int64(x.shape[0]), ctypes.c_int64(x.shape[1])
            ggml.ggml_quantize_chunk(ctypes.c_int(kind), x.ctypes.data_as(ctypes.c_void_p), coded.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0), *shape, mean)
            writer.add_tensor(t.name, coded, raw_dtype=kind)
        gguf_finish(writer)
        error.append(weighted_error(source, out, matrix))
    print(json.dumps({"tensors": len(matrix), "without": error[0], "with": error[1]}))


def main(argv):
    if argv[0] == "has":
        lacks = [m for m in NEEDS[argv[1]] if not has(m)]
        if lacks:
            print(f"{argv[1]} is not installed: no module {', '.join(lacks)}")
        return 77 if lacks else 0
    if argv[0] == "bytes":
        return bytes_copy(*argv[1:])
    if argv[0] == "ids":
        return ids(argv[1], argv[2], int(argv[3]), int(argv[4]))
    if argv[0] == "pack":
        return pack(*argv[1:])
    if argv[0] == "widen":
        return widen(*argv[1:])
    if argv[0] == "quantize":
        return quantize(*argv[1:])
    if argv[0] == "see":
        return see(*argv[1:])
    return run(*argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
