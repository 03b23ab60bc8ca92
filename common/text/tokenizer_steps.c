/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_steps - the parts of tokenizer.json that are lists of steps: normalizer,
 * pre-tokenizer, decoder. What is not known is refused by name. */
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

static struct norm_step *norm_new(struct tokenizer *t, enum norm_kind kind, const char *what,
                                  struct err *e)
{
    if (steps_full(t->nnorm, what, e) < 0)
        return NULL;
    t->norm[t->nnorm].kind = kind;
    return &t->norm[t->nnorm++];
}

/* A pattern of our own, and what its matches become. */
static int norm_replace(struct tokenizer *t, const char *pattern, const char *put, const char *what,
                        struct err *e)
{
    struct norm_step *s = norm_new(t, NORM_REPLACE, what, e);

    if (!s || !(s->find = unicode_regex_open(pattern, strlen(pattern), 0, what, e)))
        return -1;
    return text_copy(&s->put, put, strlen(put), e);
}

static int replace_parse(struct tokenizer *t, const struct json *j, const char *what, struct err *e)
{
    struct norm_step *s = norm_new(t, NORM_REPLACE, what, e);

    return s && (s->find = pattern_parse(j, what, e)) ? text_need(&s->put, j, "content", what, e)
                                                      : -1;
}

static int strip_parse(struct tokenizer *t, const struct json *j, const char *what, struct err *e)
{
    struct norm_step *s = norm_new(t, NORM_STRIP, what, e);

    return !s || json_opt_bool(j, "strip_left", 1, &s->left, what, e) < 0
               ? -1
               : json_opt_bool(j, "strip_right", 1, &s->right, what, e);
}

static int map_parse(struct tokenizer *t, const struct json *j, const char *what, struct err *e)
{
    const char *map = json_need_text(j, "precompiled_charsmap", what, e);
    struct norm_step *s = map ? norm_new(t, NORM_MAP, what, e) : NULL;

    if (s)
        s->map = charsmap_parse(map, strlen(map), what, e);
    return s && s->map ? 0 : -1;
}

/* Control characters go, other kinds of space become spaces. */
static int nmt_parse(struct tokenizer *t, const char *what, struct err *e)
{
    return norm_replace(t, "[\\x01-\\x08\\x0B\\x0E-\\x1F\\x7F\\x{8F}\\x{9F}]", "", what, e) < 0
               ? -1
               : norm_replace(t,
                              "[\\t\\n\\x0C\\r\\x{1680}\\x{200B}-\\x{200F}\\x{2028}\\x{2029}"
                              "\\x{2581}\\x{FEFF}\\x{FFFD}]",
                              " ", what, e);
}

static int norm_one(struct tokenizer *t, const struct json *j, const char *type, int *byte_level,
                    const char *what, struct err *e)
{
    static const char *const forms[] = {"NFC", "NFD", "NFKC", "NFKD"};
    struct norm_step *s;

    (void)byte_level;
    if (!strcmp(type, "Prepend"))
        return (s = norm_new(t, NORM_PREPEND, what, e)) ? text_need(&s->put, j, "prepend", what, e)
                                                        : -1;
    if (!strcmp(type, "Replace"))
        return replace_parse(t, j, what, e);
    if (!strcmp(type, "Lowercase"))
        return norm_new(t, NORM_LOWER, what, e) ? 0 : -1;
    if (!strcmp(type, "StripAccents"))
        return norm_replace(t, "\\p{M}+", "", what, e);
    if (!strcmp(type, "Strip"))
        return strip_parse(t, j, what, e);
    if (!strcmp(type, "Nmt"))
        return nmt_parse(t, what, e);
    if (!strcmp(type, "Precompiled"))
        return map_parse(t, j, what, e);
    if (!strcmp(type, "ByteLevel"))
        return norm_new(t, NORM_BYTES, what, e) ? 0 : -1;
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(type, forms[i]))
            continue;
        if (!(s = norm_new(t, NORM_FORM, what, e)))
            return -1;
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

static int behavior_parse(const struct json *j, const char *type, const char *otherwise,
                          enum split_behavior *behavior, const char *what, struct err *e)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const char *text =
        otherwise && !json_get(j, "behavior") ? otherwise : json_need_text(j, "behavior", what, e);
    size_t i;

    if (!text)
        return -1;
    for (i = 0; i < 5 && strcmp(text, names[i]); i++) {
    }
    if (i == 5)
        return err_set(e, ERR_USE, "%s: %s behavior '%s' is not known", what, type, text);
    *behavior = (enum split_behavior)i;
    return 0;
}

static int split_parse(struct tokenizer *t, const struct json *j, const char *what, struct err *e)
{
    struct pre_step *s = pre_new(t, PRE_SPLIT, what, e);

    if (!s || behavior_parse(j, "Split", NULL, &s->behavior, what, e) < 0 ||
        json_opt_bool(j, "invert", 0, &s->invert, what, e) < 0)
        return -1;
    return (s->find = pattern_parse(j, what, e)) ? 0 : -1;
}

/* What ASCII counts as punctuation, and Unicode. */
static int punctuation_parse(struct tokenizer *t, const struct json *j, const char *what,
                             struct err *e)
{
    enum split_behavior b;

    return behavior_parse(j, "Punctuation", "Isolated", &b, what, e) < 0
               ? -1
               : pre_split(t, "[\\p{P}$+<=>^`|~]", 0, b, what, e);
}

static int delimiter_parse(struct tokenizer *t, const struct json *j, const char *what,
                           struct err *e)
{
    const char *c = json_need_text(j, "delimiter", what, e);

    return c ? pre_split(t, c, 1, SPLIT_REMOVED, what, e) : -1;
}

/* Words and what is neither word nor space are the pieces, each by itself. What a word is made of
 * differs from \w in the patterns of a Split. */
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}"

static int whitespace_parse(struct tokenizer *t, const char *what, struct err *e)
{
    if (pre_split(t, "[" WORD "]+|[^" WORD "\\s]+", 0, SPLIT_REMOVED, what, e) < 0)
        return -1;
    t->pre[t->npre - 1].invert = 1;
    return 0;
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

    if (*byte_level == 1) { /* what follows sees the characters that stand for the bytes */
        if (!strcmp(type, "ByteLevel"))
            return err_set(e, ERR_USE, "%s: pre-tokenizer ByteLevel twice", what);
        if (!pre_new(t, PRE_BYTES, what, e))
            return -1;
        *byte_level = 2;
    }
    if (!strcmp(type, "ByteLevel"))
        return byte_level_parse(t, j, byte_level, what, e);
    if (!strcmp(type, "Split"))
        return split_parse(t, j, what, e);
    if (!strcmp(type, "Metaspace"))
        return metaspace_parse(t, j, what, e);
    if (!strcmp(type, "Punctuation"))
        return punctuation_parse(t, j, what, e);
    if (!strcmp(type, "Whitespace"))
        return whitespace_parse(t, what, e);
    if (!strcmp(type, "WhitespaceSplit"))
        return pre_split(t, "\\s", 0, SPLIT_REMOVED, what, e);
    if (!strcmp(type, "CharDelimiterSplit"))
        return delimiter_parse(t, j, what, e);
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
    int rc = parts_walk(t, j, "pretokenizers", pre_one, byte_level, what, e);

    *byte_level = *byte_level == 1; /* 2: they are characters by now */
    return rc;
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
