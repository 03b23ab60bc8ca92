#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make.py - small tokenizers of our own, and what the reference library makes of some texts with them: expected.jsonl, a line each,
{"name", "tokenizer": a tokenizer.json, "cases": [[text, ids], ...]}; bpe.model and unigram.model of SentencePiece, with "model": the file instead
of "tokenizer". The ids of bpe.model are those of SentencePiece itself, those of unigram.model of the conversion that transformers makes.

Needs tokenizers and sentencepiece; writes beside itself.
"""
import io
import json
import pathlib
import random

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
random.seed(1)
LETTERS = ["abcdefgh ijk lm", "AÉÈßİ", "αβγδΣς", "жзийкл", "אבגד", "ابت٣", "कखि७", "กำเ", "中文字", "かなカナー", "한국어", "ა-ბგ"]
ODD = ["\u0301", "\u200d", "\u200c", "\ufb01", "½", "²", "\u00a0", "\u3000", "\n", "\t ", "👩🏽‍🚀", "<s>", "[M]", "<x>", "'ll", "123", "45", "...", "$a+b_c", "\ufeff", "\0"]


def text():
    out = ""
    for _ in range(random.randint(0, 9)):
        kind = random.random()
        if kind < 0.7:
            letters = random.choice(LETTERS)
            out += "".join(random.choice(letters) for _ in range(random.randint(1, 5))) + random.choice(["", " "])
        else:
            out += random.choice(ODD)
    return out


TRAIN = [text().replace("\0", "") for _ in range(400)]


def trained(model, trainer, normalizer, pre, decoder=None):
    t = Tokenizer(model)
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    if decoder:
        t.decoder = decoder
    t.train_from_iterator(TRAIN, trainer)
    return t


def finished(t):
    t.add_tokens([AddedToken("<s>", special=True, normalized=False), AddedToken("[M]", lstrip=True, special=True, normalized=False),
                  AddedToken("<x>", single_word=True, special=False, normalized=True)])
    return t


def with_bytes(t):
    j = json.loads(t.to_str())
    j["model"]["vocab"] += [["<0x%02X>" % i, -20.0] for i in range(256)]
    j["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(j))


def sentencepiece_model(**more):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter([x.replace("\n", " ") for x in TRAIN if x.strip()]), model_writer=out,
                                             hard_vocab_limit=False, character_coverage=0.98, minloglevel=2, num_threads=1, **more)
    return out.getvalue()


def fields(b):
    i = 0

    def varint():
        nonlocal i
        value = shift = 0
        while True:
            byte = b[i]
            i += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while i < len(b):
        tag = varint()
        kind = tag & 7
        n = varint() if kind in (0, 2) else 4 if kind == 5 else 8
        if kind == 0:
            yield tag >> 3, n
            continue
        yield tag >> 3, b[i:i + n]
        i += n


def charsmap():
    rules = HERE / "rules.tsv"
    rules.write_text("FB01\t66 69\nBD\t31 2F 32\n41\t61\n41 301\tE1\n3000\t20\nA0\t20\n1F469\t77\n65 301\tE9\n9\t20\n2581\t20\nC9\t65\n")
    model = sentencepiece_model(vocab_size=200, normalization_rule_tsv=str(rules))
    rules.unlink()
    for field, value in fields(model):
        if field == 3:
            return dict(fields(value))[2]


def unigram(normalizer, pre):
    return trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=320, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False), normalizer, pre)


def bpe(normalizer, pre):
    return trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=360, special_tokens=["<unk>"], show_progress=False, limit_alphabet=200),
                   normalizer, pre)


def plain(x):
    """Without what SentencePiece takes for a piece of its own and transformers for a cut."""
    return x.replace("\0", "").replace("<s>", "").replace("[M]", "")


def bpe_model():
    data = sentencepiece_model(vocab_size=480, model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                               user_defined_symbols=["[M]"])
    (HERE / "bpe.model").write_bytes(data)
    sp = sentencepiece.SentencePieceProcessor(model_proto=data)
    return [[x, sp.encode(x)] for x in [plain(text()) for _ in range(60)]]


def unigram_model():
    data = sentencepiece_model(vocab_size=220, model_type="unigram", normalization_rule_name="identity")
    (HERE / "unigram.model").write_bytes(data)
    sp = sentencepiece.SentencePieceProcessor(model_proto=data)
    t = Tokenizer(models.Unigram([(sp.id_to_piece(i), sp.get_score(i)) for i in range(sp.get_piece_size())], sp.unk_id()))
    t.normalizer = N.Sequence([N.Strip(left=False, right=True), N.Replace(Regex(" {2,}"), "\u2581")])
    t.pre_tokenizer = P.Metaspace()
    return [[x, t.encode(x).ids] for x in [plain(text()) for _ in range(60)]]


P, N = pre_tokenizers, normalizers
map_ = finished(unigram(N.Sequence([N.Precompiled(charsmap()), N.Replace(Regex(" {2,}"), " ")]), P.Sequence([P.WhitespaceSplit(), P.Metaspace()])))
map_.post_processor = processors.RobertaProcessing(("[M]", map_.token_to_id("[M]")), ("<s>", map_.token_to_id("<s>")))
map_.decoder = decoders.Metaspace()
ALL = {
    "unigram, table, roberta": map_,
    "unigram, bytes, whole": finished(with_bytes(unigram(N.Sequence([N.Nmt(), N.NFKC(), N.Strip()]), P.Metaspace(prepend_scheme="first", split=False)))),
    "unigram, lower": finished(unigram(N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase()]), P.Metaspace(prepend_scheme="never"))),
    "words": finished(trained(models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(vocab_size=120, special_tokens=["<unk>"], show_progress=False),
                              N.Lowercase(), P.Whitespace())),
    "cuts after bytes": finished(bpe(None, P.Sequence([P.Punctuation("contiguous"), P.ByteLevel(add_prefix_space=False), P.Digits(),
                                                       P.Split(Regex("[0-9][0-9][0-9]"), "isolated")]))),
    "bytes as normalizer": finished(bpe(N.ByteLevel(), None)),
    "cuts": finished(bpe(N.Strip(left=True, right=False), P.Sequence([P.CharDelimiterSplit("_"), P.Punctuation("merged_with_previous"),
                                                                     P.Split(Regex(r"\w+"), "removed", invert=True), P.Digits(individual_digits=True)]))),
}

with open(HERE / "expected.jsonl", "w", encoding="utf-8") as out:
    for name, t in ALL.items():
        cases = [[x, t.encode(x).ids] for x in [text() for _ in range(60)]]
        json.dump({"name": name, "tokenizer": json.loads(t.to_str()), "cases": cases}, out, ensure_ascii=False, separators=(",", ":"))
        out.write("\n")
    for name, cases in (("bpe.model", bpe_model()), ("unigram.model", unigram_model())):
        json.dump({"name": name, "model": name, "cases": cases}, out, ensure_ascii=False, separators=(",", ":"))
        out.write("\n")
