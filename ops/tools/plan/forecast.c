/* SPDX-License-Identifier: Apache-2.0 */
/* forecast - see forecast.h. */
#include "forecast.h"

#include <stdlib.h>
#include <string.h>
#include "../../../common/base/mem.h"
#include "../../../common/tensor/safetensors.h"

struct tally {
    const struct forecast_opts *o;
    struct forecast *f;
    const struct st_set *set;
    uint64_t replaced;    /* source bytes of quantized linears */
    double bits, weights; /* of quantized linears */
    double all;           /* weights of the checkpoint */
};

static struct forecast_class *class_of(struct forecast *f, const struct forecast_class *want,
                                       struct err *e)
{
    for (size_t i = 0; i < f->nclasses; i++) {
        struct forecast_class *c = &f->class[i];
        const int same = (!c->solver && !want->solver) ||
                         (c->solver && want->solver && strcmp(c->solver, want->solver) == 0);

        if (c->kept == want->kept && c->bits == want->bits && c->group == want->group &&
            c->grid == want->grid && same)
            return c;
    }
    if (f->nclasses == FORECAST_CLASSES) {
        err_set(e, ERR_USE, "the overrides make more than %d kinds of linears", FORECAST_CLASSES);
        return NULL;
    }
    f->class[f->nclasses] = *want;
    return &f->class[f->nclasses++];
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
    const struct overrides *lines = t->o->overrides;

    for (size_t k = 0; k < lines->count; k++) {
        if (!override_hits(&lines->at[k], site->block, site->name, site->linear[i].name))
            continue;
        t->f->hit[k].linears++;
        t->f->hit[k].decides += (size_t)decides(&lines->at[k].v, v);
        t->f->hit[k].weights += (uint64_t)site->linear[i].rows * site->inputs;
    }
}

/* 1: a solver has work with it, 0: kept, -1 */
static int add_linear(struct tally *t, const struct site *site, size_t i, struct err *e)
{
    const size_t N = site->linear[i].rows, K = site->inputs;
    struct forecast_class want = {.kept = 0}, *c;
    struct override_values v;
    struct format_linear l;
    struct st_entry x;
    uint64_t bytes;
    int found = sites_source(t->set, &site->linear[i], &x, e);

    if (found < 0)
        return -1;
    if (!found)
        return err_set(e, ERR_USE, "'%s' has no tensor '%s.weight' (is it quantized already?)",
                       t->o->model, site->linear[i].name);
    if (x.ndim != 2 || x.shape[0] != N || x.shape[1] != K)
        return err_set(e, ERR_USE, "'%s': the shape of tensor '%s' is not what config.json says",
                       t->o->model, x.name);
    overrides_of(t->o->overrides, site->block, site->name, site->linear[i].name, &v);
    count_hits(t, site, i, &v);
    want.kept = v.skip == 1;
    if (!want.kept) {
        want.bits = v.bits ? v.bits : t->o->bits;
        want.group = v.group ? v.group : t->o->group;
        want.grid = v.grid;
        want.solver = v.solver;
    }
    if (!(c = class_of(t->f, &want, e)))
        return -1;
    c->linears++;
    c->weights += (uint64_t)N * K;
    t->replaced += x.bytes;
    if (want.kept) {
        c->bytes += x.bytes;
        return 0;
    }
    l = (struct format_linear){.N = N,
                               .K = K,
                               .source_type = x.dtype,
                               .bits = want.bits,
                               .group = want.group,
                               .G = grid_groups(K, want.group),
                               .scale_type = t->o->scale_type};
    snprintf(l.name, sizeof l.name, "%s", site->linear[i].name);
    if (format_bytes(t->o->format, &l, &bytes, e))
        return -1;
    c->bytes += bytes;
    t->weights += (double)N * (double)K;
    t->bits += format_bits(&l);
    return 1;
}

/* watch.c counts the same; here fp64 is not counted twice. */
static void add_work(struct tally *t, const struct site *site, double rows)
{
    const double T = (double)t->o->tokens, K = (double)site->inputs;

    t->f->flops_reduce += T * K * K * (t->o->dual ? 3 : 1);
    if (rows > 0)
        t->f->flops_solve += rows * K * K + 2.0 / 3 * K * K * K;
}

static void add_split(struct forecast *f, const struct overrides *o, const struct site *site)
{
    size_t i = 0;

    if (!overrides_split(o, site))
        return;
    while (i < f->nsplit && strcmp(f->split[i].site->name, site->name) != 0)
        i++;
    if (i == f->nsplit)
        f->split[f->nsplit++] = (struct forecast_split){.site = site};
    f->split[i].blocks++;
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
    t->f->sites++;
    t->f->solved += rows > 0;
    add_split(t->f, t->o->overrides, site);
    add_work(t, site, rows);
    return 0;
}

static int add_all(struct tally *t, struct err *e)
{
    struct forecast *f = t->f;

    for (size_t i = 0; i < f->table.count; i++)
        if (add_site(t, &f->table.site[i], e))
            return -1;
    f->flops_forward = f->cost.flops * (t->o->dual ? 2 : 1);
    for (size_t i = 0; i < t->set->count; i++) {
        const struct st_entry *x = &t->set->entries[i];
        double n = 1;

        for (int k = 0; k < x->ndim; k++)
            n *= (double)x->shape[k];
        t->all += n;
        f->source += x->bytes;
    }
    f->other = f->source - t->replaced;
    f->output = f->other;
    for (size_t i = 0; i < f->nclasses; i++)
        f->output += f->class[i].bytes;
    f->bits = t->weights > 0 ? t->bits / t->weights : 0;
    f->bits_all = t->all > 0 ? 8 * (double)f->output / t->all : 0;
    return 0;
}

int forecast_make(const struct forecast_opts *o, struct forecast *f, struct err *e)
{
    struct tally t = {.o = o, .f = f};
    struct st_set *set = NULL;
    int rc = -1;

    memset(f, 0, sizeof *f);
    if (config_read(o->model, &f->config, e))
        return -1;
    if (json_has(f->config.json, "quantization_config"))
        return err_set(e, ERR_USE, "'%s' is quantized already (config.json: quantization_config)",
                       o->model);
    if (sites_make(&f->table, &f->config, e) ||
        overrides_check_shapes(
            o->overrides, &f->table,
            &(struct format_linear){
                .bits = o->bits, .group = o->group, .grid = o->grid, .scale_type = o->scale_type},
            &o->format, 1, e) ||
        cost_of(&f->config, (double)o->tokens, (double)o->length, forecast_chunk(o), o->acts,
                &f->cost, e) ||
        !(f->split = mem_array(f->table.count, sizeof *f->split, e)) ||
        !(f->hit = mem_array(o->overrides->count + 1, sizeof *f->hit, e)) ||
        !(set = st_open_folder(o->model, e)))
        return -1;
    t.set = set;
    if (add_all(&t, e) == 0) {
        forecast_memory(o, f);
        rc = 0;
    }
    st_close(&set);
    return rc;
}

void forecast_release(struct forecast *f)
{
    free(f->hit);
    free(f->split);
    f->hit = NULL;
    f->split = NULL;
    sites_release(&f->table);
    config_release(&f->config);
}
