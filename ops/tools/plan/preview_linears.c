/* SPDX-License-Identifier: Apache-2.0 */
/* preview_linears - every linear of the model: what the overrides say of it, what it takes in the
 * output; and the work that its site makes. */
#include "preview.h"

#include <stdio.h>
#include <string.h>
#include "../../../common/base/fs.h"
#include "../../../common/base/log.h"
#include "../../../common/tensor/safetensors.h"
#include "../../../stages/reduce/reduce_forecast.h"
#include "../../../stages/solve/solve_forecast.h"

struct tally {
    const struct preview_opts *o;
    const struct forecast *run;
    struct preview *p;
    const struct st_set *set;
    uint64_t replaced;    /* source bytes of quantized linears */
    double bits, weights; /* of quantized linears */
    double scales, kept;  /* of these; weights of the others */
    double all;           /* weights of the checkpoint */
};

static struct preview_class *class_of(struct preview *p, const struct preview_class *want,
                                      struct err *e)
{
    for (size_t i = 0; i < p->nclasses; i++) {
        struct preview_class *c = &p->class[i];
        const int same = (!c->solver && !want->solver) ||
                         (c->solver && want->solver && strcmp(c->solver, want->solver) == 0);

        if (c->kept == want->kept && c->bits == want->bits && c->group == want->group &&
            c->grid == want->grid && same)
            return c;
    }
    if (p->nclasses == PREVIEW_CLASSES) {
        err_set(e, ERR_USE, "the overrides make more than %d kinds of linears", PREVIEW_CLASSES);
        return NULL;
    }
    p->class[p->nclasses] = *want;
    return &p->class[p->nclasses++];
}

/* Does line x still decide something for a linear whose final values are v? */
static int decides(const struct override_values *x, const struct override_values *v)
{
    if (x->skip == 1 || v->skip == 1)
        return x->skip == v->skip;
    return (x->bits && x->bits == v->bits) || (x->group && x->group == v->group) ||
           (x->grid && x->grid == v->grid) ||
           (x->damp >= 0.0 && !(x->damp < v->damp || x->damp > v->damp)) ||
           (x->solver && x->solver == v->solver) || (x->fit && x->fit == v->fit) ||
           (x->skip == 0 && v->skip == 0);
}

static void count_hits(struct tally *t, const struct site *site, size_t i,
                       const struct override_values *v)
{
    const struct overrides *lines = t->o->solve->overrides;

    for (size_t k = 0; k < lines->count; k++) {
        if (!override_hits(&lines->at[k], site->block, site->name, site->linear[i].name))
            continue;
        t->p->hit[k].linears++;
        t->p->hit[k].decides += (size_t)decides(&lines->at[k].v, v);
        t->p->hit[k].weights += (uint64_t)site->linear[i].rows * site->inputs;
    }
}

/* 1: a solver has work with it, 0: kept, -1 */
static int add_linear(struct tally *t, const struct site *site, size_t i, struct err *e)
{
    const size_t N = site->linear[i].rows, K = site->inputs;
    const struct format_linear all =
        solve_forecast_linear(t->o->solve, t->o->forward ? t->o->forward->act_bits : 0);
    struct preview_class want = {.kept = 0}, *c;
    struct override_values v;
    struct format_linear l;
    struct st_entry x;
    uint64_t bytes;
    int found = t->set ? sites_source(t->set, &site->linear[i], &x, e) : 1;

    if (found < 0)
        return -1;
    if (!found)
        return err_set(e, ERR_USE, "'%s' has no weights '%s.weight' (is it quantized already?)",
                       t->o->model, site->linear[i].name);
    if (!t->set)
        x = (struct st_entry){.dtype = DT_BF16, .ndim = 2, .shape = {N, K}, .bytes = 2 * N * K};
    if (x.ndim != 2 || x.shape[0] != N || x.shape[1] != K)
        return err_set(e, ERR_USE, "'%s': the shape of tensor '%s' is not what config.json says",
                       t->o->model, x.name);
    overrides_of(t->o->solve->overrides, site->block, site->name, site->linear[i].name, &v);
    count_hits(t, site, i, &v);
    overrides_linear(t->o->solve->overrides, &all, site, i, &l);
    want.kept = l.kept;
    if (!want.kept) {
        want.bits = l.bits;
        want.group = l.group;
        want.grid = v.grid;
        want.solver = v.solver;
    }
    if (!(c = class_of(t->p, &want, e)))
        return -1;
    c->linears++;
    c->weights += (uint64_t)N * K;
    t->replaced += x.bytes;
    if (want.kept) {
        c->bytes += x.bytes;
        t->kept += (double)N * (double)K;
        return 0;
    }
    l.source_type = l.sparse_type = x.dtype;
    l.G = grid_groups(K, l.group);
    if (format_bytes(t->o->formats[0], &l, &bytes, e))
        return -1;
    c->bytes += bytes;
    t->weights += (double)N * (double)K;
    t->scales += (double)N * (double)l.G;
    t->bits += format_bits(&l);
    return 1;
}

/* What an expert makes of tokens that do not go to it, for a later site of its own. */
static double every_flops(const struct tally *t, const struct site *site)
{
    const struct sites *all = &t->p->table;
    size_t later = site->order + 1;
    double rows = 0;

    while (later < all->end[site->block] && all->site[later].expert != site->expert)
        later++;
    for (size_t k = 0; later < all->end[site->block] && k < site->count; k++)
        rows += (double)site->linear[k].rows;
    return 2 * (double)t->run->tokens * (1 - site->share) * rows * (double)site->inputs;
}

static void add_work(struct tally *t, const struct site *site, double rows)
{
    const int every = t->o->forward->expert.every && site->expert >= 0;
    const double K = (double)site->inputs;

    t->p->flops_reduce +=
        reduce_forecast_flops((double)t->run->tokens * (every ? 1 : site->share), K, t->run->dual);
    if (every)
        t->p->flops_forward += every_flops(t, site);
    if (rows > 0)
        t->p->flops_solve += solve_forecast_flops(rows, K);
}

static void add_split(struct preview *p, const struct overrides *o, const struct site *site)
{
    size_t i = 0;

    if (!overrides_split(o, site))
        return;
    while (i < p->nsplit && strcmp(p->split[i].site->name, site->name) != 0)
        i++;
    if (i == p->nsplit)
        p->split[p->nsplit++] = (struct preview_split){.site = site};
    p->split[i].blocks++;
}

static int add_site(struct tally *t, const struct site *site, struct err *e)
{
    double rows = 0;

    for (size_t i = 0; i < site->count; i++) {
        const int work = add_linear(t, site, i, e);

        if (work < 0)
            return -1;
        rows += work ? (double)site->linear[i].rows : 0;
    }
    t->p->sites++;
    t->p->solved += rows > 0;
    add_split(t->p, t->o->solve->overrides, site);
    add_work(t, site, rows);
    return 0;
}

static int add_all(struct tally *t, struct err *e)
{
    struct preview *p = t->p;

    for (size_t i = 0; i < p->table.count; i++)
        if (add_site(t, &p->table.site[i], e))
            return -1;
    if (!t->set) {
        p->other = 2 * (uint64_t)(p->config.vocab * p->config.d) * (p->config.tied ? 1 : 2);
        p->source = p->other + t->replaced;
        t->all = (double)p->source / 2;
    }
    for (size_t i = 0; t->set && i < t->set->count; i++) {
        const struct st_entry *x = &t->set->entries[i];
        double n = 1;

        for (int k = 0; k < x->ndim; k++)
            n *= (double)x->shape[k];
        t->all += n;
        p->source += x->bytes;
    }
    p->other = p->source - t->replaced;
    p->output = p->other;
    for (size_t i = 0; i < p->nclasses; i++)
        p->output += p->class[i].bytes;
    p->bits = t->weights > 0 ? t->bits / t->weights : 0;
    p->qr = t->weights > 0 ? t->weights / (t->weights + t->kept) : 0;
    p->qb = t->scales > 0 ? t->weights / t->scales : 0;
    p->bits_all = t->all > 0 ? 8 * (double)p->output / t->all : 0;
    return 0;
}

/* A config.json alone. */
static int is_bare(const char *model)
{
    char **names = NULL;
    size_t count = 0;
    int weights = 0;

    if (!fs_is_dir(model) || fs_list(model, &names, &count, NULL) < 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        weights = weights || strstr(names[i], ".safetensors") || strstr(names[i], ".gguf");
    fs_names_free(&names, count);
    return !weights;
}

int preview_linears(const struct preview_opts *o, const struct forecast *f, struct preview *p,
                    struct err *e)
{
    struct tally t = {.o = o, .run = f, .p = p};
    const int absent = is_bare(o->model);
    struct st_set *set = absent ? NULL : st_open_folder(o->model, e);
    int rc = -1;

    t.set = set;
    if (absent)
        log_warn("'%s' holds no weights: they are taken for BF16", o->model);
    if (set || absent)
        rc = add_all(&t, e);
    st_close(&set);
    return rc;
}
