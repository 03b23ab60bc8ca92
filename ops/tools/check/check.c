/* SPDX-License-Identifier: Apache-2.0 */
/* check - see check.h. What a format demands of a linear its own reader says (find, read); here is
 * what concerns several of them, or what a reader may overlook. */
#include "check.h"
#include "check_gguf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/json.h"
#include "../../../common/base/mem.h"
#include "../../../common/base/plural.h"
#include "../../../common/format/engine.h"
#include "../../../common/format/packed.h"
#include "../../../common/model/family.h"
#include "../../../common/model/config_read.h"
#include "../../../common/model/model.h"
#include "../../../common/model/sidecar.h"
#include "../../../common/model/vec.h"
#include "../../../common/tensor/gguf_folder.h"

#define NUMBERS ((size_t)1 << 18) /* looked at at a time */

struct check {
    FILE *out;
    int json;
    const char *dir;
    struct config config;
    struct sites sites;
    const char **name; /* of the linears and the head, sorted */
    size_t names;
    struct st_set *set;
    struct format_reader *reader;
    struct engine_look look;
    struct format_linear first; /* that is quantized; bits 0: none yet */
    /* the first of the experts of a block; N 0: it has none so far. warned: some differ from it */
    struct format_linear expert;
    size_t block;
    int warned;
    size_t linears, quantized, problems, warnings;
};

static int print_json(const struct check *c, struct json *j, struct err *e)
{
    char *text = j ? json_print(j, 0, e) : NULL;
    const int rc = text ? 0 : err_set(e, ERR_SYS, "out of memory: cannot print");

    if (text)
        fprintf(c->out, "%s\n", text);
    free(text);
    json_destroy(&j);
    return rc;
}

static int say(struct check *c, const char *kind, const char *text, struct err *e)
{
    struct json *j;

    if (!c->json) {
        fprintf(c->out, "%s: %s\n", kind, text);
        return 0;
    }
    j = json_new_object();
    if (j && json_set_text(j, kind, text))
        json_destroy(&j);
    return print_json(c, j, e);
}

/* What a reader said; a failure of the system is none of the checkpoint. */
static int problem(struct check *c, struct err *what, struct err *e)
{
    if (what->kind == ERR_SYS) {
        *e = *what;
        return -1;
    }
    c->problems++;
    return say(c, "problem", what->text, e);
}

static int warning(struct check *c, struct err *e, const char *form, ...) ERR_PRINTF(3, 4);
static int warning(struct check *c, struct err *e, const char *form, ...)
{
    char text[600];
    va_list ap;

    va_start(ap, form);
    vsnprintf(text, sizeof text, form, ap);
    va_end(ap);
    c->warnings++;
    return say(c, "warning", text, e);
}

/* ---- linears ---- */

/* Stored as less 1, the largest zero point can be one more than the largest code. */
static int zeros_check(const struct packed *p, const char *name, struct err *e)
{
    for (size_t i = 0; p->zeros && i < p->N * p->G; i++)
        if (p->zeros[i] >> p->bits)
            return err_set(e, ERR_USE,
                           "'%s': zero point %u (row %zu, group %zu) is beyond %d bits: engines "
                           "differ in what they make of it",
                           name, p->zeros[i], i / p->G, i % p->G, p->bits);
    return 0;
}

static int codes_check(struct check *c, struct format_linear *l, struct err *e)
{
    const struct format *f = format_of(c->reader);
    struct packed p;
    int rc = format_read_linear(c->reader, l->name, l->N, l->K, &p, e);

    if (rc < 0)
        return -1;
    if (rc == 0) {
        format_look_weight(c->set, l); /* there are only weights: of so many bits */
        c->quantized++;
        return 0;
    }
    packed_linear(&p, l);
    c->quantized++;
    if (!c->first.bits)
        c->first = *l;
    rc = zeros_check(&p, l->name, e) < 0 || format_beside(f, l, &c->first, e) < 0 ? -1 : 0;
    packed_release(&p);
    return rc;
}

static int linear_check(struct check *c, const struct site *s, size_t i, struct format_linear *l,
                        struct err *e)
{
    struct err what = {0};
    struct st_entry x;
    int found;

    *l = (struct format_linear){.N = s->linear[i].rows,
                                .K = s->inputs,
                                .site = s->order,
                                .fused = s->fused,
                                .experts = site_experts(s)};
    snprintf(l->name, sizeof l->name, "%s", s->linear[i].name);
    c->linears++;
    if ((found = sites_source(c->set, &s->linear[i], &x, &what)) < 0)
        return problem(c, &what, e);
    if (found && format_packed(c->set, l->name)) {
        err_set(&what, ERR_USE, "'%s' is there twice: as NAME.weight and as NAME.%s", l->name,
                format_packed(c->set, l->name)->mark);
        return problem(c, &what, e);
    }
    l->kept = found;
    l->act_bits = format_act_bits(c->reader);
    if (!found && (format_find_linear(c->reader, l->name, l->N, l->K, &what) < 0 ||
                   codes_check(c, l, &what) < 0))
        return problem(c, &what, e);
    engine_add(&c->look, l);
    return 0;
}

static int same_kind(const struct format_linear *a, const struct format_linear *b)
{
    return a->kept == b->kept && a->bits == b->bits && a->group == b->group &&
           a->symmetric == b->symmetric;
}

/* Engines run all experts of a block by one kernel. */
static int expert_check(struct check *c, const struct site *s, const struct format_linear *l,
                        struct err *e)
{
    char engines[128];

    if (s->expert < 0 || !*engine_together(&c->look, engines, sizeof engines))
        return 0;
    if (!c->expert.N || c->block != s->block) {
        c->expert = *l;
        c->block = s->block;
        c->warned = 0;
    }
    if (c->warned || same_kind(l, &c->expert))
        return 0;
    c->warned = 1;
    return warning(c, e,
                   "'%s' and '%s' are of different kinds: engines that run the experts of a block "
                   "together (%s) cannot load that",
                   c->expert.name, l->name, engines);
}

static int site_check(struct check *c, const struct site *s, struct err *e)
{
    struct format_linear first = {.N = 0}, l;
    char engines[128];
    int warned = !*engine_together(&c->look, engines, sizeof engines);

    for (size_t i = 0; i < s->count; i++) {
        const size_t before = c->problems;

        if (linear_check(c, s, i, &l, e) < 0)
            return -1;
        if (c->problems > before) /* of what kind it is, is not known */
            continue;
        if (expert_check(c, s, &l, e) < 0)
            return -1;
        if (!first.N)
            first = l;
        if (!s->fused || warned || same_kind(&l, &first))
            continue;
        warned = 1;
        if (warning(c, e,
                    "'%s' and '%s' are of different kinds: engines that fuse them into %s "
                    "(%s) cannot load that",
                    first.name, l.name, s->fused, engines) < 0)
            return -1;
    }
    return 0;
}

/* A head that is there in codes. */
static int head_check(struct check *c, struct err *e)
{
    struct format_linear l = {
        .N = c->config.vocab, .K = c->config.d, .site = c->sites.count, .head = 1};
    const char *name = family_of(&c->config)->head;
    struct err what = {0};

    if (c->config.tied || !format_is_quantized(c->reader) || !format_packed(c->set, name) ||
        format_is_plain(c->set, name))
        return 0;
    snprintf(l.name, sizeof l.name, "%s", name);
    c->linears++;
    if (format_find_linear(c->reader, l.name, l.N, l.K, &what) < 0 || codes_check(c, &l, &what) < 0)
        return problem(c, &what, e);
    engine_add(&c->look, &l);
    return 0;
}

/* ---- the other tensors ---- */

/* Numbers of a row, of a stack of matrices those of one. */
static size_t entry_width(const struct st_entry *x)
{
    size_t n = 1;

    for (int i = 1; i < x->ndim; i++)
        n *= (size_t)x->shape[i];
    return n;
}

/* Of MXFP4 the scales alone can be such. */
static int entry_finite(const struct check *c, const struct st_entry *x, float *rows, struct err *e)
{
    const size_t width = entry_width(x);
    const uint64_t step = width < NUMBERS ? NUMBERS / (width ? width : 1) : 1;

    for (uint64_t at = 0, n; at < x->shape[0]; at += n) {
        n = x->shape[0] - at < step ? x->shape[0] - at : step;
        if (st_load_rows_f32(c->set, x, at, n, rows, e) < 0)
            return -1;
        if (!vec_finite(rows, (size_t)n * width))
            return err_set(e, ERR_USE, "%s: tensor '%s' has NaN or infinite numbers",
                           c->set->paths[x->shard], x->mxfp4 ? x->mxfp4->scales.name : x->name);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int names_sort(struct check *c, struct err *e)
{
    size_t n = 0;

    if (!(c->name = mem_array(c->sites.linears + 2, sizeof *c->name, e)))
        return -1;
    for (size_t k = 0; k < c->sites.count; k++)
        for (size_t i = 0; i < c->sites.site[k].count; i++)
            c->name[n++] = c->sites.site[k].linear[i].name;
    c->name[n++] = family_of(&c->config)->head;
    qsort(c->name, n, sizeof *c->name, by_name);
    c->names = n;
    return 0;
}

/* Scales of linears have been seen by their reader. */
static int entry_check(struct check *c, const struct st_entry *x, struct err *e)
{
    const size_t width = entry_width(x);
    const char *dot = strrchr(x->name, '.');
    struct format_linear l;
    const struct format *f = format_look(c->set, x, &l);
    char name[TENSOR_NAME];
    const char *of = name;
    float *rows;
    int rc = 0;

    snprintf(name, sizeof name, "%.*s", (int)(dot ? dot - x->name : 0), x->name);
    if (f && !bsearch(&of, c->name, c->names, sizeof of, by_name))
        return err_set(e, ERR_USE, "'%s' is stored as %s, but is no linear that is known here",
                       name, f->title);
    if (!dtype_is_float(x->dtype) || x->ndim < 1)
        return 0;
    if (!(rows = mem_raw(width > NUMBERS ? width : NUMBERS, sizeof *rows, e)))
        return -1;
    if (strcmp(dot ? dot + 1 : "", "weight") == 0 || !format_packed(c->set, name))
        rc = entry_finite(c, x, rows, e);
    free(rows);
    return rc;
}

static int entries_check(struct check *c, struct err *e)
{
    for (size_t i = 0; i < c->set->count; i++) {
        struct err what = {0};

        if (entry_check(c, &c->set->entries[i], &what) < 0 && problem(c, &what, e) < 0)
            return -1;
    }
    return 0;
}

/* ---- config.json ---- */

/* Engines read one or the other. */
static int copy_check(struct check *c, struct err *e)
{
    const char *file = format_of(c->reader)->config_copy;
    char *path = file ? fs_join(c->dir, file, e) : NULL, *a = NULL, *b = NULL;
    struct err what = {0};
    struct json *copy;
    int rc = file && !path ? -1 : 0;

    if (path && fs_exists(path)) {
        if ((copy = json_read(path, &what)) && (a = json_print(copy, 0, &what)) &&
            (b = json_print(json_get(c->config.file, "quantization_config"), 0, &what)) &&
            strcmp(a, b) != 0)
            err_set(&what, ERR_USE, "%s says other than quantization_config of config.json", path);
        json_destroy(&copy);
        if (what.kind != ERR_NONE)
            rc = problem(c, &what, e);
    }
    free(a);
    free(b);
    free(path);
    return rc;
}

/* What stands for a tokenizer, or another file beside the weights, and is none. */
static int beside_check(struct check *c, struct err *e)
{
    struct err what = {0};

    return sidecar_check(c->dir, &what) < 0 ? problem(c, &what, e) : 0;
}

/* The tokenizer in a GGUF file: what llama.cpp stops at, or takes otherwise than it is meant. */
static int words_check(struct check *c, struct err *e)
{
    char *path = gguf_path(c->dir);
    struct gguf *g = path ? gguf_open(path, e) : NULL;
    int rc = path && !g ? -1 : 0;

    for (size_t step = 0; g && rc == 0; step++) {
        struct err what = {0};
        const int more = check_gguf(g, step, &what);

        if (!more)
            break;
        if (what.kind != ERR_NONE)
            rc = problem(c, &what, e);
    }
    gguf_close(&g);
    free(path);
    return rc;
}

/* What the linears leave out: ends, norms, biases. */
static int rest_check(struct check *c, struct err *e)
{
    struct err what = {0};
    struct model *m;

    if (c->problems) /* it would say the first of them again */
        return 0;
    if ((m = model_open(c->dir, NULL, &what))) {
        model_close(&m);
        return 0;
    }
    return problem(c, &what, e);
}

static int totals(struct check *c, struct err *e)
{
    const struct format *f = format_of(c->reader);
    char engines[512];
    struct json *j;

    engine_text(&c->look, engines, sizeof engines);
    if (!c->json) {
        fprintf(c->out, "total  %zu linear%s, %zu quantized (%s); %zu problem%s, %zu warning%s\n",
                c->linears, plural_s(c->linears), c->quantized, f->title, c->problems,
                plural_s(c->problems), c->warnings, plural_s(c->warnings));
        if (!c->problems)
            fprintf(c->out, "loads in: %s\n", engines);
        return 0;
    }
    j = json_new_object();
    if (j &&
        (json_set_text(j, "format", f->name) || json_set_int(j, "linears", (int64_t)c->linears) ||
         json_set_int(j, "quantized", (int64_t)c->quantized) ||
         json_set_int(j, "problems", (int64_t)c->problems) ||
         json_set_int(j, "warnings", (int64_t)c->warnings) || json_set_text(j, "engines", engines)))
        json_destroy(&j);
    return print_json(c, j, e);
}

/* Engines look for codes then. Of damaged ones is not known what they were. */
static int none_check(struct check *c, struct err *e)
{
    struct err what = {0};

    if (!format_is_quantized(c->reader) || c->quantized || c->problems)
        return 0;
    err_set(&what, ERR_USE,
            "config.json says that weights are quantized (quantization_config), but none is");
    return problem(c, &what, e);
}

static int all_check(struct check *c, struct err *e)
{
    engine_start(&c->look, format_stored(c->reader));
    for (size_t i = 0; i < c->sites.count; i++)
        if (site_check(c, &c->sites.site[i], e) < 0)
            return -1;
    if (head_check(c, e) < 0)
        return -1;
    if (none_check(c, e) < 0)
        return -1;
    return names_sort(c, e) < 0 || entries_check(c, e) < 0 || words_check(c, e) < 0 ||
                   beside_check(c, e) < 0 || copy_check(c, e) < 0 || rest_check(c, e) < 0 ||
                   totals(c, e) < 0
               ? -1
               : 0;
}

int check_folder(const char *dir, int json, FILE *out, struct err *e)
{
    struct check c = {.out = out, .json = json, .dir = dir};
    int rc = -1;

    if (config_read(dir, &c.config, e) == 0 && (c.set = st_open_folder(dir, e)) &&
        (c.reader = format_open(c.config.file, dir, c.set, e)) &&
        model_find_tower(&c.config, c.set, e) == 0 && sites_make(&c.sites, &c.config, e) == 0 &&
        all_check(&c, e) == 0)
        rc = fs_flush(out, e) < 0 ? -1 : c.problems != 0;
    free((void *)c.name);
    format_close(&c.reader);
    sites_release(&c.sites);
    st_close(&c.set);
    config_release(&c.config);
    return rc;
}
