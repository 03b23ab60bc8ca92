/* SPDX-License-Identifier: Apache-2.0 */
/* override - see override.h. */
#include "override.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/fs.h"
#include "../base/mem.h"

#define FILE_MAX ((size_t)16 << 20)
#define LINE_MAX_BYTES ((size_t)4096)
#define STARS_MAX 8
#define GROUP_MAX ((long)1 << 24)

static const struct override_values nothing = {-1, 0, 0, NULL, -1.0, NULL, NULL};

/* ---- one line ---- */

/* Blanks between words become one, those at the ends go, a comment too; *n is the new length. */
static char *tidy(const char *text, size_t length, size_t *n, struct err *e)
{
    char *out = mem_raw(length + 1, 1, e);

    *n = 0;
    for (size_t i = 0; out && i < length; i++) {
        const int blank = isspace((unsigned char)text[i]), first = *n == 0 || out[*n - 1] == ' ';

        if (text[i] == '#' && first)
            break;
        if (blank && first)
            continue;
        out[(*n)++] = blank ? ' ' : text[i];
    }
    if (out) {
        *n -= *n && out[*n - 1] == ' ';
        out[*n] = '\0';
    }
    return out;
}

static int read_bits(struct override_values *v, const char *value, struct err *e)
{
    const char *const *names = grid_bits_names();
    char known[128];

    for (size_t i = 0; names[i] && !v->bits; i++)
        v->bits = strcmp(names[i], value) == 0 ? grid_bits_at(i) : 0;
    return v->bits ? 0
                   : err_set(e, ERR_USE, "bits must be %s, not '%.40s'",
                             grid_name_list(names, "or", known, sizeof known), value);
}

static int read_group(struct override_values *v, const char *value, struct err *e)
{
    char *end;
    long group;

    errno = 0;
    group = strtol(value, &end, 10);
    if (end == value || *end || errno || group < -1 || group == 0 || group > GROUP_MAX)
        return err_set(e, ERR_USE, "group must be -1 or at least 1, not '%.40s'", value);
    v->group = group;
    return 0;
}

static int read_grid(struct override_values *v, const char *value, struct err *e)
{
    char known[256];

    v->grid = grid_find(value);
    return v->grid ? 0
                   : err_set(e, ERR_USE, "grid must be %s, not '%.40s'",
                             grid_name_list(grid_names(), "or", known, sizeof known), value);
}

static int read_damp(struct override_values *v, const char *value, struct err *e)
{
    char *end;
    const double damp = strtod(value, &end);

    if (end == value || *end || !(damp >= 0.0 && damp <= 10.0))
        return err_set(e, ERR_USE, "damp must be from 0 to 10, not '%.40s'", value);
    v->damp = damp;
    return 0;
}

static int read_skip(struct override_values *v, const char *value, struct err *e)
{
    v->skip = strcmp(value, "yes") == 0 ? 1 : strcmp(value, "no") == 0 ? 0 : -1;
    return v->skip >= 0 ? 0 : err_set(e, ERR_USE, "skip must be yes or no, not '%.40s'", value);
}

static int read_name(const char **name, const char *key, const char *value, struct err *e)
{
    *name = value;
    return *value ? 0 : err_set(e, ERR_USE, "%s needs a name behind the =", key);
}

static int is_said(const struct override_values *v, const char *key)
{
    return strcmp(key, "bits") == 0     ? v->bits != 0
           : strcmp(key, "group") == 0  ? v->group != 0
           : strcmp(key, "grid") == 0   ? v->grid != NULL
           : strcmp(key, "damp") == 0   ? v->damp >= 0.0
           : strcmp(key, "solver") == 0 ? v->solver != NULL
           : strcmp(key, "fit") == 0    ? v->fit != NULL
           : strcmp(key, "skip") == 0   ? v->skip >= 0
                                        : -1;
}

static int read_pair(struct override_values *v, const char *key, const char *value, struct err *e)
{
    const int said = is_said(v, key);

    if (said < 0)
        return err_set(e, ERR_USE, "'%.40s' is none of bits, group, grid, fit, solver, damp, skip",
                       key);
    if (said)
        return err_set(e, ERR_USE, "%s is there twice", key);
    if (!value && strcmp(key, "skip") != 0)
        return err_set(e, ERR_USE, "%s needs a value: %s=...", key, key);
    switch (*key) {
    case 'b':
        return read_bits(v, value, e);
    case 'd':
        return read_damp(v, value, e);
    case 'f':
        return read_name(&v->fit, key, value, e);
    case 'g':
        return key[2] == 'o' ? read_group(v, value, e) : read_grid(v, value, e);
    default:
        return key[1] == 'o' ? read_name(&v->solver, key, value, e)
                             : read_skip(v, value ? value : "yes", e);
    }
}

/* fnmatch takes exponential time in them. */
static int stars(const char *pattern)
{
    int n = 0;

    for (; *pattern; pattern++)
        n += *pattern == '*';
    return n;
}

/* words: "PATTERN: a=b c=d", cut up in place. */
static int read_words(struct override *o, struct err *e)
{
    char *colon = strstr(o->words, ": "), *at, *next;

    if (!colon || colon == o->words || memchr(o->words, ' ', (size_t)(colon - o->words)))
        return err_set(
            e, ERR_USE,
            "expected 'PATTERN: key=value ...' (e.g. 'mlp.down: bits=8 group=32' or 'b0.*: skip')");
    *colon = '\0';
    o->pattern = o->words;
    if (stars(o->pattern) > STARS_MAX)
        return err_set(e, ERR_USE, "a pattern has at most %d stars", STARS_MAX);
    for (at = colon + 2; at; at = next) {
        char *eq;

        if ((next = strchr(at, ' ')))
            *next++ = '\0';
        if ((eq = strchr(at, '=')))
            *eq++ = '\0';
        if (read_pair(&o->v, at, eq, e))
            return -1;
    }
    if (o->v.skip == 1 &&
        (o->v.bits || o->v.group || o->v.grid || o->v.damp >= 0.0 || o->v.solver || o->v.fit))
        return err_set(e, ERR_USE,
                       "skip leaves the linear as it is: no other key makes sense beside it");
    return 0;
}

static void override_release(struct override *o)
{
    free(o->text);
    free(o->from);
    free(o->words);
}

int overrides_add(struct overrides *o, const char *text, size_t n, const char *from, struct err *e)
{
    struct override x = {.v = nothing};
    size_t length;

    if (n > LINE_MAX_BYTES || memchr(text, '\0', n))
        return err_set(e, ERR_USE, "%s: %s", from,
                       n > LINE_MAX_BYTES ? "a line longer than 4096 bytes"
                                          : "a NUL byte in the line");
    if (!(x.text = tidy(text, n, &length, e)))
        return -1;
    if (length == 0 || strcmp(x.text, "none") == 0) {
        free(x.text);
        return 0;
    }
    if (!(x.words = mem_text(x.text, e)) || !(x.from = mem_text(from, e)))
        goto fail;
    if (read_words(&x, e)) {
        err_prefix(e, "%s: '%.100s'", from, x.text);
        goto fail;
    }
    if (mem_grow((void **)&o->at, &o->cap, o->count + 1, sizeof *o->at, e))
        goto fail;
    o->at[o->count++] = x;
    return 0;
fail:
    override_release(&x);
    return -1;
}

int overrides_parse(struct overrides *o, const char *text, size_t length, const char *what,
                    struct err *e)
{
    const char *end = text + length;

    for (size_t line = 1; text < end; line++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        const size_t n = (size_t)((stop ? stop : end) - text);
        char from[512];

        snprintf(from, sizeof from, "%.480s:%zu", what, line);
        if (overrides_add(o, text, n, from, e))
            return -1;
        text += n + 1;
    }
    return 0;
}

int overrides_load(struct overrides *o, const char *path, const char *const *lines, size_t count,
                   struct err *e)
{
    size_t length = 0;
    char *text = NULL;
    int rc = 0;

    if (path && strcmp(path, "none") != 0) {
        text = fs_read(path, FILE_MAX, &length, e);
        rc = text ? overrides_parse(o, text, length, path, e) : err_prefix(e, "--overrides");
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = overrides_add(o, lines[i], strlen(lines[i]), "--override", e);
    free(text);
    if (rc)
        overrides_release(o);
    return rc;
}

void overrides_release(struct overrides *o)
{
    for (size_t i = 0; i < o->count; i++)
        override_release(&o->at[i]);
    free(o->at);
    *o = (struct overrides)OVERRIDES_NONE;
}

/* ---- what it means for a linear ---- */

int override_hits(const struct override *o, size_t block, const char *site, const char *linear)
{
    char place[96];

    snprintf(place, sizeof place, "b%zu.%.64s", block, site);
    return fnmatch(o->pattern, linear, 0) == 0 || fnmatch(o->pattern, site, 0) == 0 ||
           fnmatch(o->pattern, place, 0) == 0;
}

int overrides_of(const struct overrides *o, size_t block, const char *site, const char *linear,
                 struct override_values *v)
{
    int hit = 0;

    *v = nothing;
    for (size_t i = 0; o && i < o->count; i++) {
        const struct override_values *x = &o->at[i].v;

        if (!override_hits(&o->at[i], block, site, linear))
            continue;
        hit = 1;
        v->skip = x->skip >= 0 ? x->skip : v->skip;
        v->bits = x->bits ? x->bits : v->bits;
        v->group = x->group ? x->group : v->group;
        v->grid = x->grid ? x->grid : v->grid;
        v->damp = x->damp >= 0.0 ? x->damp : v->damp;
        v->solver = x->solver ? x->solver : v->solver;
        v->fit = x->fit ? x->fit : v->fit;
    }
    return hit;
}

static int hits_model(const struct override *o, const struct sites *s)
{
    for (size_t k = 0; k < s->count; k++)
        for (size_t i = 0; i < s->site[k].count; i++)
            if (override_hits(o, s->site[k].block, s->site[k].name, s->site[k].linear[i].name))
                return 1;
    return 0;
}

int overrides_check(const struct overrides *o, const struct sites *s, struct err *e)
{
    for (size_t i = 0; i < o->count; i++)
        if (!hits_model(&o->at[i], s)) {
            const struct site *x = &s->site[s->end[0] - 1];

            return err_set(e, ERR_USE,
                           "%s: '%s' hits no linear of this model; names are like '%s', sites like "
                           "'%s' or 'b0.%s'",
                           o->at[i].from, o->at[i].pattern, x->linear[0].name, x->name, x->name);
        }
    return 0;
}

#define EXPERT_PARTS 4 /* gate, up, down */

struct check {
    const struct overrides *o;
    const struct format_linear *all;
    const struct format *const *formats;
    size_t nformats, left;
    struct format_linear expert[EXPERT_PARTS]; /* of this block, the first that has such a name */
    size_t block, nexpert;
    struct format_linear first; /* that is not kept, when left is not 0 */
};

void overrides_linear(const struct overrides *o, const struct format_linear *all,
                      const struct site *site, size_t i, struct format_linear *l)
{
    struct override_values v;

    overrides_of(o, site->block, site->name, site->linear[i].name, &v);
    *l = *all;
    snprintf(l->name, sizeof l->name, "%s", site->linear[i].name);
    l->N = site->linear[i].rows;
    l->K = site->inputs;
    l->site = site->order;
    l->fused = site->fused;
    l->experts = site_experts(site);
    l->kept = v.skip == 1;
    l->sparse = (size_t)llround(all->apart * (double)l->N * (double)l->K);
    l->bits = v.bits ? v.bits : all->bits;
    l->group = v.group ? v.group : all->group;
    l->grid = v.grid ? v.grid : all->grid;
    l->scale_type = l->grid ? grid_scale_type(l->grid, all->scale_type) : all->scale_type;
    l->symmetric = !l->grid || !l->grid->zeros;
}

/* Of the lines that leave nothing to a format which is for what is quantized the last is named. */
static int check_kept(const struct check *k, struct err *e)
{
    const struct override *last = NULL;

    for (size_t i = 0; i < k->o->count; i++)
        if (k->o->at[i].v.skip == 1)
            last = &k->o->at[i];
    for (size_t f = 0; last && f < k->nformats; f++)
        if (format_check_kept(k->formats[f], e) < 0)
            return err_prefix(e, "%s: '%s'", last->from, last->text);
    return 0;
}

static const char *last_of(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot ? dot : name;
}

/* What the experts of a block have that is called the same, where a format wants them alike. */
static int check_experts(struct check *k, size_t block, const struct format_linear *l,
                         struct err *e)
{
    const struct format_linear *x = k->expert;

    if (block != k->block)
        k->nexpert = 0;
    k->block = block;
    while (x < k->expert + k->nexpert && strcmp(last_of(x->name), last_of(l->name)) != 0)
        x++;
    if (x == k->expert + k->nexpert) {
        if (k->nexpert < EXPERT_PARTS)
            k->expert[k->nexpert++] = *l;
        return 0;
    }
    for (size_t f = 0; f < k->nformats; f++)
        if (k->formats[f]->experts_alike &&
            (x->kept != l->kept || (!l->kept && (x->bits != l->bits || x->grid != l->grid))))
            return err_set(e, ERR_USE,
                           "'%s' and '%s': the %s format holds the experts of a block in one "
                           "tensor: override all of them alike",
                           x->name, l->name, k->formats[f]->name);
    return 0;
}

/* Also counts what is not kept. */
static int check_linear(struct check *k, const struct site *site, size_t i, struct err *e)
{
    struct format_linear l;

    overrides_linear(k->o, k->all, site, i, &l);
    if (site->expert >= 0 && check_experts(k, site->block, &l, e) < 0)
        return -1;
    if (l.kept)
        return 0;
    if (!k->left++)
        k->first = l;
    if (l.group > 0 && l.K % (size_t)l.group)
        return err_set(e, ERR_USE, "--group: %lld does not divide the %zu inputs of '%s'",
                       (long long)l.group, l.K, l.name);
    for (size_t f = 0; f < k->nformats; f++)
        if (format_check_linear(k->formats[f], &l, e) ||
            format_beside(k->formats[f], &l, &k->first, e))
            return -1;
    return 0;
}

int overrides_check_shapes(const struct overrides *o, const struct sites *s,
                           const struct format_linear *all, const struct format *const *formats,
                           size_t nformats, struct err *e)
{
    struct check check = {o, all, formats, nformats, .left = 0};

    if (overrides_check(o, s, e))
        return -1;
    for (size_t k = 0; k < s->count; k++)
        for (size_t i = 0; i < s->site[k].count; i++)
            if (check_linear(&check, &s->site[k], i, e))
                return -1;
    return check.left ? 0 : check_kept(&check, e);
}

void overrides_engines(const struct overrides *o, const struct sites *s,
                       const struct format_linear *all, struct engine_look *x)
{
    struct format_linear l;

    for (size_t k = 0; k < s->count; k++)
        for (size_t i = 0; i < s->site[k].count; i++) {
            overrides_linear(o, all, &s->site[k], i, &l);
            engine_add(x, &l);
        }
}

int overrides_split(const struct overrides *o, const struct site *s)
{
    struct override_values first, v;

    if (!s->fused)
        return 0;
    overrides_of(o, s->block, s->name, s->linear[0].name, &first);
    for (size_t i = 1; i < s->count; i++) {
        overrides_of(o, s->block, s->name, s->linear[i].name, &v);
        if ((v.skip == 1) != (first.skip == 1))
            return 1;
        if (v.skip != 1 && (v.bits != first.bits || v.group != first.group || v.grid != first.grid))
            return 1;
    }
    return 0;
}
