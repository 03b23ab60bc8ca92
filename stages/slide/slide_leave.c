/* SPDX-License-Identifier: Apache-2.0 */
/* slide_leave - see slide_leave.h. */
#include "slide_leave.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/version.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/msg_solution.h"
#include "slide_fold.h"
#include "slide_gptq.h"
#include "slide_loops.h"

/* What the rows of a site add up to. */
struct site_sums {
    uint64_t tokens;
    double sum_w, sum_w2;
};

struct leave {
    const struct slide_leave *x;
    struct slide_block *b;
    const struct sites *sites;
    size_t first;           /* order of the block's first site */
    struct site_sums *sums; /* [sites of the block] */
    double *error, *whole;  /* [linears] sum of w |(W - Q) x|^2, of w |W x|^2 */
    float **diff;           /* [linears] W - Q */
    uint8_t **codes;        /* [linears] */
    struct slide_folded folded[SLIDE_ALPHAS];
    struct inverse_used *used; /* [sites of the block]; NULL: rounded to nearest */
};

static size_t sites_in(const struct leave *l)
{
    return l->sites->end[l->b->index] - l->first;
}

/* ---- losses ---- */

enum { TILE_ROWS = 32 };

struct squares {
    float *y; /* [T,N] */
    size_t T, N;
    double *row; /* [T] */
};

static int each_rows(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct squares *s = ctx;

    (void)worker;
    (void)e;
    for (size_t t = i * TILE_ROWS; t < s->T && t < (i + 1) * TILE_ROWS; t++)
        s->row[t] = slide_apart(s->y + t * s->N, NULL, s->N, 0, 0);
    return 0;
}

/* The rows of a site, and what their products are of. */
struct seen_rows {
    struct block_rows r;
    uint16_t *half; /* [count, K] them in bf16; NULL: products are of f32 */
    const float *w; /* weights of the tokens of the chunk; NULL: all 1 */
};

static int multiply(const struct leave *l, const float *m, size_t N, size_t K,
                    const struct seen_rows *x, float *y, struct err *e)
{
    struct par *p = l->x->par;
    uint16_t *m16;
    int rc = -1;

    if (!x->half)
        return blas_linear(p, x->r.count, N, K, x->r.x, K, m, K, y, N, 0, e);
    if ((m16 = mem_raw(N * K, sizeof *m16, e)) && blas_narrow(p, N * K, m, m16, e) == 0)
        rc = blas_linear16(p, x->r.count, N, K, x->half, NULL, K, m16, NULL, K, y, N, 0, e);
    free(m16);
    return rc;
}

/* Sum of w |M x|^2 over the rows. */
static int energy(const struct leave *l, const float *m, size_t N, size_t K,
                  const struct seen_rows *x, double *sum, struct err *e)
{
    const struct block_rows *r = &x->r;
    struct squares s = {.y = mem_raw(r->count * N + 1, sizeof *s.y, e),
                        .T = r->count,
                        .N = N,
                        .row = mem_raw(r->count + 1, sizeof *s.row, e)};
    int rc = -1;

    if (s.y && s.row && multiply(l, m, N, K, x, s.y, e) == 0)
        rc = par_for(l->x->par, (s.T + TILE_ROWS - 1) / TILE_ROWS, each_rows, &s, e);
    for (size_t t = 0; rc == 0 && t < s.T; t++)
        *sum += s.row[t] * (x->w ? (double)x->w[r->token ? r->token[t] : t] : 1);
    free(s.y);
    free(s.row);
    return rc;
}

static int measure_linears(struct leave *l, size_t linear, size_t count, const struct seen_rows *x,
                           struct err *e)
{
    for (size_t i = linear; x->r.count && i < linear + count; i++) {
        const struct slide_linear *of = &l->b->linear[i];

        if (energy(l, l->diff[i], of->N, of->K, x, &l->error[i], e) < 0 ||
            energy(l, of->w, of->N, of->K, x, &l->whole[i], e) < 0)
            return -1;
    }
    return 0;
}

static int measure_site(struct leave *l, size_t site, size_t linear, const struct slide_part *p,
                        struct err *e)
{
    const struct slide_data *d = l->x->data;
    const struct site *of = &l->sites->site[l->first + site];
    struct seen_rows x = {.w = d->weight ? d->weight + p->first : NULL};
    struct site_sums *s = &l->sums[site];
    int rc = 0;

    if (block_site_rows(l->b->b, site, &p->rows, DT_F32, &x.r, e) < 0)
        return -1;
    for (size_t t = 0; t < x.r.count; t++) {
        const double w = x.w ? (double)x.w[x.r.token ? x.r.token[t] : t] : 1;

        s->sum_w += w;
        s->sum_w2 += w * w;
    }
    s->tokens += x.r.count;
    if (l->x->o->products == PRODUCTS_BF16) {
        const size_t n = x.r.count * of->inputs;

        rc = (x.half = mem_raw(n + 1, sizeof *x.half, e))
                 ? blas_narrow(l->x->par, n, x.r.x, x.half, e)
                 : -1;
    }
    if (rc == 0)
        rc = measure_linears(l, linear, of->count, &x, e);
    free(x.half);
    return rc;
}

struct measure {
    struct leave *l;
    const struct slide_part *p;
};

static int measure_stop(void *ctx, size_t stop, const struct rows *r, struct err *e)
{
    const struct measure *m = ctx;
    struct leave *l = m->l;
    size_t linear = 0;

    (void)r;
    for (size_t s = 0; s < sites_in(l); s++) {
        const struct site *site = &l->sites->site[l->first + s];

        if (site->stop == stop && measure_site(l, s, linear, m->p, e) < 0)
            return -1;
        linear += site->count;
    }
    return 0;
}

static int run_part(struct leave *l, const struct slide_part *p, struct err *e)
{
    struct measure m = {l, p};

    return slide_block_walk(l->b, &p->rows,
                            l->x->data->quantized + p->first * model_config(l->b->m)->d,
                            measure_stop, &m, e);
}

/* ---- solutions ---- */

struct json *slide_leave_record(const struct slide_opts *o)
{
    const struct slide_shape *s = &o->shape;
    struct json *r = json_new_object();
    int bad =
        json_set_text(r, "stage", "slide") | json_set_text(r, "version", PTQ_VERSION) |
        json_set_int(r, "bits", s->bits) | json_set_int(r, "group", s->group) |
        json_set_text(r, "grid", s->grid->name) |
        json_set_text(r, "scale_type", dtype_name(s->scale_type)) |
        json_set_int(r, "zero_min", s->zero_min) | json_set_int(r, "rank", s->rank) |
        json_set_bool(r, "clip", s->clips) | json_set_int(r, "shallow", (int64_t)o->zones.shallow) |
        json_set_int(r, "window", (int64_t)o->zones.window) |
        json_set_int(r, "stride", (int64_t)o->zones.stride) |
        json_set_int(r, "deep", (int64_t)o->zones.deep) |
        json_set_int(r, "epochs", (int64_t)o->epochs) |
        json_set_int(r, "batch", (int64_t)o->batch) | json_set_int(r, "parts", (int64_t)o->parts) |
        json_set_real(r, "first_share", o->share) |
        json_set_real(r, "lr", o->rate[SLIDE_RATE_RANK]) |
        json_set_real(r, "clip_lr", o->rate[SLIDE_RATE_CLIP]) |
        json_set_bool(r, "alpha", s->scales) |
        json_set_real(r, "alpha_lr", o->rate[SLIDE_RATE_SCALE]) |
        json_set_int(r, "seed", (int64_t)o->seed) | json_set_text(r, "kernel", blas_kernel());

    if (o->products)
        bad |= json_set_text(r, "products", products_name(o->products));
    if (o->sweeps > 1)
        bad |= json_set_int(r, "sweeps", o->sweeps);
    if (o->gptq)
        bad |= json_set_text(r, "round", "gptq") | json_set_real(r, "damp", o->damp);
    if (o->qkv_bits)
        bad |= json_set_int(r, "qkv_bits", o->qkv_bits);
    if (bad || (o->act_bits && json_set_int(r, "act_bits", o->act_bits)))
        json_destroy(&r);
    return r;
}

/* Codes, scales and zeros of a linear. */
static int put_results(struct leave *l, struct msg *m, size_t i, struct err *e)
{
    const struct slide_linear *x = &l->b->linear[i];
    const uint64_t full[2] = {x->N, x->K}, groups[2] = {x->N, x->G};
    char name[TENSOR_NAME + 16];
    void *to;

    snprintf(name, sizeof name, "%.180s.codes", x->name);
    if (!(to = msg_add_new(m, name, DT_U8, 2, full, e)))
        return -1;
    memcpy(to, l->codes[i], x->N * x->K);
    snprintf(name, sizeof name, "%.180s.scales", x->name);
    if (!(to = msg_add_new(m, name, x->o->scale_type, 2, groups, e)))
        return -1;
    if (dtype_from_f64(x->o->scale_type, x->scale, x->N * x->G, to))
        return err_set(e, ERR_SYS, "'%s': scales are of no float type", x->name);
    snprintf(name, sizeof name, "%.180s.zeros", x->name);
    if (x->o->grid->zeros && !(to = msg_add_new(m, name, DT_U8, 2, groups, e)))
        return -1;
    if (x->o->grid->zeros)
        memcpy(to, x->zero, x->N * x->G);
    return 0;
}

/* With the first site that reads what the tensors make. */
static int put_folded(const struct leave *l, struct msg *m, size_t linear, size_t count,
                      struct err *e)
{
    for (size_t k = 0; k < SLIDE_ALPHAS; k++) {
        const struct slide_folded *f = &l->folded[k];
        size_t first = 0;

        while (first < l->b->count && l->b->linear[first].alpha != &l->b->alpha[k])
            first++;
        if (f->count && first >= linear && first < linear + count &&
            solution_add_changed(m, f->t, f->count, e) < 0)
            return -1;
    }
    return 0;
}

static struct solution_linear describe(const struct leave *l, size_t i, double sum_w)
{
    const struct slide_linear *x = &l->b->linear[i];

    return (struct solution_linear){.name = x->name,
                                    .N = x->N,
                                    .K = x->K,
                                    .bits = x->o->bits,
                                    .group = x->G == 1 ? -1 : x->o->group,
                                    .grid = x->o->grid->name,
                                    .loss = sum_w > 0 ? l->error[i] / sum_w : 0,
                                    .rel_loss = l->whole[i] > 0 ? l->error[i] / l->whole[i] : 0,
                                    .asym_loss = NAN};
}

static struct msg *solution_make(struct leave *l, size_t site, size_t linear,
                                 const struct json *prov, struct err *e)
{
    const struct site *s = &l->sites->site[l->first + site];
    const struct site_sums *sums = &l->sums[site];
    const struct inverse_used *used = l->used ? &l->used[site] : NULL;
    struct solution_view *v = mem_array(1, sizeof *v, e);
    struct msg *m = NULL;
    int bad;

    if (!v)
        return NULL;
    *v = (struct solution_view){.block = s->block,
                                .order = s->order,
                                .sites = l->sites->count,
                                .site = s->name,
                                .K = s->inputs,
                                .tokens = sums->tokens,
                                .sequences = l->x->data->nseq,
                                .sum_w = sums->sum_w,
                                .sum_w2 = sums->sum_w2,
                                .solver = used ? "slide+gptq" : "slide",
                                .damp = used ? used->damp : 0,
                                .attempts = used ? used->attempts : 0,
                                .fallback = used ? used->fallback : NULL,
                                .seconds = l->x->seconds / (double)sites_in(l),
                                .nlinears = s->count,
                                .prov = prov};
    for (size_t i = 0; i < s->count; i++)
        v->linear[i] = describe(l, linear + i, sums->sum_w);
    m = solution_create(v, "slide", e);
    free(v);
    bad = m && l->x->loss && json_set(m->meta, "windows", json_clone(l->x->loss));
    if (bad)
        err_set(e, ERR_SYS, "out of memory");
    for (size_t i = 0; m && !bad && i < s->count; i++)
        bad = put_results(l, m, linear + i, e) < 0;
    if (m && !bad)
        bad = put_folded(l, m, linear, s->count, e) < 0;
    if (bad)
        msg_destroy(&m);
    if (m)
        snprintf(m->run, sizeof m->run, "%s", l->x->run);
    return m;
}

static int tell(struct leave *l, struct err *e)
{
    struct json *prov = l->x->data->prov ? json_clone(l->x->data->prov) : json_new_array();
    size_t linear = 0;
    int rc = json_push(prov, slide_leave_record(l->x->o)) == 0
                 ? 0
                 : err_set(e, ERR_SYS, "out of memory");

    for (size_t s = 0; rc == 0 && s < sites_in(l); s++) {
        struct msg *m = solution_make(l, s, linear, prov, e);

        rc = m ? l->x->emit(l->x->ctx, &m, e) : -1;
        msg_destroy(&m);
        linear += l->sites->site[l->first + s].count;
    }
    json_destroy(&prov);
    return rc;
}

/* ---- all ---- */

/* W - Q, of the inputs that the linears see. */
static int differ(struct leave *l, struct err *e)
{
    for (size_t i = 0; i < l->b->count; i++) {
        struct slide_linear *x = &l->b->linear[i];
        const float *out = slide_block_out(l->b, i);

        if (!(l->diff[i] = mem_raw(x->N * x->K, sizeof(float), e)))
            return -1;
        for (size_t k = 0; k < x->N * x->K; k++) {
            x->w[k] *= x->alpha ? x->alpha->x[k % x->K] : 1; /* for inputs that are divided */
            l->diff[i][k] = x->w[k] - out[k];
        }
    }
    return 0;
}

static int settle(struct leave *l, struct err *e)
{
    const struct slide_gptq g = {.data = l->x->data, .par = l->x->par, .damp = l->x->o->damp};

    for (size_t k = 0; k < SLIDE_ALPHAS; k++)
        if (slide_fold_settle(l->b, k, &l->folded[k], e) < 0)
            return -1;
    slide_block_divide(l->b);
    for (size_t i = 0; i < l->b->count; i++) {
        struct slide_linear *x = &l->b->linear[i];

        if (!(l->codes[i] = mem_raw(x->N * x->K, 1, e)) ||
            slide_linear_round(x, l->x->par, slide_block_out(l->b, i), l->codes[i], e) < 0)
            return -1;
    }
    if (block_written(l->b->b, e) < 0)
        return -1;
    if (l->used &&
        (slide_gptq_block(&g, l->b, l->codes, l->used, e) < 0 || block_written(l->b->b, e) < 0))
        return -1;
    return differ(l, e);
}

static int make(struct leave *l, struct err *e)
{
    const size_t n = l->b->count + 1;

    return (l->sums = mem_array(sites_in(l) + 1, sizeof *l->sums, e)) &&
                   (l->error = mem_array(n, sizeof *l->error, e)) &&
                   (l->whole = mem_array(n, sizeof *l->whole, e)) &&
                   (l->diff = mem_array(n, sizeof *l->diff, e)) &&
                   (l->codes = mem_array(n, sizeof *l->codes, e)) &&
                   (!l->x->o->gptq || (l->used = mem_array(sites_in(l) + 1, sizeof *l->used, e)))
               ? 0
               : -1;
}

int slide_leave_block(const struct slide_leave *x, struct slide_block *b, struct err *e)
{
    struct leave l = {.x = x, .b = b, .sites = model_sites(b->m)};
    int rc;

    l.first = l.sites->first[b->index];
    rc = make(&l, e) < 0 || settle(&l, e) < 0 ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < x->data->parts; i++)
        rc = run_part(&l, &x->data->part[i], e);
    if (rc == 0)
        rc = tell(&l, e);
    for (size_t i = 0; l.diff && l.codes && i < b->count; i++) {
        free(l.diff[i]);
        free(l.codes[i]);
    }
    for (size_t k = 0; k < SLIDE_ALPHAS; k++)
        slide_fold_release(&l.folded[k]);
    free(l.sums);
    free(l.error);
    free(l.whole);
    free(l.diff);
    free(l.codes);
    free(l.used);
    return rc;
}
