/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_spm - a SentencePiece model (tokenizer.model) into a struct tokenizer, as the
 * reference converts it to a tokenizer.json.
 *
 * Format: sentencepiece_model.proto of https://github.com/google/sentencepiece. Models unigram
 * and BPE.
 * Left out: words and characters as models, spaces as suffixes; they are refused. What a model
 * file does not say is whether texts get a BOS: of BPE they do (Llama, Mistral, Gemma), unless
 * tokenizer_config.json says otherwise. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/hash.h"
#include "../base/json.h"
#include "../base/mem.h"
#include "protobuf.h"
#include "tokenizer.h"
#include "tokenizer_parts.h"
#include "tokenizer_rules.h"

enum piece_type { NORMAL = 1, UNKNOWN, CONTROL, USER, UNUSED, BYTE };
enum { UNIGRAM = 1, BPE }; /* model_type */

struct spm {
    const char *what;
    size_t count;
    double *score;       /* [count] */
    unsigned char *type; /* [count] enum piece_type */
    uint64_t model, byte_fallback, suffix;
    int64_t unk, bos;
    uint64_t dummy_prefix, remove_spaces, escape;
    struct protobuf map;
};

static int broken(const struct spm *s, struct err *e)
{
    return err_set(e, ERR_USE, "%s: not a SentencePiece model", s->what);
}

/* ---- reading ---- */

static int specs_read(struct spm *s, uint32_t which, struct protobuf m, struct err *e)
{
    struct protobuf_field f;
    int got;

    while ((got = protobuf_next(&m, &f)) > 0) {
        if (which == 2) { /* trainer_spec */
            if (f.number == 3)
                s->model = f.value;
            if (f.number == 24)
                s->suffix = f.value;
            if (f.number == 35)
                s->byte_fallback = f.value;
            if (f.number == 40)
                s->unk = (int32_t)f.value;
            if (f.number == 41)
                s->bos = (int32_t)f.value;
        } else { /* normalizer_spec */
            if (f.number == 2)
                s->map = f.data;
            if (f.number == 3)
                s->dummy_prefix = f.value;
            if (f.number == 4)
                s->remove_spaces = f.value;
            if (f.number == 5)
                s->escape = f.value;
        }
    }
    return got < 0 ? broken(s, e) : 0;
}

static int piece_read(struct spm *s, struct bpe *vocab, struct protobuf m, struct err *e)
{
    struct protobuf_field f;
    struct protobuf text = {NULL, 0};
    uint64_t type = NORMAL;
    int got;

    while ((got = protobuf_next(&m, &f)) > 0) {
        if (f.number == 1)
            text = f.data;
        if (f.number == 2)
            s->score[s->count] = (double)protobuf_float(&f);
        if (f.number == 3)
            type = f.value;
    }
    if (got < 0 || !isfinite(s->score[s->count]))
        return broken(s, e);
    if (type < NORMAL || type > BYTE)
        return err_set(e, ERR_USE, "%s: piece %zu is of a type that is not known", s->what,
                       s->count);
    if (unicode_valid((const char *)text.p, text.n) != text.n)
        return err_set(e, ERR_USE, "%s: piece %zu is not UTF-8", s->what, s->count);
    s->type[s->count] = (unsigned char)type;
    if (bpe_add_token(vocab, (const char *)text.p, text.n, (int64_t)s->count, e) < 0)
        return err_prefix(e, "%s", s->what);
    s->count++;
    return 0;
}

/* Everything but the pieces; returns how many of those there are, or -1. */
static int64_t pieces_count(struct spm *s, struct protobuf m, struct err *e)
{
    struct protobuf_field f;
    int64_t n = 0;
    int got;

    while ((got = protobuf_next(&m, &f)) > 0) {
        n += f.number == 1;
        if ((f.number == 2 || f.number == 3) && specs_read(s, f.number, f.data, e) < 0)
            return -1;
    }
    return got < 0 || !n ? broken(s, e) : n;
}

static int spm_refuse(const struct spm *s, struct err *e)
{
    if (s->model != UNIGRAM && s->model != BPE)
        return err_set(e, ERR_USE, "%s: a SentencePiece model of words or characters is not known",
                       s->what);
    if (s->suffix || !s->escape)
        return err_set(e, ERR_USE, "%s: a SentencePiece model with %s is not known", s->what,
                       s->suffix ? "spaces as suffixes" : "spaces that are not escaped");
    return 0;
}

/* All pieces, in order, with room for so many merges. NULL: *e says why. */
static struct bpe *vocab_read(struct spm *s, struct protobuf m, size_t pieces, size_t merges,
                              struct err *e)
{
    struct bpe *vocab = bpe_create(pieces, merges, e);
    struct protobuf_field f;

    s->count = 0;
    while (vocab && protobuf_next(&m, &f) > 0)
        if (f.number == 1 && piece_read(s, vocab, f.data, e) < 0)
            bpe_destroy(&vocab);
    return vocab;
}

/* ---- the model ---- */

static int bpe_make(struct spm *s, struct tokenizer *t, struct protobuf m, size_t pieces,
                    struct err *e)
{
    const struct bpe_opts o = {
        .byte_fallback = s->byte_fallback != 0, .fuse_unk = 1, .unk = (int32_t)s->unk};
    struct bpe *vocab = vocab_read(s, m, pieces, 0, e);
    struct rules r = {0};
    int rc = -1;

    if (vocab && rules_find(&r, vocab, s->score, s->type, NORMAL, e) == 0 &&
        (t->bpe = vocab_read(s, m, pieces, r.n, e)) && rules_add(&r, t->bpe, e) == 0)
        rc = bpe_start(t->bpe, &o, e);
    bpe_destroy(&vocab);
    rules_release(&r);
    return rc < 0 ? err_prefix(e, "%s", s->what) : 0;
}

static int model_make(struct spm *s, struct tokenizer *t, struct protobuf m, struct err *e)
{
    const int64_t n = pieces_count(s, m, e);

    if (n < 0 || spm_refuse(s, e) < 0)
        return -1;
    if (n > BPE_ID_MAX)
        return err_set(e, ERR_USE, "%s: too many pieces", s->what);
    if (s->unk >= n)
        return broken(s, e);
    s->bos = s->bos < n ? s->bos : -1;
    if (!(s->score = mem_array((size_t)n, sizeof *s->score, e)) ||
        !(s->type = mem_array((size_t)n, 1, e)))
        return -1;
    if (s->model == BPE)
        return bpe_make(s, t, m, (size_t)n, e);
    if (!(t->bpe = vocab_read(s, m, (size_t)n, 0, e)))
        return -1;
    t->unigram = unigram_create(
        t->bpe, s->score,
        &(struct unigram_opts){.unk = (int32_t)s->unk, .byte_fallback = s->byte_fallback != 0}, e);
    return t->unigram ? 0 : -1;
}

/* ---- the steps ---- */

#define SPACE "\"\xE2\x96\x81\"" /* U+2581 */
#define SPACES_SET "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":" SPACE "}"
#define STRIPPED                                                                                 \
    "{\"type\":\"Strip\",\"strip_left\":false},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" " \
    "{2,}\"},\"content\":" SPACE "}"

typedef int steps_parse(struct tokenizer *t, const struct json *j, const char *what, struct err *e);

static int steps_of(struct tokenizer *t, steps_parse *parse, const char *text, const char *what,
                    struct err *e)
{
    struct json *j = json_parse(text, strlen(text), what, e);
    int rc = j ? parse(t, j, what, e) : -1;

    json_destroy(&j);
    return rc;
}

static int pre_of(struct tokenizer *t, const struct json *j, const char *what, struct err *e)
{
    int byte_level = 0;

    return pre_parse(t, j, &byte_level, what, e);
}

static int map_add(struct spm *s, struct tokenizer *t, struct err *e)
{
    struct norm_step *step = &t->norm[t->nnorm];

    if (!s->map.n)
        return 0;
    step->kind = NORM_MAP;
    t->nnorm++;
    step->map = charsmap_open(s->map.p, s->map.n, s->what, e);
    return step->map ? 0 : -1;
}

/* Of BPE the text is one piece; of unigram each word. */
static int steps_make(struct spm *s, struct tokenizer *t, struct err *e)
{
    static const char prepend[] = "{\"type\":\"Prepend\",\"prepend\":" SPACE "}",
                      words[] = "{\"type\":\"Metaspace\",\"replacement\":" SPACE
                                ",\"prepend_scheme\":\"always\"}",
                      bare[] = "{\"type\":\"Metaspace\",\"replacement\":" SPACE
                               ",\"prepend_scheme\":\"never\"}",
                      decode[] = "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\","
                                 "\"pattern\":{\"String\":" SPACE
                                 "},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":"
                                 "\"Fuse\"}]}",
                      first[] = "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}",
                      stripped[] = "{\"type\":\"Sequence\",\"normalizers\":[" STRIPPED "]}";

    if (map_add(s, t, e) < 0 ||
        (s->remove_spaces && steps_of(t, norm_parse, stripped, s->what, e) < 0) ||
        steps_of(t, dec_parse, decode, s->what, e) < 0 ||
        (s->dummy_prefix && steps_of(t, dec_parse, first, s->what, e) < 0))
        return -1;
    if (s->model == UNIGRAM)
        return steps_of(t, pre_of, s->dummy_prefix ? words : bare, s->what, e);
    if (s->dummy_prefix && steps_of(t, norm_parse, prepend, s->what, e) < 0)
        return -1;
    return steps_of(t, norm_parse, SPACES_SET, s->what, e);
}

/* Control pieces and the unknown one are special tokens, those of the user are added ones. */
static int added_make(const struct spm *s, struct tokenizer *t, struct err *e)
{
    t->vocab = bpe_vocab(t->bpe);
    if (!(t->added = mem_array(s->count, sizeof *t->added, e)))
        return -1;
    for (size_t i = 0; i < s->count; i++) {
        struct added *a = &t->added[t->nadded];
        const char *text;
        size_t n = 0;

        if (s->type[i] != CONTROL && s->type[i] != UNKNOWN && s->type[i] != USER)
            continue;
        text = bpe_text(t->bpe, (int64_t)i, &n);
        a->id = (int32_t)i;
        a->special = s->type[i] != USER;
        t->nadded++;
        if (text_copy(&a->raw, text, n, e) < 0)
            return -1;
    }
    return added_prepare(t, e);
}

struct tokenizer *tokenizer_spm_parse(const void *data, size_t n, const char *what, struct err *e)
{
    struct spm s = {.what = what,
                    .model = UNIGRAM, /* the defaults of the format */
                    .bos = 1,
                    .dummy_prefix = 1,
                    .remove_spaces = 1,
                    .escape = 1};
    struct tokenizer *t = mem_array(1, sizeof *t, e);

    if (!t)
        return NULL;
    t->digest = hash_bytes(data, n);
    if (model_make(&s, t, (struct protobuf){data, n}, e) < 0 || steps_make(&s, t, e) < 0 ||
        added_make(&s, t, e) < 0 ||
        (s.model == BPE && s.bos >= 0 && bpe_ids_push(&t->front, (int32_t)s.bos, e) < 0))
        tokenizer_close(&t);
    free(s.score);
    free(s.type);
    return t;
}
