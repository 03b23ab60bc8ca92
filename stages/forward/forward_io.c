/* SPDX-License-Identifier: Apache-2.0 */
/* forward_io - see forward_io.h. */
#include "forward_io.h"

#include <stdlib.h>
#include "../../common/base/log.h"
#include "../../common/base/plural.h"
#include "../../common/base/mem.h"
#include "../../common/base/pause.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/follow.h"
#include "../../common/wire/msg_solution.h"
#include "../../common/wire/pump.h"
#include "forward_begin.h"
#include "forward_opts.h"

#define CHUNKS_CREDIT 1024 /* token ids are small */
/* pixels are not: a chunk of so many bytes or more waits at the sampler until the tower is done
 * with the one before */
#define CHUNKS_BYTES ((size_t)1 << 20)
/* what weights of a site take and more goes back when it is freed; what products of a chunk take
 * again and again does not */
#define WEIGHTS_BLOCK ((size_t)1 << 20)
/* how often a wait for a commit looks whether there is still somebody to wait for */
#define FOLLOW_STEP_MS 500

struct forward_io_links {
    struct link *chunks, *rows, *commits; /* commits: NULL, as follow is, when there are none */
    struct link *images;                  /* rows of images once more; NULL: nobody wants them */
    struct follow *follow;
    struct run_id run; /* of the rows, and so of the commits */
    struct forward *core;
    size_t returned; /* blocks of so many bytes go back to the system when they are freed */
    struct pump chunks_pump;
    size_t enough;      /* chunks for which it rests */
    int placed;         /* another comes in place of this worker, or of its reducer */
    int asked, ended;   /* rows are asked for again; the last of them are sent */
    uint64_t awaited;   /* order of the site whose commit is awaited */
    struct msg *commit; /* it; NULL: not there yet */
    struct msg **early; /* commits of sites that are not awaited yet */
    size_t nearly, early_cap;
};

static int emit(void *ctx, struct msg **m, struct err *e)
{
    struct forward_io_links *l = ctx;

    return link_send(l->rows, m, e);
}

static int emit_images(void *ctx, struct msg **m, struct err *e)
{
    struct forward_io_links *l = ctx;

    return link_send(l->images, m, e);
}

static int take_chunk(void *ctx, struct msg **m, struct err *e)
{
    if (forward_add(((struct forward_io_links *)ctx)->core, m, e) == 0)
        return 0;
    return e->kind == ERR_USE ? PUMP_REFUSED : -1;
}

/* Sites that were ready together are committed in any order: those that are early are kept, those
 * that are not awaited any more are passed over. */
static int take_commit(void *ctx, struct msg **m, struct err *e)
{
    struct forward_io_links *l = ctx;
    struct solution_view v;
    int again =
        solution_read(*m, &v, e) < 0 ? -1 : forward_check_commit(l->core, &v, msg_checksum(*m), e);

    if (again < 0)
        return e->kind == ERR_SYS ? -1 : PUMP_REFUSED;
    if (again || v.order < l->awaited)
        return 0;
    if (v.order == l->awaited)
        l->commit = *m;
    else if (mem_grow((void **)&l->early, &l->early_cap, l->nearly + 1, sizeof *l->early, e) < 0)
        return -1;
    else
        l->early[l->nearly++] = *m;
    *m = NULL;
    return 0;
}

/* The awaited commit may be among those that came early. */
static void take_early(struct forward_io_links *l)
{
    struct solution_view v;

    for (size_t i = 0; i < l->nearly && !l->commit; i++)
        if (solution_read(l->early[i], &v, NULL) == 0 && v.order == l->awaited) {
            l->commit = l->early[i];
            l->early[i] = l->early[--l->nearly];
        }
}

/* Or another reducer is there, which needs what the one before was sent. */
static int has_commit(void *ctx)
{
    struct forward_io_links *l = ctx;

    l->asked = l->asked || link_again(l->rows);
    return l->commit || l->asked;
}

static int commits_ended(void *ctx, struct err *e)
{
    return err_set(e, ERR_DATA, "the writer ended before it committed site %llu",
                   (unsigned long long)((const struct forward_io_links *)ctx)->awaited);
}

static const struct pump_take chunks_take[] = {{LINK_KIND(MSG_CHUNK), take_chunk}, {0, NULL}};
static const struct pump_take commits_take[] = {{LINK_KIND(MSG_COMMIT), take_commit}, {0, NULL}};

/* 1: it came, or rows are asked for again; 0 asked to stop, -1 */
static int commit_by_link(struct forward_io_links *l, struct err *e)
{
    struct pump p = {.ctx = l,
                     .in = {{.link = l->commits, .take = commits_take, .ended = commits_ended}},
                     .out = {l->rows, l->images}, /* their reducers make what is committed */
                     .done = has_commit};

    take_early(l);
    return pump_run(&p, e);
}

static int commit_by_folder(struct forward_io_links *l, struct err *e)
{
    int rc;

    link_flush(l->rows);
    if (l->images)
        link_flush(l->images);
    do {
        rc = follow_next(l->follow, l->awaited, &l->commit, FOLLOW_STEP_MS, e);
        if (rc == 2 && link_output_check(e) != 0)
            return -1;
    } while (rc == 2 && !sig_draining());
    if (rc == 0)
        return err_set(e, ERR_DATA,
                       "the folder that is followed is finished already; use a new output folder");
    if (rc > 0 && rc != 2 && run_id_check(&l->run, l->commit->run, 1, e) < 0)
        return err_prefix(e, "the folder that is followed: '%s'", l->commit->id);
    return rc == 2 ? 0 : rc;
}

static int commit(void *ctx, uint64_t order, struct msg **m, struct err *e)
{
    struct forward_io_links *l = ctx;
    int rc;

    status_update("wait", -1, NULL, order, 0, "sites");
    l->awaited = order;
    rc = l->commits ? commit_by_link(l, e) : commit_by_folder(l, e);
    *m = l->commit;
    l->commit = NULL;
    if (rc > 0 && !*m) {
        l->asked = 0;
        return 1;
    }
    if (rc == 0)
        err_set(e, ERR_DATA, "told to stop while waiting for the commit of site %llu",
                (unsigned long long)order);
    return rc > 0 ? 0 : -1;
}

static int last(void *ctx, struct err *e)
{
    struct forward_io_links *l = ctx;

    l->ended = 1;
    return link_end(l->rows, 1, NULL, e);
}

static void goes_on(void *ctx, size_t chunks, size_t block, const char *site, const struct err *bad)
{
    const struct forward_io_links *l = ctx;
    const struct forward *f = l->core;

    mem_return_freed(l->returned);
    mem_trim();

    if (bad)
        log_warn("a kept state is not used, its chunks go on from one before it or start from "
                 "their tokens: %s",
                 bad->text);
    if (chunks)
        log_info("%zu of %zu chunk%s go on from kept hidden states, the first at block %zu%s%s",
                 chunks, forward_chunks(f), plural_s(forward_chunks(f)), block, site ? ", " : "",
                 site ? site : "");
}

static void progress(void *ctx, size_t block, const char *site, size_t done, size_t chunks)
{
    (void)ctx;
    pause_wait();
    status_update("forward", (int64_t)block, site, done, chunks, "chunks");
}

/* To who starts another should this one be lost: "0,3-5". Of lanes that do not fit nothing. */
static void say_lanes(const struct forward *f)
{
    char text[200];

    if (forward_lanes(f, text, sizeof text) == 0)
        status_lanes(text);
}

static void say_first(const struct first_found *x)
{
    if (x->energy > FIRST_MUCH)
        log_info("the first token of a row holds %.3g%% of what comes into %s of block %llu, with "
                 "%.2g%% of the weight: at 4 bits and above such a model loses less with "
                 "--first-weight 16; ptq run best tries it",
                 100 * x->energy, x->site, (unsigned long long)x->block, 100 * x->weight);
}

/* All chunks have come. */
static void say_chunks(const struct forward *f)
{
    log_info("%zu chunk%s, %llu tokens", forward_chunks(f), plural_s(forward_chunks(f)),
             (unsigned long long)forward_tokens(f));
    if (forward_one_modality(f))
        log_warn("--modality-weights: all tokens of the chunks here are of one modality: "
                 "weighing them changes nothing");
    status_tokens(forward_tokens(f));
    say_lanes(f);
}

static int has_enough(void *ctx)
{
    const struct forward_io_links *l = ctx;

    return forward_chunks(l->core) >= l->enough;
}

/* Until so many chunks are here, or there are no more. 1; 0: asked to stop; -1. */
static int take_chunks(struct forward_io_links *l, size_t enough, struct err *e)
{
    int rc;

    l->enough = enough;
    rc = pump_run(&l->chunks_pump, e);
    if (rc == 0)
        err_set(e, ERR_DATA, "told to stop before all chunks had come");
    return rc;
}

static int more(void *ctx, struct err *e)
{
    struct forward_io_links *l = ctx;

    if (take_chunks(l, forward_chunks(l->core) + 1, e) <= 0)
        return -1;
    if (has_enough(l))
        return 1;
    say_chunks(l->core);
    return 0;
}

static int run_core(struct forward_io_links *l, int all, struct err *e)
{
    struct forward_io io = {.ctx = l,
                            .more = all ? NULL : more,
                            .emit = emit,
                            .emit_images = emit_images,
                            .commit = commit,
                            .last = l->placed ? last : NULL,
                            .goes_on = goes_on,
                            .progress = progress};
    struct forward *f = l->core;
    int rc;

    if (all)
        say_chunks(f);
    rc = forward_run(f, &io, e);
    if (rc == 0)
        say_first(forward_first(f));
    if (forward_uniform(f) > 0)
        log_info("attention weights: %llu time%s a sequence of a block had nothing to tell its "
                 "tokens apart, they kept equal weights",
                 (unsigned long long)forward_uniform(f), plural_s(forward_uniform(f)));
    if (forward_zero(f) > 0)
        log_warn("token weights: %llu time%s a sequence had weights of 0 only, its tokens count "
                 "alike",
                 (unsigned long long)forward_zero(f), plural_s(forward_zero(f)));
    return rc;
}

/* It begins with the first chunk where that can be, else when all have come: they are token ids,
 * small beside everything that follows. The writer's end mark says that it has taken the last
 * commit's confirmation; without it this worker would leave a peer waiting. A worker that got no
 * chunks also has all commits before it. */
static int serve(struct forward_io_links *l, struct err *e)
{
    struct pump p = {.ctx = l,
                     .in = {{.link = l->chunks, .take = chunks_take}},
                     .out = {l->rows, l->images},
                     .done = has_enough};
    int rc, all;

    l->chunks_pump = p;
    rc = take_chunks(l, 1, e);
    all = !forward_may_begin(l->core);
    if (rc > 0 && all)
        rc = take_chunks(l, SIZE_MAX, e);
    if (rc > 0 && forward_chunks(l->core) > 0 && run_core(l, all, e) < 0)
        rc = -1;
    if (l->ended)
        p.out[0] = NULL;
    if (pump_end(&p, rc, e) < 0)
        return -1;
    status_lanes("");
    rc = pump_drop(l->commits, e);
    if (rc == 0)
        err_set(e, ERR_DATA, "told to stop before the writer's end");
    return rc > 0 ? 0 : -1;
}

/* What was opened is the caller's to close, also on error. */
static int open_links(struct forward_io_links *l, const struct stage *s, struct err *e)
{
    const struct forward_command *c = s->own;
    struct link_opts o = {
        .name = "forward", .lease = &c->lease, .keys = s->keys, .insecure = s->insecure};

    o.takes = pump_kinds(chunks_take);
    o.credit_messages = CHUNKS_CREDIT;
    o.credit_bytes = CHUNKS_BYTES;
    if (!(l->chunks = link_open(s->in, LINK_IN, &o, e)))
        return -1;
    o.run_id = &l->run;
    o.takes = o.reads = pump_kinds(commits_take);
    o.credit_messages = 0;
    o.credit_bytes = 0;
    o.credit_late = 1;
    if (c->commits && !(l->commits = link_open(c->commits, LINK_IN, &o, e)))
        return -1;
    if (c->follow && !(l->follow = follow_open(c->follow, e)))
        return -1;
    l->placed = l->commits && c->lease.place[0];
    o.remakes = l->placed;
    o.sends = LINK_KIND(MSG_ACTS) | LINK_KIND(MSG_WEIGHTS);
    o.send_late = 1;
    o.compress = s->zstd ? FRAME_ZSTD : FRAME_RAW;
    if (!(l->rows = link_open(s->out, LINK_OUT, &o, e)))
        return -1;
    o.remakes = 0;
    o.sends = LINK_KIND(MSG_ACTS);
    return !c->images_out || (l->images = link_open(c->images_out, LINK_OUT, &o, e)) ? 0 : -1;
}

int forward_io_run(struct stage *s, struct err *e)
{
    const struct forward_command *c = s->own;
    struct forward_io_links l = {.run = RUN_ID_INIT};
    struct par *par = par_open((size_t)s->threads, e);
    struct model *model = par && blas_room((size_t)s->threads, 0, e) == 0
                              ? model_open_for(c->model,
                                               &(struct model_use){.act_bits = c->core.act_bits,
                                                                   .tower = c->core.tower,
                                                                   .qkv_bits = c->core.qkv_bits,
                                                                   .products = c->core.products},
                                               par, e)
                              : NULL;
    int rc = -1;

    if (model) { /* pixels of one chunk after the other; without them weights of one site */
        l.returned = model_config(model)->vision ? MEM_BLOCK : WEIGHTS_BLOCK;
        if (!c->core.from_site) /* else when kept states are in, which take the same room each */
            mem_return_freed(l.returned);
    }
    l.core = model ? forward_open(model, &c->core, e) : NULL;
    if (l.core && open_links(&l, s, e) == 0)
        rc = serve(&l, e);
    if (rc < 0)
        stage_fail(s, e);
    link_close(&l.chunks);
    link_close(&l.rows);
    link_close(&l.images);
    link_close(&l.commits);
    follow_close(&l.follow);
    for (size_t i = 0; i < l.nearly; i++)
        msg_destroy(&l.early[i]);
    free(l.early);
    forward_close(&l.core);
    model_close(&model);
    par_close(&par);
    return rc;
}
