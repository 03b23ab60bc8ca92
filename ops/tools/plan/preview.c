/* SPDX-License-Identifier: Apache-2.0 */
/* preview - see preview.h. */
#include "preview.h"

#include <stdlib.h>
#include <string.h>
#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"
#include "../../../common/model/gguf_model.h"
#include "../../../common/model/config_read.h"
#include "../../../stages/forward/forward_forecast.h"
#include "../../../stages/importance/importance_forecast.h"
#include "../../../stages/reduce/reduce_forecast.h"
#include "../../../stages/sample/sample_forecast.h"
#include "../../../stages/solve/solve_forecast.h"
#include "../../../stages/write/write_forecast.h"

/* What the stages decide for each other. */
static int agree(const struct preview_opts *o, const struct preview *p, struct forecast *f,
                 struct err *e)
{
    const int dual = o->slide ? 0 : solve_forecast_dual(o->solve, e);

    *f = (struct forecast){.forwards = o->forwards,
                           .reducers = o->reducers,
                           .solvers = o->solvers,
                           .sharers = o->sharers,
                           .cores = o->cores,
                           .weighted = o->importance ? p->table.count : 0};
    forecast_model(f, &p->table);
    if (dual < 0 || sample_forecast_chunks(o->sample, p->config.context, f, e) < 0)
        return -1;
    sample_forecast_pictures(o->sample, &p->config, f);
    if (o->slide)
        return 0;
    if (forward_forecast_rows(o->forward, f, e) < 0)
        return -1;
    f->dual |= dual; /* a solver brings the stream that it needs */
    reduce_forecast_sums(o->reduce, f);
    return 0;
}

/* Over the solver of the run and those that overrides leave some linear to. */
static int solve_memory(const struct preview_opts *o, const struct forecast *f,
                        const struct preview *p, uint64_t *most, struct err *e)
{
    uint64_t one;

    if (solve_forecast_memory(o->solve, o->solve->solver, f, most, e) < 0)
        return -1;
    for (size_t i = 0; i < p->nclasses; i++) {
        if (!p->class[i].solver)
            continue;
        if (solve_forecast_memory(o->solve, p->class[i].solver, f, &one, e) < 0)
            return -1;
        *most = one > *most ? one : *most;
    }
    return 0;
}

/* Bytes of the tokenizer's file; 0: there is none. */
static uint64_t tokenizer_bytes(const char *model)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    uint64_t n = 0;

    for (size_t i = 0; !n && i < 2; i++) {
        char *path = fs_join(model, names[i], NULL);

        if (path && fs_size(path, &n, NULL) < 0)
            n = 0;
        free(path);
    }
    return n;
}

static uint64_t sample_bytes(const struct preview_opts *o, const struct forecast *f)
{
    return o->base.sample + sample_forecast_memory(f, tokenizer_bytes(o->model)) +
           sample_forecast_text(o->sample, o->model);
}

static int add_slide(const struct preview_opts *o, const struct forecast *f, struct preview *p,
                     struct err *e)
{
    struct preview_memory *m = &p->memory;

    if (slide_forecast_make(o->slide, &p->config, &p->table, f, &p->slide, e) < 0)
        return -1;
    *m = (struct preview_memory){.sample = sample_bytes(o, f),
                                 .slide = o->base.slide + p->slide.bytes,
                                 .slope = o->sharers ? o->base.slope + p->slide.slope : 0,
                                 .write = o->base.write + write_forecast_memory(f)};
    m->all = m->sample + m->slide + m->slope * o->sharers + m->write;
    return 0;
}

static int add_memory(const struct preview_opts *o, const struct forecast *f, struct preview *p,
                      struct err *e)
{
    struct preview_memory *m = &p->memory;
    struct forward_forecast forward;
    struct reduce_forecast reduce;
    uint64_t solve;

    if (forward_forecast_make(o->forward, &p->config, f, &forward, e) < 0 ||
        reduce_forecast_make(o->reduce, f, &reduce, e) < 0 || solve_memory(o, f, p, &solve, e) < 0)
        return -1;
    p->flops_forward += forward.flops;
    *m = (struct preview_memory){.sample = sample_bytes(o, f),
                                 .forward = o->base.forward + forward.bytes,
                                 .reduce = o->base.reduce + reduce.bytes +
                                           (reduce.both ? o->base.reduce_both : 0),
                                 .solve = o->base.solve + solve,
                                 .write = o->base.write + write_forecast_memory(f),
                                 .hidden = forward.hidden,
                                 .spilled = forward.spilled,
                                 .sums = reduce.sums,
                                 .sums_spilled = reduce.spilled};
    if (o->importance) {
        struct importance_forecast importance;

        if (importance_forecast_make(o->importance, &p->config, &p->table, f, o->importances,
                                     &importance, e) < 0)
            return -1;
        m->importance = o->base.importance + importance.bytes;
        p->flops_importance = importance.flops;
        p->seconds_importance = importance.seconds;
    }
    m->all = m->importance * o->importances + m->sample + m->forward * o->forwards +
             m->reduce * o->reducers + m->solve * o->solvers + m->write;
    return 0;
}

int preview_make(const struct preview_opts *o, struct preview *p, struct err *e)
{
    const struct solve_opts *s = o->solve;
    const struct format_linear all =
        solve_forecast_linear(o->solve, o->forward ? o->forward->act_bits : 0);
    struct forecast f;

    memset(p, 0, sizeof *p);
    if (config_read(o->model, &p->config, e))
        return -1;
    if (format_check_plain(p->config.file, o->model, e) ||
        (o->forward->tower && model_use_tower(&p->config, o->model, e)) ||
        sites_make(&p->table, &p->config, e) || agree(o, p, &f, e) ||
        overrides_check_shapes(s->overrides, &p->table, &all, o->formats, o->nformats, e) ||
        gguf_model_check_formats(o->model, &p->config, o->formats, o->nformats, e) ||
        !(p->split = mem_array(p->table.count, sizeof *p->split, e)) ||
        !(p->hit = mem_array(s->overrides->count + 1, sizeof *p->hit, e)))
        return -1;
    if (preview_linears(o, &f, p, e) < 0)
        return -1;
    f.weighed = f.weighed || o->importance;
    p->run = f;
    return (o->slide ? add_slide : add_memory)(o, &f, p, e);
}

void preview_release(struct preview *p)
{
    free(p->hit);
    free(p->split);
    p->hit = NULL;
    p->split = NULL;
    sites_release(&p->table);
    config_release(&p->config);
}

void preview_engines(const struct preview *p, const struct preview_opts *o,
                     const struct format *format, char *out, size_t room)
{
    const struct format_linear all =
        solve_forecast_linear(o->solve, o->forward ? o->forward->act_bits : 0);
    struct engine_look look;

    engine_start(&look, format);
    overrides_engines(o->solve->overrides, &p->table, &all, &look);
    *out = '\0';
    if (look.kind.bits)
        engine_text(&look, out, room);
}
