/* SPDX-License-Identifier: Apache-2.0 */
/* vocab_json - makes the text of a tokenizer.json out of the files that vocabularies are passed
 * around in: vocab.json with merges.txt, and tiktoken ranks. For tests only; failing is an abort
 * of the test. */
#ifndef PTQ_TEST_VOCAB_JSON_H
#define PTQ_TEST_VOCAB_JSON_H

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/fs.h"
#include "../../common/text/bpe.h"

#define VOCAB_GPT2_PARTS                                                                           \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true}," \
    "\"decoder\":{\"type\":\"ByteLevel\"},\"post_processor\":{\"type\":\"ByteLevel\",\"trim_"      \
    "offsets\":false},"
#define VOCAB_SPLIT_PARTS(norm, pattern)                                                      \
    "\"normalizer\":" norm                                                                    \
    ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","       \
    "\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"Isolated\",\"invert\":false},"    \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},\"decoder\":{" \
    "\"type\":\"ByteLevel\"},"
#define VOCAB_TAIL(digits)                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" digits \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+"                                                 \
    "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define VOCAB_QWEN2_PARTS VOCAB_SPLIT_PARTS("{\"type\":\"NFC\"}", VOCAB_TAIL("\\\\p{N}"))
#define VOCAB_LLAMA3_PARTS VOCAB_SPLIT_PARTS("null", VOCAB_TAIL("\\\\p{N}{1,3}"))

struct vocab_text {
    char *p;
    size_t n, cap;
};

static inline void vocab_put(struct vocab_text *t, const char *s, size_t n)
{
    if (t->n + n + 1 > t->cap) {
        t->cap = 2 * (t->n + n + 1);
        t->p = realloc(t->p, t->cap);
        if (!t->p)
            abort();
    }
    memcpy(t->p + t->n, s, n);
    t->n += n;
    t->p[t->n] = 0;
}

static inline void vocab_puts(struct vocab_text *t, const char *s)
{
    vocab_put(t, s, strlen(s));
}

/* A JSON text, quotes included. */
static inline void vocab_quote(struct vocab_text *t, const char *s, size_t n)
{
    size_t i;

    vocab_puts(t, "\"");
    for (i = 0; i < n; i++) {
        if (s[i] == '"' || s[i] == '\\')
            vocab_puts(t, "\\");
        vocab_put(t, s + i, 1);
    }
    vocab_puts(t, "\"");
}

static inline char *vocab_file(const char *path, size_t *n)
{
    struct err e = {0};
    char *text = fs_read(path, (size_t)64 << 20, n, &e);

    if (!text)
        abort();
    return text;
}

/* parts: everything but the model, e.g. VOCAB_GPT2_PARTS. */
static inline struct vocab_text vocab_from_merges(const char *vocab, const char *merges,
                                                  const char *parts)
{
    struct vocab_text t = {0};
    size_t n, m;
    char *v = vocab_file(vocab, &n), *text = vocab_file(merges, &m), *line, *next;
    int any = 0;

    vocab_puts(&t, "{");
    vocab_puts(&t, parts);
    vocab_puts(&t, "\"model\":{\"type\":\"BPE\",\"vocab\":");
    vocab_put(&t, v, n);
    vocab_puts(&t, ",\"merges\":[");
    for (line = text; line < text + m; line = next) {
        char *end = memchr(line, '\n', (size_t)(text + m - line));
        size_t length = (size_t)((end ? end : text + m) - line);

        next = line + length + 1;
        if (!length || !strncmp(line, "#version", 8))
            continue;
        if (any++)
            vocab_puts(&t, ",");
        vocab_quote(&t, line, length);
    }
    vocab_puts(&t, "]}}");
    free(v);
    free(text);
    return t;
}

static inline size_t vocab_base64(const char *s, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    size_t i, used = 0;
    int have = 0;

    for (i = 0; i < n && s[i] != '='; i++) {
        bits = bits << 6 | (uint32_t)(strchr(digits, s[i]) - digits);
        if ((have += 6) < 8)
            continue;
        have -= 8;
        out[used++] = (char)(bits >> have & 0xFF);
    }
    return used;
}

static inline size_t vocab_spell(const char *bytes, size_t n, char *out)
{
    size_t i, used = 0;

    for (i = 0; i < n; i++) {
        uint32_t c = bpe_byte_char((unsigned char)bytes[i]);

        if (c < 0x80) {
            out[used++] = (char)c;
        } else {
            out[used++] = (char)(0xC0 | c >> 6);
            out[used++] = (char)(0x80 | (c & 0x3F));
        }
    }
    return used;
}

/* Every way to cut token `id` in two tokens is a merge, in the order of its left part's id. */
static inline void vocab_cuts(struct vocab_text *t, const struct bpe *b, int32_t id)
{
    size_t n, cut, i, count = 0;
    const char *s = bpe_text(b, id, &n);
    struct {
        int32_t left;
        size_t cut;
    } found[256];

    for (cut = 1; cut < n && count < 256; cut++) {
        int32_t left = bpe_find(b, s, cut);

        if (left < 0 || bpe_find(b, s + cut, n - cut) < 0)
            continue;
        for (i = count++; i && found[i - 1].left > left; i--)
            found[i] = found[i - 1];
        found[i].left = left;
        found[i].cut = cut;
    }
    for (i = 0; i < count; i++) {
        if (t->p[t->n - 1] != '[')
            vocab_puts(t, ",");
        vocab_puts(t, "[");
        vocab_quote(t, s, found[i].cut);
        vocab_puts(t, ",");
        vocab_quote(t, s + found[i].cut, n - found[i].cut);
        vocab_puts(t, "]");
    }
}

/* A tiktoken file is lines "base64 rank"; merges are what it leaves out. */
static inline struct vocab_text vocab_from_tiktoken(const char *path, const char *parts)
{
    struct vocab_text t = {0};
    struct err e = {0};
    size_t n, ids = 0;
    char *text = vocab_file(path, &n), *line, *next, bytes[1024], spelled[2048];
    struct bpe *b = bpe_create(1 << 18, 16, &e);
    int32_t i;

    if (!b)
        abort();
    vocab_puts(&t, "{");
    vocab_puts(&t, parts);
    vocab_puts(&t, "\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,\"vocab\":{");
    for (line = text; line < text + n; line = next, ids++) {
        char *space = strchr(line, ' '), *end = strchr(line, '\n'), number[32];
        size_t length;

        if (!space || !end)
            break;
        next = end + 1;
        length = vocab_spell(bytes, vocab_base64(line, (size_t)(space - line), bytes), spelled);
        if (bpe_add_token(b, spelled, length, strtol(space, NULL, 10), &e) < 0)
            abort();
        if (ids)
            vocab_puts(&t, ",");
        vocab_quote(&t, spelled, length);
        snprintf(number, sizeof number, ":%ld", strtol(space, NULL, 10));
        vocab_puts(&t, number);
    }
    vocab_puts(&t, "},\"merges\":[");
    for (i = 0; (size_t)i < bpe_vocab(b); i++)
        vocab_cuts(&t, b, i);
    vocab_puts(&t, "]}}");
    bpe_destroy(&b);
    free(text);
    return t;
}

#endif
