/* SPDX-License-Identifier: Apache-2.0 */
/* write_repack - see write_repack.h. Each linear is read twice: once for what is to be said of all
 * of them before the first byte, once for its codes. One is in memory at a time. */
#include "write_repack.h"

#include <stdlib.h>
#include <string.h>

#include "../../common/base/fs.h"
#include "../../common/base/mem.h"
#include "../../common/base/sig.h"
#include "../../common/base/version.h"
#include "../../common/format/grid_affine.h"
#include "../../common/format/packed.h"
#include "write_assemble.h"

struct repack {
    const struct repack_opts *o;
    struct plan plan;
    struct format_reader *reader;
    /* of the linears on grids of equal steps: asym when any has zero points, else sym */
    const struct grid *grid;
    int64_t group;   /* of all linears, where the format has one size; 0: as each has it */
    size_t codeless; /* linears of which there are only weights */
};

/* The codes as a format puts them; c borrows from p and from *scales, which the caller frees. */
static int coded_of(const struct repack *r, const struct packed *p, struct coded *c, void **scales,
                    struct err *e)
{
    const struct grid *grid = affine_is(p->grid) ? r->grid : p->grid;

    if (!(*scales = mem_raw(p->N * p->G, dtype_size(p->scale_type), e)))
        return -1;
    dtype_from_f32(p->scale_type, p->scales, p->N * p->G, *scales);
    packed_coded(p, p->scale_type, *scales, c);
    c->grid = grid;
    c->zeros = grid->zeros ? p->zeros : NULL;
    return 0;
}

/* Permuted groups, as weights: formats of codes name the group of each input, or their check says
 * that they cannot. */
static int spread(const struct repack *r, struct packed *p, struct err *e)
{
    struct packed each;

    if (!p->group_of || r->o->format->read)
        return 0;
    if (packed_spread(p, &each, e) < 0)
        return -1;
    packed_release(p);
    *p = each;
    return 0;
}

/* The same scale and zero point for each part of a group. */
static int regroup(const struct repack *r, struct packed *p, struct err *e)
{
    struct packed parts;
    size_t each;

    if (!r->group || p->group == r->group || p->group_of)
        return 0;
    if (packed_open_grid(&parts, p->grid, p->N, p->K, p->bits, r->group, e) < 0)
        return -1;
    parts.scale_type = p->scale_type;
    parts.tensor_scale = p->tensor_scale;
    parts.weight_type = p->weight_type;
    memcpy(parts.codes, p->codes, p->N * p->K);
    each = parts.G / p->G;
    for (size_t i = 0; i < parts.N * parts.G; i++) {
        parts.scales[i] = p->scales[i / each];
        if (p->zeros)
            parts.zeros[i] = p->zeros[i / each];
    }
    packed_release(p);
    *p = parts;
    return 0;
}

/* 1, or 0 when the source has no codes for it. */
static int linear_read(const struct repack *r, const struct plan_linear *l, struct packed *p,
                       struct err *e)
{
    int rc;

    if (sig_draining())
        return err_set(e, ERR_SYS, "stopped by a signal at '%s'", l->f.name);
    if ((rc = format_find_linear(r->reader, l->f.name, l->f.N, l->f.K, e)) == 0)
        rc = format_read_linear(r->reader, l->f.name, l->f.N, l->f.K, p, e);
    if (rc <= 0)
        return rc;
    if (spread(r, p, e) == 0 && regroup(r, p, e) == 0)
        return 1;
    packed_release(p);
    return -1;
}

/* Weights of a kind that is no codes (k-quants of GGUF), as the source shows them. */
static int codeless(struct repack *r, struct plan_linear *l, struct err *e)
{
    if (r->o->format->read)
        return err_set(e, ERR_USE,
                       "'%s' is stored in a way that no other format has codes for: --format dense "
                       "can hold it",
                       l->f.name);
    r->codeless++;
    l->packed = 0;
    l->f.kept = 1;
    l->f.source_type = l->source.dtype;
    return 0;
}

/* What weights are stored in where they are asked for: in the type they had, where that is known,
 * else in that of their scales, but that of models where it has 8 bits, or where FP8 has scales of
 * 32. */
static enum dtype weights_type(const struct packed *p)
{
    if (p->weight_type != DT_COUNT)
        return p->weight_type;
    return affine_is(p->grid) || p->scale_type == DT_F16 ? p->scale_type : DT_BF16;
}

/* A format that has one size of groups gets the smallest, where that divides all. */
static void groups_settle(struct repack *r)
{
    int64_t least = 0, first = 0;

    for (size_t i = 0; i < r->plan.nlinears; i++) {
        const struct format_linear *f = &r->plan.linear[i].f;
        const int64_t group = f->group < 0 ? (int64_t)f->K : f->group;

        if (!r->plan.linear[i].packed)
            continue;
        first = first ? first : f->group;
        least = !least || group < least ? group : least;
    }
    for (size_t i = 0; r->o->format->one_group && i < r->plan.nlinears; i++) {
        const struct format_linear *f = &r->plan.linear[i].f;

        if (!r->plan.linear[i].packed)
            continue;
        if ((f->group < 0 ? (int64_t)f->K : f->group) % least)
            return;
        r->group = f->group != first ? least : r->group;
    }
    for (size_t i = 0; r->group && i < r->plan.nlinears; i++) {
        struct format_linear *f = &r->plan.linear[i].f;

        f->group = least;
        f->G = f->K / (size_t)least;
    }
}

/* What all linears are like, as far as it is needed before the first is written. */
static int look(struct repack *r, struct repack_report *report, struct err *e)
{
    struct packed p;
    int rc;

    r->grid = &grid_sym;
    for (size_t i = 0; i < r->plan.nlinears; i++) {
        struct plan_linear *l = &r->plan.linear[i];

        report->linears++;
        report->kept += !l->packed;
        l->f.kept = !l->packed;
        if (!l->packed)
            continue;
        if ((rc = linear_read(r, l, &p, e)) < 0 || (rc == 0 && codeless(r, l, e) < 0))
            return -1;
        if (rc == 0)
            continue;
        packed_linear(&p, &l->f);
        l->f.solved = 1;
        if (l->f.grid->zeros)
            r->grid = l->f.grid;
        l->f.source_type = weights_type(&p);
        packed_release(&p);
    }
    for (size_t i = 0; i < r->plan.nlinears; i++)
        if (r->plan.linear[i].packed && affine_is(r->plan.linear[i].f.grid))
            r->plan.linear[i].f.grid = r->grid;
    groups_settle(r);
    return 0;
}

static int check_linear(const struct repack *r, const struct plan_linear *l,
                        const struct plan_linear *first, struct err *e)
{
    const struct format *f = r->o->format;
    struct packed p;
    struct coded c;
    void *scales = NULL;
    int rc;

    if (format_check_linear(f, &l->f, e) < 0 || format_beside(f, &l->f, &first->f, e) < 0)
        return -1;
    if (!f->check_codes)
        return 0;
    if (linear_read(r, l, &p, e) < 0)
        return -1;
    rc = coded_of(r, &p, &c, &scales, e) < 0 || f->check_codes(&l->f, &c, e) < 0 ? -1 : 0;
    free(scales);
    packed_release(&p);
    return rc;
}

static int check(const struct repack *r, const struct repack_report *report, struct err *e)
{
    const struct plan_linear *first = NULL;

    for (size_t i = 0; i < r->plan.nlinears; i++) {
        const struct plan_linear *l = &r->plan.linear[i];

        if (!l->packed)
            continue;
        first = first ? first : l;
        if (check_linear(r, l, first, e) < 0)
            return -1;
    }
    if (first || r->codeless)
        return 0;
    if (!report->from->unpacked)
        return err_set(e, ERR_USE,
                       "'%s' has no linear that is quantized: there is nothing to convert",
                       r->o->model);
    return r->o->format->read
               ? err_set(e, ERR_USE,
                         "'%s' is stored as %s, which is read as the weights it stands for: "
                         "--format dense can hold them",
                         r->o->model, report->from->title)
               : 0;
}

/* As `codes` of struct assembly. */
static int codes(const struct assembly *a, assembly_take *take, void *arg, struct err *e)
{
    const struct repack *r = a->from;
    int rc = 0;

    for (size_t i = 0; i < a->plan->nlinears && rc == 0; i++) {
        const struct plan_linear *l = &a->plan->linear[i];
        void *scales = NULL;
        struct packed p;
        struct coded c;

        if (!l->packed)
            continue;
        if (linear_read(r, l, &p, e) < 0)
            return -1;
        rc = coded_of(r, &p, &c, &scales, e) < 0 || take(arg, l, &c, e) < 0 ? -1 : 0;
        free(scales);
        packed_release(&p);
    }
    return rc;
}

/* What the source brings along, and this step. */
static char *prov_text(const struct repack *r, const struct format *from, struct err *e)
{
    struct json *all = st_records(r->plan.source), *own = json_new_object();
    char *text = NULL;

    all = all ? all : json_new_array();
    if (json_set_text(own, "stage", "convert") || json_set_text(own, "version", PTQ_VERSION) ||
        json_set_text(own, "from", from->name) || json_set_text(own, "format", r->o->format->name))
        json_destroy(&own);
    if (json_push(all, own))
        err_set(e, ERR_SYS, "provenance: out of memory");
    else
        text = json_print(all, 0, e);
    json_destroy(&all);
    return text;
}

static int assemble(struct repack *r, struct repack_report *report, struct err *e)
{
    struct assembly a = {.plan = &r->plan,
                         .folder = r->o->out,
                         .codes = codes,
                         .from = r,
                         .shard_bytes = r->o->shard_bytes};
    char *prov = prov_text(r, report->from, e);
    int rc;

    a.prov = prov;
    rc = prov ? assemble_checkpoint(&a, r->o->format, e) : -1;
    report->after = a.bytes;
    free(prov);
    return rc;
}

static uint64_t stored_bytes(const struct st_entry *x)
{
    return x->mxfp4 ? x->mxfp4->blocks.bytes + x->mxfp4->scales.bytes : x->bytes;
}

int repack_run(const struct repack_opts *o, struct repack_report *report, struct err *e)
{
    struct repack r = {.o = o};
    int rc = -1;

    memset(report, 0, sizeof *report);
    if (plan_open_packed(&r.plan, o->model, e) < 0)
        return -1;
    if (plan_check_tower(&r.plan, &o->format, 1, e) < 0 ||
        !(r.reader = format_open(r.plan.config.file, o->model, r.plan.source, e)))
        goto out;
    report->from = format_unpacked(r.plan.config.file);
    report->from = report->from ? report->from : format_of(r.reader);
    report->exact = o->format->read != NULL;
    for (size_t i = 0; i < r.plan.source->count && !r.plan.source->source.close; i++)
        report->before += stored_bytes(&r.plan.source->entries[i]);
    if (r.plan.source->source.close && fs_size(r.plan.source->paths[0], &report->before, e) < 0)
        goto out;
    if (look(&r, report, e) == 0 && check(&r, report, e) == 0)
        rc = assemble(&r, report, e);
out:
    format_close(&r.reader);
    plan_release(&r.plan);
    return rc;
}
