/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_steps - normalizer, pre_tokenizer and decoder of tokenizer.json into flat lists of
 * steps.
 *
 * Known: Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD; ByteLevel, Split, Digits, Metaspace;
 * ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace as decoders. Everything else is
 * refused by name. */
#include <stdlib.h>
#include <string.h>

#include "../base/json.h"
#include "tokenizer_parts.h"

/* The pattern of GPT-2, which ByteLevel stands for when use_regex is set. */
#define GPT2_PATTERN \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

int parts_walk(struct tokenizer *t, const struct json *j, const char *list, part_parse *parse,
               int *byte_level, const char *what, struct err *e)
{
    const char *type;
    size_t i;

    if (json_kind(j) == JSON_KIND_NULL)
        return 0;
    if (!(type = json_need_text(j, "type", what, e)))
        return -1;
    if (strcmp(type, "Sequence"))
        return parse(t, j, type, byte_level, what, e);
    j = json_get(j, list);
    if (json_kind(j) != JSON_KIND_ARRAY)
        return err_set(e, ERR_USE, "%s: a Sequence without '%s'", what, list);
    for (i = 0; i < json_count(j); i++)
        if (parts_walk(t, json_at(j, i), list, parse, byte_level, what, e) < 0)
            return -1;
    return 0;
}

static int text_need(struct text *x, const struct json *j, const char *key, const char *what,
                     struct err *e)
{
    const char *text = json_need_text(j, key, what, e);

    return text ? text_copy(x, text, json_text_length(json_get(j, key)), e) : -1;
}

static struct unicode_regex *pattern_parse(const struct json *j, const char *what, struct err *e)
{
    const struct json *p = json_get(j, "pattern"), *x;
    int literal;

    x = json_get(p, "Regex");
    literal = !x;
    if (!x)
        x = json_get(p, "String");
    if (!json_as_text(x)) {
        err_set(e, ERR_USE, "%s: 'pattern' is neither a Regex nor a String", what);
        return NULL;
    }
    return unicode_regex_open(json_as_text(x), json_text_length(x), literal, what, e);
}

static int steps_full(size_t n, const char *what, struct err *e)
{
    return n < STEPS_MAX ? 0 : err_set(e, ERR_USE, "%s: more than %d steps", what, STEPS_MAX);
}

/* ---- normalizer ---- */

static int norm_one(struct tokenizer *t, const struct json *j, const char *type, int *byte_level,
                    const char *what, struct err *e)
{
    static const char *const forms[] = {"NFC", "NFD", "NFKC", "NFKD"};
    struct norm_step *s = &t->norm[t->nnorm];
    size_t i;

    (void)byte_level;
    if (steps_full(t->nnorm, what, e) < 0)
        return -1;
    if (!strcmp(type, "Prepend")) {
        t->nnorm++;
        s->kind = NORM_PREPEND;
        return text_need(&s->put, j, "prepend", what, e);
    }
    if (!strcmp(type, "Replace")) {
        t->nnorm++;
        s->kind = NORM_REPLACE;
        if (!(s->find = pattern_parse(j, what, e)))
            return -1;
        return text_need(&s->put, j, "content", what, e);
    }
    for (i = 0; i < 4; i++) {
        if (strcmp(type, forms[i]))
            continue;
        t->nnorm++;
        s->kind = NORM_FORM;
        s->form = (enum unicode_form)i;
        return 0;
    }
    return err_set(e, ERR_USE, "%s: normalizer '%s' is not known", what, type);
}

int norm_parse(struct tokenizer *t, const struct json *j, const char *what, struct err *e)
{
    return parts_walk(t, j, "normalizers", norm_one, NULL, what, e);
}

/* ---- pre_tokenizer ---- */

static struct pre_step *pre_new(struct tokenizer *t, enum pre_kind kind, const char *what,
                                struct err *e)
{
    if (steps_full(t->npre, what, e) < 0)
        return NULL;
    t->pre[t->npre].kind = kind;
    return &t->pre[t->npre++];
}

static int pre_split(struct tokenizer *t, const char *pattern, int literal, enum split_behavior b,
                     const char *what, struct err *e)
{
    struct pre_step *s = pre_new(t, PRE_SPLIT, what, e);

    if (!s)
        return -1;
    s->behavior = b;
    s->find = unicode_regex_open(pattern, strlen(pattern), literal, what, e);
    return s->find ? 0 : -1;
}

static int split_parse(struct tokenizer *t, const struct json *j, const char *what, struct err *e)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const char *behavior = json_need_text(j, "behavior", what, e);
    struct pre_step *s;
    size_t i;

    if (!behavior || !(s = pre_new(t, PRE_SPLIT, what, e)))
        return -1;
    for (i = 0; i < 5 && strcmp(behavior, names[i]); i++) {
    }
    if (i == 5)
        return err_set(e, ERR_USE, "%s: Split behavior '%s' is not known", what, behavior);
    s->behavior = (enum split_behavior)i;
    if (json_opt_bool(j, "invert", 0, &s->invert, what, e) < 0)
        return -1;
    return (s->find = pattern_parse(j, what, e)) ? 0 : -1;
}

static int byte_level_parse(struct tokenizer *t, const struct json *j, int *byte_level,
                            const char *what, struct err *e)
{
    int prefix, use_regex;

    if (json_opt_bool(j, "add_prefix_space", 1, &prefix, what, e) < 0 ||
        json_opt_bool(j, "use_regex", 1, &use_regex, what, e) < 0)
        return -1;
    *byte_level = 1;
    if (prefix && !pre_new(t, PRE_SPACE, what, e))
        return -1;
    return use_regex ? pre_split(t, GPT2_PATTERN, 0, SPLIT_ISOLATED, what, e) : 0;
}

static int metaspace_prefix(const struct json *j, enum meta_prefix *prefix, const char *what,
                            struct err *e)
{
    const char *scheme = json_as_text(json_get(j, "prepend_scheme"));
    int add;

    if (json_opt_bool(j, "add_prefix_space", 1, &add, what, e) < 0)
        return -1;
    *prefix = add ? META_ALWAYS : META_NEVER; /* how older files say it */
    if (!json_get(j, "prepend_scheme"))
        return 0;
    if (scheme && !strcmp(scheme, "always"))
        *prefix = META_ALWAYS;
    else if (scheme && !strcmp(scheme, "first"))
        *prefix = META_FIRST;
    else if (scheme && !strcmp(scheme, "never"))
        *prefix = META_NEVER;
    else
        return err_set(e, ERR_USE, "%s: Metaspace prepend_scheme '%s' is not known", what,
                       scheme ? scheme : "?");
    return 0;
}

static int metaspace_parse(struct tokenizer *t, const struct json *j, const char *what,
                           struct err *e)
{
    struct pre_step *s = pre_new(t, PRE_META, what, e);
    int split;

    if (!s || metaspace_prefix(j, &s->prefix, what, e) < 0 ||
        text_need(&s->put, j, "replacement", what, e) < 0 ||
        json_opt_bool(j, "split", 1, &split, what, e) < 0)
        return -1;
    return split ? pre_split(t, s->put.data, 1, SPLIT_NEXT, what, e) : 0;
}

static int pre_one(struct tokenizer *t, const struct json *j, const char *type, int *byte_level,
                   const char *what, struct err *e)
{
    int each;

    if (*byte_level)
        return err_set(e, ERR_USE, "%s: pre-tokenizer '%s' after ByteLevel is not known", what,
                       type);
    if (!strcmp(type, "ByteLevel"))
        return byte_level_parse(t, j, byte_level, what, e);
    if (!strcmp(type, "Split"))
        return split_parse(t, j, what, e);
    if (!strcmp(type, "Metaspace"))
        return metaspace_parse(t, j, what, e);
    if (!strcmp(type, "Digits")) {
        if (json_opt_bool(j, "individual_digits", 0, &each, what, e) < 0)
            return -1;
        return pre_split(t, "\\p{N}", 0, each ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, what, e);
    }
    return err_set(e, ERR_USE, "%s: pre-tokenizer '%s' is not known", what, type);
}

int pre_parse(struct tokenizer *t, const struct json *j, int *byte_level, const char *what,
              struct err *e)
{
    return parts_walk(t, j, "pretokenizers", pre_one, byte_level, what, e);
}

/* ---- decoder ---- */

static int dec_one(struct tokenizer *t, const struct json *j, const char *type, int *byte_level,
                   const char *what, struct err *e)
{
    struct dec_step *s = &t->dec[t->ndec];
    enum meta_prefix prefix;
    int64_t start, stop;

    (void)byte_level;
    if (steps_full(t->ndec, what, e) < 0)
        return -1;
    t->ndec++;
    if (!strcmp(type, "ByteLevel")) {
        s->kind = DEC_BYTE_LEVEL;
    } else if (!strcmp(type, "ByteFallback")) {
        s->kind = DEC_BYTE_FALLBACK;
    } else if (!strcmp(type, "Fuse")) {
        s->kind = DEC_FUSE;
    } else if (!strcmp(type, "Replace")) {
        s->kind = DEC_REPLACE;
        if (!(s->find = pattern_parse(j, what, e)))
            return -1;
        return text_need(&s->put, j, "content", what, e);
    } else if (!strcmp(type, "Strip")) {
        s->kind = DEC_STRIP;
        if (json_need_int(j, "start", 0, INT32_MAX, &start, what, e) < 0 ||
            json_need_int(j, "stop", 0, INT32_MAX, &stop, what, e) < 0)
            return -1;
        s->start = (size_t)start;
        s->stop = (size_t)stop;
        return text_need(&s->put, j, "content", what, e);
    } else if (!strcmp(type, "Metaspace")) {
        s->kind = DEC_META;
        if (metaspace_prefix(j, &prefix, what, e) < 0)
            return -1;
        s->prefix = prefix != META_NEVER;
        return text_need(&s->put, j, "replacement", what, e);
    } else {
        return err_set(e, ERR_USE, "%s: decoder '%s' is not known", what, type);
    }
    return 0;
}

int dec_parse(struct tokenizer *t, const struct json *j, const char *what, struct err *e)
{
    return parts_walk(t, j, "decoders", dec_one, NULL, what, e);
}
