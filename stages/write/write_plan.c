/* SPDX-License-Identifier: Apache-2.0 */
/* write_plan - the model's sites and linears, and checking of solutions against them. */
#include "write_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "../../common/base/plural.h"
#include "../../common/model/config_read.h"
#include "../../common/model/family.h"
#include "../../common/model/model.h"
#include "../../common/model/sidecar.h"
#include "../../common/model/vision.h"
#include "../../common/model/vec.h"
#include "write_records.h"

#define CHECK_NUMBERS ((size_t)1 << 18) /* at a time */

/* The tensor that shows that a linear is there in codes. */
static int packed_add(const struct plan *p, struct plan_linear *l, struct err *e)
{
    const struct format *packed = format_packed(p->source, l->f.name);
    char mark[TENSOR_NAME + 32];

    if (!packed)
        return err_set(e, ERR_USE, "'%s' has no tensor '%s.weight'", p->dir, l->f.name);
    if (!p->packed)
        return err_set(e, ERR_USE, "'%s' is quantized already ('%s.%s')", p->dir, l->f.name,
                       packed->mark);
    snprintf(mark, sizeof mark, "%s.%s", l->f.name, packed->mark);
    l->source = *st_find(p->source, mark);
    l->packed = 1;
    return 0;
}

static int linear_add(struct plan *p, const struct site *site, size_t i, struct err *e)
{
    struct plan_linear *l = &p->linear[p->nlinears];
    struct format_linear *f = &l->f;
    char shape[96];
    int found;

    snprintf(f->name, sizeof f->name, "%s", site->linear[i].name);
    f->N = site->linear[i].rows;
    f->K = site->inputs;
    f->site = site->order;
    f->fused = site->fused;
    f->experts = site_experts(site);
    if ((found = sites_source(p->source, &site->linear[i], &l->source, e)) < 0)
        return -1;
    if (found && !st_find(p->source, l->source.name))
        l->whole = site->linear[i].whole;
    if (l->whole && sites_bias(p->source, &site->linear[i], &l->bias, e) < 0)
        return -1;
    if (*l->bias.name)
        l->bias_whole = site->linear[i].bias;
    if (!found) {
        p->nlinears++;
        return packed_add(p, l, e);
    }
    f->source_type = l->source.dtype;
    if (!dtype_is_float(l->source.dtype))
        return err_set(e, ERR_USE, "'%s': tensor '%s' is of type %s, not a float type", p->dir,
                       l->source.name, dtype_name(l->source.dtype));
    if (l->source.ndim != 2 || l->source.shape[0] != f->N || l->source.shape[1] != f->K) {
        tensor_shape_text(l->source.ndim, l->source.shape, shape, sizeof shape);
        return err_set(e, ERR_USE, "'%s': tensor '%s' has shape %s, the config says [%zu, %zu]",
                       p->dir, l->source.name, shape, f->N, f->K);
    }
    p->nlinears++;
    return 0;
}

static int sites_add(struct plan *p, struct err *e)
{
    if (sites_make(&p->table, &p->config, e))
        return -1;
    if (!(p->sites = p->table.count))
        return err_set(e, ERR_USE, "'%s': a model without linears", p->dir);
    if (!(p->site = mem_array(p->sites, sizeof *p->site, e)) ||
        !(p->linear = mem_array(p->table.linears + 1, sizeof *p->linear, e))) /* and the head */
        return -1;
    for (size_t order = 0; order < p->sites; order++) {
        const struct site *s = &p->table.site[order];
        struct plan_site *x = &p->site[order];

        *x = (struct plan_site){.block = s->block, .site = s, .first = p->nlinears};
        for (; x->count < s->count; x->count++)
            if (linear_add(p, s, x->count, e))
                return -1;
    }
    return 0;
}

static int by_linear_name(const void *a, const void *b, void *linear)
{
    const struct plan_linear *l = linear;

    return strcmp(l[*(const size_t *)a].f.name, l[*(const size_t *)b].f.name);
}

void plan_names(struct plan *p)
{
    for (size_t i = 0; i < p->nlinears; i++) {
        p->by_name[i] = i;
        p->view[i] = &p->linear[i].f;
    }
    qsort_r(p->by_name, p->nlinears, sizeof *p->by_name, by_linear_name, p->linear);
}

/* The head of a checkpoint that has it in codes. */
static int packed_head(struct plan *p, struct err *e)
{
    const char *name = family_of(&p->config)->head;
    struct plan_linear *l = &p->linear[p->nlinears];

    if (!p->packed || p->config.tied || !format_packed(p->source, name) ||
        format_is_plain(p->source, name))
        return 0;
    *l = (struct plan_linear){
        .f = {.N = p->config.vocab, .K = p->config.d, .site = p->sites, .head = 1}};
    snprintf(l->f.name, sizeof l->f.name, "%s", name);
    p->nlinears++;
    return packed_add(p, l, e);
}

/* What is copied passes no other stage that would look at its numbers. */
static int copied_check(const struct plan *p, const struct st_entry *x, float *rows, struct err *e)
{
    const size_t width = x->ndim == 2 ? (size_t)x->shape[1] : 1;
    const uint64_t step = width < CHECK_NUMBERS ? CHECK_NUMBERS / (width ? width : 1) : 1;

    for (uint64_t at = 0, n; at < x->shape[0]; at += n) {
        n = x->shape[0] - at < step ? x->shape[0] - at : step;
        if (st_load_finite_f32(p->source, x, at, n, rows, e))
            return -1;
    }
    return 0;
}

static int all_copied_check(const struct plan *p, struct err *e)
{
    float *rows = NULL;
    int rc = 0;

    for (size_t i = 0; i < p->source->count && rc == 0; i++) {
        const struct st_entry *x = &p->source->entries[i];
        const size_t width = x->ndim == 2 ? (size_t)x->shape[1] : 1;

        if (plan_find_weight(p, x->name) || plan_cut(p, x->name, 0) < p->nlinears ||
            !dtype_is_float(x->dtype) || x->ndim < 1 || x->ndim > 2)
            continue;
        free(rows);
        rows = mem_raw(width > CHECK_NUMBERS ? width : CHECK_NUMBERS, sizeof *rows, e);
        rc = rows ? copied_check(p, x, rows, e) : -1;
    }
    free(rows);
    return rc;
}

/* Heads, routers, embeddings: NAME of NAME.weight. */
static int others_add(struct plan *p, struct err *e)
{
    if (!(p->other = mem_array(p->source->count + 1, sizeof *p->other, e)))
        return -1;
    for (size_t i = 0; i < p->source->count; i++) {
        const struct st_entry *x = &p->source->entries[i];
        const size_t n = strlen(x->name), tail = sizeof ".weight" - 1;

        if (x->ndim != 2 || n <= tail || strcmp(x->name + n - tail, ".weight") != 0 ||
            plan_find_weight(p, x->name) || plan_cut(p, x->name, 0) < p->nlinears)
            continue;
        if (!(p->other[p->nothers] = mem_printf(e, "%.*s", (int)(n - tail), x->name)))
            return -1;
        p->nothers++;
    }
    return 0;
}

static int open_folder(struct plan *p, const char *dir, int packed, int tower, struct err *e)
{
    memset(p, 0, sizeof *p);
    p->packed = packed;
    if (!(p->dir = mem_text(dir, e)) || config_read(dir, &p->config, e) ||
        !(p->source = st_open_folder(dir, e)))
        goto fail;
    if (model_find_tower(&p->config, p->source, e) ||
        (tower && vision_quantize(&p->config, dir, e)) ||
        (!packed && format_check_plain(p->config.file, dir, e)) || sidecar_check(dir, e) ||
        model_settle_head(&p->config, p->source, e) || sites_add(p, e) || packed_head(p, e) ||
        !(p->by_name = mem_array(p->nlinears + 1, sizeof *p->by_name, e)) ||
        !(p->view = mem_array(p->nlinears + 1, sizeof *p->view, e)))
        goto fail;
    plan_names(p);
    if (others_add(p, e) == 0 && all_copied_check(p, e) == 0)
        return 0;
fail:
    plan_release(p);
    return -1;
}

int plan_open(struct plan *p, const char *dir, int tower, struct err *e)
{
    return open_folder(p, dir, 0, tower, e);
}

int plan_check_tower(const struct plan *p, const struct format *const *f, size_t count,
                     struct err *e)
{
    for (size_t i = 0; i < count && p->config.vision && p->config.vision->quantized; i++)
        if (format_check_tower(f[i], e) < 0)
            return -1;
    return 0;
}

int plan_open_packed(struct plan *p, const char *dir, struct err *e)
{
    return open_folder(p, dir, 1, 0, e);
}

void plan_release(struct plan *p)
{
    for (size_t i = 0; p->site && i < p->sites; i++)
        free(p->site[i].prov);
    for (size_t i = 0; i < p->nothers + p->head_other; i++)
        free(p->other[i]);
    free(p->other);
    free(p->changed);
    free(p->site);
    free(p->linear);
    free(p->by_name);
    free(p->view);
    free(p->dir);
    free(p->note);
    st_close(&p->source);
    sites_release(&p->table);
    config_release(&p->config);
    memset(p, 0, sizeof *p);
}

static struct plan_linear *find(const struct plan *p, const char *name, size_t length)
{
    size_t low = 0, high = p->nlinears;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct plan_linear *l = &p->linear[p->by_name[mid]];
        int c = strncmp(name, l->f.name, length);

        if (c == 0 && l->f.name[length] == '\0')
            return l;
        if (c <= 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

struct plan_linear *plan_find(const struct plan *p, const char *name)
{
    return find(p, name, strlen(name));
}

struct plan_linear *plan_find_weight(const struct plan *p, const char *tensor)
{
    size_t n = strlen(tensor), tail = sizeof ".weight" - 1;

    return n > tail && strcmp(tensor + n - tail, ".weight") == 0 ? find(p, tensor, n - tail) : NULL;
}

struct plan_linear *plan_find_part(const struct plan *p, const char *tensor)
{
    const char *dot = strrchr(tensor, '.');
    struct plan_linear *l =
        dot && strcmp(dot, ".bias") != 0 ? find(p, tensor, (size_t)(dot - tensor)) : NULL;

    return l && l->packed ? l : NULL;
}

size_t plan_cut(const struct plan *p, const char *tensor, size_t at)
{
    while (at < p->nlinears && !(p->linear[at].whole && strcmp(p->linear[at].whole, tensor) == 0))
        at++;
    return at;
}

size_t plan_cut_bias(const struct plan *p, const char *tensor, size_t at)
{
    while (at < p->nlinears &&
           !(p->linear[at].bias_whole && strcmp(p->linear[at].bias_whole, tensor) == 0))
        at++;
    return at;
}

const struct plan_changed *plan_find_changed(const struct plan *p, const char *tensor)
{
    for (size_t i = 0; i < p->nchanged; i++)
        if (strcmp(p->changed[i].source->name, tensor) == 0)
            return &p->changed[i];
    return NULL;
}

static int place_check(const struct plan *p, const struct solution_view *v, struct err *e)
{
    const struct plan_site *x;

    if (v->sites != p->sites)
        return err_set(e, ERR_USE, "solution of a run with %llu sites; '%s' has %zu",
                       (unsigned long long)v->sites, p->dir, p->sites);
    if (v->order >= p->sites)
        return err_set(e, ERR_USE, "solution of site number %llu, of %zu",
                       (unsigned long long)v->order, p->sites);
    x = &p->site[v->order];
    if (v->block != x->block || strcmp(v->site, x->site->name))
        return err_set(e, ERR_USE,
                       "solution number %llu is of block %llu %s; there the model has block %zu %s",
                       (unsigned long long)v->order, (unsigned long long)v->block, v->site,
                       x->block, x->site->name);
    return 0;
}

static int linear_check(const struct plan_linear *l, const struct solution_linear *s, struct err *e)
{
    if (s->N != l->f.N || s->K != l->f.K)
        return err_set(e, ERR_USE, "'%s': solution of [%zu, %zu], the model has [%zu, %zu]",
                       s->name, s->N, s->K, l->f.N, l->f.K);
    return s->kept ? 0 : coded_read(s, &(struct coded){0}, e);
}

static int changed_check_one(const struct plan *p, const struct tensor *t, size_t order,
                             struct err *e)
{
    const struct st_entry *x = st_find(p->source, t->name);
    const struct plan_changed *before = plan_find_changed(p, t->name);
    char has[96];

    if (!x)
        return err_set(e, ERR_USE, "it changes '%s', which '%s' does not have", t->name, p->dir);
    if (plan_find_weight(p, t->name) || plan_find_part(p, t->name) ||
        plan_cut(p, t->name, 0) < p->nlinears || plan_cut_bias(p, t->name, 0) < p->nlinears)
        return err_set(e, ERR_USE, "it changes '%s', which is of a linear", t->name);
    if (x->dtype != t->dtype || !tensor_has_shape(t, x->ndim, x->shape)) {
        tensor_shape_text(x->ndim, x->shape, has, sizeof has);
        return err_set(e, ERR_USE, "it changes '%s', which must be %s of %s as in '%s'", t->name,
                       has, dtype_name(x->dtype), p->dir);
    }
    if (before && before->order != order)
        return err_set(e, ERR_USE, "it changes '%s', which site %zu has changed", t->name,
                       before->order);
    return 0;
}

static int changed_check(const struct plan *p, const struct solution_view *v, struct err *e)
{
    for (size_t i = 0; i < v->nchanged; i++)
        if (changed_check_one(p, v->changed[i], v->order, e) < 0)
            return -1;
    return 0;
}

static uint64_t solution_digest(const struct solution_linear *const *linear, size_t count,
                                const struct solution_view *v)
{
    struct hash h;

    hash_start(&h);
    for (size_t i = 0; i < count; i++) {
        const struct solution_linear *s = linear[i];
        const int64_t head[3] = {s->bits, s->group, s->kept ? 0 : s->scales->dtype};
        const struct tensor *part[SOLUTION_PARTS];
        size_t parts;

        hash_add(&h, s->name, strlen(s->name) + 1);
        if (s->kept)
            continue;
        hash_add(&h, head, sizeof head);
        parts = solution_parts(s, part);
        for (size_t k = 0; k < parts; k++)
            hash_add(&h, part[k]->data, part[k]->bytes);
    }
    for (size_t i = 0; i < v->nchanged; i++) {
        hash_add(&h, v->changed[i]->name, strlen(v->changed[i]->name) + 1);
        hash_add(&h, v->changed[i]->data, v->changed[i]->bytes);
    }
    return hash_end(&h);
}

int plan_check(const struct plan *p, const struct solution_view *v,
               const struct solution_linear *linear[PROBLEM_LINEARS], uint64_t *digest,
               struct err *e)
{
    const struct plan_site *x;

    if (place_check(p, v, e))
        return -1;
    x = &p->site[v->order];
    for (size_t i = 0; i < PROBLEM_LINEARS; i++)
        linear[i] = NULL;
    for (size_t i = 0; i < v->nlinears; i++) {
        const struct plan_linear *l = plan_find(p, v->linear[i].name);
        size_t at;

        if (!l || l->f.site != v->order)
            return err_set(e, ERR_USE, "block %zu %s has no linear '%s'", x->block, v->site,
                           v->linear[i].name);
        at = (size_t)(l - p->linear) - x->first;
        if (linear[at])
            return err_set(e, ERR_USE, "'%s' stands twice in one solution", v->linear[i].name);
        if (linear_check(l, &v->linear[i], e))
            return -1;
        linear[at] = &v->linear[i];
    }
    for (size_t i = 0; i < x->count; i++)
        if (!linear[i])
            return err_set(e, ERR_USE, "solution of block %zu %s lacks '%s'", x->block, v->site,
                           p->linear[x->first + i].f.name);
    if (changed_check(p, v, e))
        return -1;
    *digest = solution_digest(linear, x->count, v);
    return 0;
}

/* Were its inputs those of the quantized model? */
static int is_of_quantized(const struct solution_view *v)
{
    for (size_t i = 0; i < json_count(v->prov); i++) {
        const struct json *record = json_at(v->prov, i);
        const char *stage = json_as_text(json_get(record, "stage")),
                   *order = json_as_text(json_get(record, "order"));

        if (stage && order && strcmp(stage, "forward") == 0)
            return strcmp(order, "site") == 0;
    }
    return 0;
}

int plan_check_asked(struct plan *p, const struct solution_view *v, struct err *e)
{
    const struct site *s = p->site[v->order].site;
    const struct plan_site *x;

    while (p->low < p->sites && p->site[p->low].done)
        p->low++;
    if (p->low >= v->order || !is_of_quantized(v))
        return 0;
    x = &p->site[p->low];
    if (x->block == s->block && x->site->stop == s->stop)
        return 0;
    return err_set(e, ERR_USE,
                   "nobody has asked for it: its problem is made of the commit of block %zu %s "
                   "among others, which is not there yet",
                   x->block, x->site->name);
}

static int all_equal(const uint8_t *zeros, size_t n, unsigned value)
{
    for (size_t i = 0; i < n; i++)
        if (zeros[i] != value)
            return 0;
    return 1;
}

int plan_stored(const struct plan_linear *l, const struct solution_linear *s,
                const struct json *prov, struct format_linear *f, struct coded *c, struct err *e)
{
    *f = l->f;
    if ((f->kept = s->kept))
        return 0;
    if (coded_read(s, c, e))
        return -1;
    f->bits = c->bits;
    f->group = c->group;
    f->G = c->G;
    f->permuted = c->group_of != NULL;
    f->grid = c->grid;
    f->scale_type = c->scale_type;
    f->act_bits = records_act_bits(prov);
    f->sparse = c->sparse.count;
    f->sparse_type = c->sparse.type;
    f->symmetric = !c->zeros || all_equal(c->zeros, c->N * c->G, 1u << (c->bits - 1));
    return 0;
}

static int changed_note(struct plan *p, const struct solution_view *v, struct err *e)
{
    if (mem_grow((void **)&p->changed, &p->changed_cap, p->nchanged + v->nchanged,
                 sizeof *p->changed, e) < 0)
        return -1;
    for (size_t i = 0; i < v->nchanged; i++)
        p->changed[p->nchanged++] = (struct plan_changed){
            .source = st_find(p->source, v->changed[i]->name), .order = v->order};
    return 0;
}

int plan_note(struct plan *p, const struct solution_view *v,
              const struct solution_linear *const linear[PROBLEM_LINEARS], uint64_t digest,
              struct err *e)
{
    struct plan_site *x = &p->site[v->order];

    if (!(x->prov = v->prov ? json_print(v->prov, 0, e) : mem_text("[]", e)) ||
        changed_note(p, v, e))
        return -1;
    for (size_t i = 0; i < x->count; i++) {
        struct plan_linear *l = &p->linear[x->first + i];
        struct format_linear f;
        struct coded c;

        if (plan_stored(l, linear[i], v->prov, &f, &c, e))
            return -1;
        l->f = f;
        if (f.kept)
            continue;
        l->loss = linear[i]->loss;
        l->rel_loss = linear[i]->rel_loss;
    }
    x->digest = digest;
    x->tokens = v->tokens;
    x->damp = v->damp;
    x->seconds = v->seconds;
    snprintf(x->solver, sizeof x->solver, "%s", v->solver);
    x->done = 1;
    p->done++;
    return 0;
}

int plan_leave(struct plan *p, struct err *e)
{
    for (size_t i = 0; i < p->sites; i++) {
        struct plan_site *x = &p->site[i];

        if (x->done)
            continue;
        if (!(x->prov = mem_text("[]", e)))
            return -1;
        for (size_t k = x->first; k < x->first + x->count; k++)
            p->linear[k].f.kept = 1;
        x->done = x->left = 1;
        p->done++;
        p->left++;
    }
    return 0;
}

/* damp: what was asked for, which every site had that did not need more. */
void plan_model(const struct plan *p, struct format_model *m)
{
    *m = (struct format_model){.count = p->nlinears,
                               .linear = p->view,
                               .nothers = p->nothers,
                               .other = (const char *const *)p->other,
                               .damp = INFINITY};
    for (size_t i = 0; i < p->sites; i++) {
        const struct plan_site *x = &p->site[i];

        if (x->damp > 0 && x->damp < m->damp)
            m->damp = x->damp;
    }
}

double plan_site_loss(const struct plan *p, size_t order, double *loss)
{
    const struct plan_site *x = &p->site[order];
    double sum = 0, whole = 0;

    for (size_t i = x->first; i < x->first + x->count; i++) {
        const struct plan_linear *l = &p->linear[i];

        sum += l->loss;
        if (l->loss != 0)
            whole += l->loss / l->rel_loss;
    }
    *loss = sum;
    return sum == 0 ? 0 : sum / whole;
}

int plan_missing(const struct plan *p, struct err *e)
{
    for (size_t i = 0; i < p->sites; i++)
        if (!p->site[i].done)
            return err_set(e, ERR_DATA,
                           "%zu of %zu sites %s no solution, the first is site %zu (block %zu %s)",
                           p->sites - p->done, p->sites,
                           plural_word(p->sites - p->done, "has", "have"), i, p->site[i].block,
                           p->site[i].site->name);
    return 0;
}
