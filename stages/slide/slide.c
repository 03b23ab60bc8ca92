/* SPDX-License-Identifier: Apache-2.0 */
/* slide - see slide.h. The stream of the quantized model stands before the first block of the
 * window, that of the full one behind its last: neither ever goes back. */
#include "slide.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/clock.h"
#include "../../common/base/mem.h"
#include "../../common/base/sig.h"
#include "../../common/model/fingerprint.h"
#include "../../common/model/model_back.h"
#include "../../common/wire/run_id.h"
#include "slide_leave.h"
#include "slide_share.h"
#include "slide_state.h"

struct slide {
    struct model *m;
    struct par *par;
    struct slide_opts o;
    size_t layers;
    uint64_t print;
    char run[40]; /* of the solutions */
    struct slide_data data;
    struct slide_span *span;
    size_t spans;
    struct slide_block **block; /* [layers] those at work */
    struct json **loss;         /* [layers] of the windows that held it */
    double *seconds;            /* [layers] */
    struct msg **kept;          /* [layers] what the first of two sweeps has learned */
    int64_t sweep;              /* from 0 */
    size_t first, last;         /* blocks that the streams have passed */
    struct slide_progress now;
    const struct slide_io *io;
};

static int check_groups(const struct slide *s, struct err *e)
{
    const struct sites *t = model_sites(s->m);
    const int64_t group = s->o.shape.group;

    for (size_t i = 0; group > 0 && i < t->count; i++)
        if (t->site[i].inputs % (size_t)group)
            return err_set(e, ERR_USE,
                           "'%s' has %zu inputs, which --group %lld does not divide; use a divisor "
                           "or -1",
                           t->site[i].linear[0].name, t->site[i].inputs, (long long)group);
    return 0;
}

struct slide *slide_open(struct model *m, struct par *par, const struct slide_opts *o,
                         struct err *e)
{
    struct slide *s = mem_array(1, sizeof *s, e);

    if (!s)
        return NULL;
    s->m = s->data.m = m;
    s->par = par;
    s->o = *o;
    s->layers = model_config(m)->layers;
    if (model_back_check(m, e) == 0 && check_groups(s, e) == 0 &&
        fingerprint_model(model_config(m)->file, model_tensors(m), &s->print, e) == 0 &&
        (s->block = mem_array(s->layers, sizeof *s->block, e)) &&
        (s->loss = mem_array(s->layers, sizeof *s->loss, e)) &&
        (s->seconds = mem_array(s->layers, sizeof *s->seconds, e)) &&
        (s->kept = mem_array(s->layers, sizeof *s->kept, e)) &&
        slide_schedule_make(s->layers, &o->zones, &s->span, &s->spans, e) == 0)
        return s;
    slide_close(&s);
    return NULL;
}

void slide_close(struct slide **sp)
{
    struct slide *s = *sp;

    if (!s)
        return;
    for (size_t i = 0; s->block && i < s->layers; i++)
        slide_block_close(&s->block[i]);
    for (size_t i = 0; s->loss && i < s->layers; i++)
        json_destroy(&s->loss[i]);
    for (size_t i = 0; s->kept && i < s->layers; i++)
        msg_destroy(&s->kept[i]);
    slide_data_release(&s->data);
    free(s->kept);
    free(s->block);
    free(s->loss);
    free(s->seconds);
    free(s->span);
    free(s);
    *sp = NULL;
}

int slide_add(struct slide *s, const struct msg *chunk, struct err *e)
{
    if (run_id_check_model(chunk->run, s->print, model_tensors(s->m)->paths[0], e) < 0 ||
        slide_data_add(&s->data, chunk, e) < 0)
        return -1;
    if (slide_data_bytes(&s->data) > s->o.mem)
        return err_set(e, ERR_USE,
                       "the hidden states of %zu tokens take more than --mem: fewer --tokens for "
                       "the sampler, or more --mem",
                       s->data.T);
    return 0;
}

/* ---- a window ---- */

static struct slide_batch batch_of(const struct slide *s, size_t i)
{
    const struct slide_part *p = &s->data.part[i];
    const size_t at = p->first * model_config(s->m)->d;

    return (struct slide_batch){.rows = p->rows,
                                .x = s->data.quantized + at,
                                .target = s->data.full + at,
                                .weight = s->data.weight ? s->data.weight + p->first : NULL};
}

/* The mean over all tokens. */
static int loss_of(const struct slide *s, const struct slide_window *w, double *loss, struct err *e)
{
    double sum = 0;

    for (size_t i = 0; i < s->data.parts; i++) {
        const struct slide_batch t = batch_of(s, i);
        double one, all = 0;

        if (sig_draining())
            return err_set(e, ERR_SYS, "asked to stop");
        if (slide_window_loss(w, &t, &one, e) < 0)
            return -1;
        for (size_t k = 0; k < t.rows.T; k++)
            all += t.weight ? (double)t.weight[k] : 1;
        sum += one * all;
    }
    *loss = s->data.sum_w > 0 ? sum / s->data.sum_w : 0;
    return 0;
}

/* Of the inputs that this step of a window rounds. */
static double share_at(const struct slide *s, size_t step)
{
    const int first = s->o.sweeps == 2 ? s->sweep == 0 : step < s->now.steps / 2;

    return first ? s->o.share : 1;
}

/* Steps are counted from 1. */
static void curve_add(struct slide_curve *c, const struct slide_progress *now, size_t *within)
{
    const size_t points = now->steps < SLIDE_CURVE ? now->steps : SLIDE_CURVE,
                 at = (now->step - 1) * points / now->steps;

    *within = at < c->points ? *within + 1 : 1;
    c->points = at + 1;
    c->mean[at] += (now->loss - c->mean[at]) / (double)*within;
}

static int learn(struct slide *s, const struct slide_window *w, struct slide_curve *curve,
                 struct err *e)
{
    size_t within = 0; /* steps of the last point */
    struct slide_progress *now = &s->now;
    struct slide_share share = {.o = &s->o,
                                .w = w,
                                .run = s->run,
                                .window = now->window,
                                .first = now->first,
                                .columns = 1,
                                .ctx = s->io->ctx,
                                .ask = s->io->ask,
                                .answer = s->io->answer};

    slide_window_restart(w);
    for (now->step = 0; now->step < now->steps;) {
        const struct slide_batch t = batch_of(s, now->step % s->data.parts);
        const double left = 1 - (double)now->step / (double)now->steps,
                     columns = share_at(s, now->step);
        double rate[SLIDE_RATES];

        for (size_t i = 0; i < SLIDE_RATES; i++)
            rate[i] = s->o.rate[i] * left;
        if (sig_draining())
            return err_set(e, ERR_SYS, "asked to stop");
        if ((columns < share.columns || columns > share.columns) &&
            slide_window_narrow(w, columns, e) < 0)
            return -1;
        share.columns = columns;
        if (slide_share_step(&share, &t, now->step, &now->loss, e) < 0)
            return -1;
        if (slide_window_step(w, rate, ++now->step, e) < 0)
            return -1;
        if ((!share.ask || now->step == now->steps) && slide_window_round(w, e) < 0)
            return -1; /* who works on a part rounds for itself */
        now->done += w->count;
        curve_add(curve, now, &within);
        s->io->progress(s->io->ctx, now);
    }
    return 0;
}

static int note(struct slide *s, const struct slide_window *w, const struct slide_state *state,
                int there, const char *bad, struct err *e)
{
    for (size_t i = 0; i < w->count; i++) {
        struct json *x = json_new_object(), **list = &s->loss[w->block[i]->index];
        int failed = json_set_int(x, "first", (int64_t)s->now.first) |
                     json_set_int(x, "blocks", (int64_t)w->count) |
                     json_set_int(x, "steps", (int64_t)s->now.steps) |
                     json_set_real(x, "before", state->before) |
                     json_set_real(x, "after", state->after) |
                     json_set(x, "curve", slide_state_curve(&state->curve));

        if (!*list)
            *list = json_new_array();
        if (failed)
            json_destroy(&x);
        if (json_push(*list, x))
            return err_set(e, ERR_SYS, "out of memory");
    }
    s->io->window(s->io->ctx, &s->now,
                  &(struct slide_ended){state->before, state->after, there, bad});
    return 0;
}

static int work(struct slide *s, const struct slide_window *w, struct slide_state *state,
                struct err *e)
{
    if (slide_window_round(w, e) < 0)
        return -1;
    if (loss_of(s, w, &state->before, e) < 0 || learn(s, w, &state->curve, e) < 0 ||
        loss_of(s, w, &state->after, e) < 0)
        return -1;
    return slide_state_save(state, w, e);
}

static int run_window(struct slide *s, struct err *e)
{
    const struct slide_window w = {
        .par = s->par, .block = s->block + s->now.first, .count = s->now.count};
    struct slide_state state = {.dir = s->o.state, .run = s->run, .window = s->now.window};
    const double start = clock_wall();
    const double columns = share_at(s, s->now.steps);
    struct err bad = {0};
    int there;

    if (slide_window_narrow(&w, columns, e) < 0) /* where it ends */
        return -1;
    there = slide_state_load(&state, &w, &bad, e);
    if (there < 0 || (!there && work(s, &w, &state, e) < 0))
        return -1;
    if (there)
        s->now.all -= w.count * s->now.steps;
    for (size_t i = 0; i < w.count; i++)
        s->seconds[w.block[i]->index] += (clock_wall() - start) / (double)w.count;
    return note(s, &w, &state, there, bad.kind ? bad.text : NULL, e);
}

/* ---- all windows ---- */

/* A block is settled. */
static int leave(struct slide *s, struct slide_block *b, struct err *e)
{
    const struct slide_leave x = {.o = &s->o,
                                  .data = &s->data,
                                  .par = s->par,
                                  .run = s->run,
                                  .loss = s->loss[b->index],
                                  .seconds = s->seconds[b->index],
                                  .ctx = s->io->ctx,
                                  .emit = s->io->emit};

    return slide_leave_block(&x, b, e);
}

/* Another sweep goes on with what it has learned. */
static int keep(struct slide *s, struct slide_block *b, struct err *e)
{
    const size_t d = model_config(s->m)->d;
    int rc = slide_block_round(b, s->par, e);

    for (size_t i = 0; rc == 0 && i < s->data.parts; i++) {
        const struct slide_part *p = &s->data.part[i];

        rc = block_forward(b->b, &p->rows, s->data.quantized + p->first * d, e);
    }
    if (rc == 0 &&
        !(s->kept[b->index] = slide_state_message(&(struct slide_state){.run = s->run}, b, e)))
        rc = -1;
    return rc;
}

static int leave_before(struct slide *s, size_t first, struct err *e)
{
    for (; s->first < first; s->first++) {
        if ((s->sweep + 1 < s->o.sweeps ? keep : leave)(s, s->block[s->first], e) < 0)
            return -1;
        slide_block_close(&s->block[s->first]);
        if (s->io->ask) /* messages of what is settled were taken between what stays; who works by
                           itself takes it again at once, and a page at a time */
            mem_trim();
    }
    return 0;
}

static int enter(struct slide *s, size_t end, struct err *e)
{
    for (; s->last < end; s->last++) {
        if (!(s->block[s->last] = slide_block_open(s->m, s->last, &s->o.shape, s->o.seed, e)) ||
            slide_data_full(&s->data, s->last, e) < 0)
            return -1;
        if (s->kept[s->last])
            slide_state_take(s->kept[s->last], s->block[s->last]);
        msg_destroy(&s->kept[s->last]);
    }
    return 0;
}

/* The run of the solutions, and of the state. */
static int run_of(struct slide *s, struct err *e)
{
    struct json *record = slide_leave_record(&s->o);
    char *text = record ? json_print(record, 0, e) : NULL;

    json_destroy(&record);
    if (!text)
        return err_set(e, ERR_SYS, "out of memory");
    run_id_make(s->run, s->print, s->data.run, text);
    free(text);
    return 0;
}

/* Passes of a window: of two sweeps the second has one more where they are odd. */
static size_t epochs_of(const struct slide *s, int64_t sweep)
{
    return s->o.sweeps == 1 ? s->o.epochs : (s->o.epochs + (size_t)sweep) / 2;
}

static int sweep(struct slide *s, struct err *e)
{
    struct slide_progress *now = &s->now;

    now->steps = epochs_of(s, s->sweep) * s->data.parts;
    s->first = s->last = 0;
    for (size_t i = 0; i < s->spans; i++, now->window++) {
        now->first = s->span[i].first;
        now->count = s->span[i].count;
        if (leave_before(s, now->first, e) < 0 || enter(s, now->first + now->count, e) < 0 ||
            run_window(s, e) < 0)
            return -1;
    }
    return leave_before(s, s->layers, e);
}

int slide_run(struct slide *s, const struct slide_io *io, struct err *e)
{
    struct slide_progress *now = &s->now;

    s->io = io;
    if (slide_data_start(&s->data, s->o.batch, e) < 0 || run_of(s, e) < 0)
        return -1;
    now->windows = s->spans * (size_t)s->o.sweeps;
    for (size_t i = 0; i < s->spans; i++)
        now->all += s->span[i].count * s->o.epochs * s->data.parts;
    for (s->sweep = 0; s->sweep < s->o.sweeps; s->sweep++)
        if ((s->sweep && slide_data_restart(&s->data, e) < 0) || sweep(s, e) < 0)
            return -1;
    return 0;
}
