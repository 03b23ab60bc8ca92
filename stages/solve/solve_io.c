/* SPDX-License-Identifier: Apache-2.0 */
/* solve_io - see solve_io.h. */
#include "solve_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/base/plural.h"
#include "../../common/base/status.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/msg_problem.h"
#include "../../common/wire/pump.h"
#include "solve.h"
#include "solve_opts.h"

/* Overrides of a run: which of them have hit a linear so far. */
struct patterns {
    const struct overrides *lines;
    unsigned char *hit; /* [lines->count] */
    int split_said;
};

/* Sites of which there was something to warn: the first of a kind is named at once, the others
 * are counted. */
struct warned {
    uint64_t thin, fallback, raised, blind, starved;
    double least;            /* of the coverages */
    char least_site[MSG_ID]; /* whose it is */
};

struct solve_io {
    struct warned warned;
    const struct solve_command *command;
    struct patterns patterns;
    struct par *par;
    struct run_id run; /* of both links */
    struct link *problems, *solutions;
    uint64_t done, sites;
    uint64_t *digest; /* [sites] checksum of the problem of each order; 0: none came yet */
};

static void patterns_note(struct patterns *p, const struct problem_view *v)
{
    for (size_t i = 0; i < p->lines->count; i++)
        for (size_t k = 0; k < v->nlinears && !p->hit[i]; k++)
            p->hit[i] = (unsigned char)override_hits(&p->lines->at[i], (size_t)v->block, v->site,
                                                     v->linear[k]->name);
}

/* After all sites of a model: a pattern that hit none was misspelled. */
static int patterns_check(const struct patterns *p, struct err *e)
{
    for (size_t i = 0; i < p->lines->count; i++)
        if (!p->hit[i])
            return err_set(e, ERR_USE, "%s: '%s' hit no linear of the model", p->lines->at[i].from,
                           p->lines->at[i].pattern);
    return 0;
}

static void tell_split(struct patterns *p, const char *id)
{
    if (!p->split_said++)
        log_warn("%s: its linears now differ in bits, group or grid: vLLM and SGLang, which fuse "
                 "them, cannot load that",
                 id);
}

/* Whether it goes by the Hessian; "mixed" may. */
static int takes_sums(const char *solver)
{
    return !solver_find(solver) || (contender_needs(solver) & SOLVER_NEEDS_H);
}

static void warn(struct warned *w, const char *id, const struct solve_note *n)
{
    if (n->coverage < 2.0 && takes_sums(n->solver)) {
        if (!w->thin++)
            log_warn("%s: only %.2f calibration rows per input channel: more --tokens for the "
                     "sampler make more",
                     id, n->coverage);
        if (w->thin == 1 || n->coverage < w->least) {
            w->least = n->coverage;
            snprintf(w->least_site, sizeof w->least_site, "%s", id);
        }
    }
    if (n->starved && !w->starved++)
        log_warn("%s: its router sent %llu row%s there, too few: %s (--starved, --starved-below)",
                 id, (unsigned long long)n->routed, plural_s(n->routed),
                 strcmp(n->starved, "rtn") == 0 ? "rounded to nearest"
                                                : "solved with the sums of all tokens");
    if (n->fallback && !n->starved && !w->fallback++)
        log_warn("%s: fallback %s after %d factorisation%s", id, n->fallback, n->attempts,
                 plural_s((uint64_t)n->attempts));
    if (n->raised && !w->raised++)
        log_warn("%s: %zu scale%s too small for the type: raised; these groups are 0 now", id,
                 n->raised, plural_s(n->raised));
    if (n->blind && !w->blind++)
        log_warn("%s: no held-out sums: solvers were judged on the sums they worked with (see "
                 "ptq-reduce --holdout)",
                 id);
}

/* How often, where it was not the first alone. */
static void warn_counts(const struct warned *w)
{
    if (w->thin > 1)
        log_warn("%llu sites in all have fewer than 2 calibration rows per input channel, %s the "
                 "fewest: %.2f",
                 (unsigned long long)w->thin, w->least_site, w->least);
    if (w->fallback > 1)
        log_warn("%llu sites in all took a fallback", (unsigned long long)w->fallback);
    if (w->starved > 1)
        log_warn("%llu sites in all are of experts that too few rows were sent to",
                 (unsigned long long)w->starved);
    if (w->raised > 1)
        log_warn("%llu sites in all had scales too small for their type",
                 (unsigned long long)w->raised);
    if (w->blind > 1)
        log_warn("%llu sites in all had no held-out sums", (unsigned long long)w->blind);
}

static void tell(struct warned *w, const char *id, const struct solve_note *n)
{
    if (n->kept && !*n->worst_name) {
        log_detail("%s: kept as it is", id);
        return;
    }
    warn(w, id, n);
    log_detail("%s: %s, damp %g, %zu dead input%s, worst relative loss %.3g (%s)", id, n->solver,
               n->damp, n->dead, plural_s(n->dead), n->worst, n->worst_name);
}

/* All problems of a stream are of one run of so many sites. One may come again, when another solver
 * was lost or slow, but not with other contents. */
static int stream_check(struct solve_io *io, const struct msg *m, const struct problem_view *v,
                        struct err *e)
{
    const uint64_t sum = msg_checksum(m);

    if (!io->digest && !(io->digest = mem_array((size_t)v->sites, sizeof *io->digest, e)))
        return -1;
    io->sites = io->sites ? io->sites : v->sites;
    if (v->sites != io->sites)
        return err_set(e, ERR_USE, "%s: field 'sites' is %llu, but earlier problems said %llu",
                       m->id, (unsigned long long)v->sites, (unsigned long long)io->sites);
    if (io->digest[v->order] && io->digest[v->order] != sum)
        return err_set(e, ERR_USE,
                       "%s: field 'order' is %llu, and another problem of this number came before",
                       m->id, (unsigned long long)v->order);
    io->digest[v->order] = sum;
    return 0;
}

static int take_problem(void *ctx, struct msg **m, struct err *e)
{
    struct solve_io *io = ctx;
    const struct opt_texts *only = &io->command->only;
    struct problem_view v;
    struct solve_note note;

    if (!link_accepts(only->text, only->count, (*m)->id))
        return err_set(e, ERR_USE, "%s does not fit --only; only sockets sort problems", (*m)->id);
    if (problem_read(*m, &v, e) < 0 || stream_check(io, *m, &v, e) < 0)
        return e->kind == ERR_SYS ? -1 : PUMP_REFUSED;
    patterns_note(&io->patterns, &v);
    status_update("solve", (int64_t)v.block, v.site, io->done, v.sites, "sites");
    *m = solve_problem(&io->command->core, m, io->par, &note, e);
    if (!*m)
        return -1;
    tell(&io->warned, (*m)->id, &note);
    if (note.split)
        tell_split(&io->patterns, (*m)->id);
    if (link_send(io->solutions, m, e) < 0)
        return -1;
    io->done++;
    return 0;
}

static const struct pump_take take[] = {{LINK_KIND(MSG_PROBLEM), take_problem}, {0, NULL}};

/* Both ends; what was opened is the caller's to close, also on error. */
static int open_links(struct solve_io *io, const struct stage *s, struct err *e)
{
    const struct solve_command *c = s->own;

    io->problems = link_open(s->in, LINK_IN,
                             &(struct link_opts){.name = "solve",
                                                 .takes = pump_kinds(take),
                                                 .run_id = &io->run,
                                                 .peers = (size_t)c->peers,
                                                 .credit_messages = 2,
                                                 .keys = s->keys,
                                                 .insecure = s->insecure,
                                                 .accepts = c->only.text,
                                                 .naccepts = c->only.count},
                             e);
    io->solutions =
        !io->problems ? NULL
                      : link_open(s->out, LINK_OUT,
                                  &(struct link_opts){.name = "solve",
                                                      .sends = LINK_KIND(MSG_SOLUTION),
                                                      .run_id = &io->run,
                                                      .keys = s->keys,
                                                      .insecure = s->insecure,
                                                      .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW},
                                  e);
    return io->solutions ? 0 : -1;
}

static int serve(struct solve_io *io, struct err *e)
{
    struct pump p = {.ctx = io,
                     .in = {{.link = io->problems, .take = take}},
                     .out = {io->solutions},
                     .stop_is_fine = 1};
    int rc = pump_join(&p, e);

    if (rc > 0)
        rc = pump_run(&p, e);
    if (rc >= 0 && io->done && io->done == io->sites && patterns_check(&io->patterns, e) < 0)
        rc = -1;
    return pump_end(&p, rc, e);
}

int solve_io_run(struct stage *s, struct err *e)
{
    const struct solve_command *c = s->own;
    struct solve_io io = {.command = c, .patterns.lines = &c->lines, .run = RUN_ID_INIT};
    int rc = -1;

    mem_return_freed(MEM_BLOCK); /* squares of one site after the other */
    io.patterns.hit = mem_array(c->lines.count + 1, 1, e);
    if (io.patterns.hit && (io.par = par_open((size_t)s->threads, e)) &&
        blas_room((size_t)s->threads, 1, e) == 0 && open_links(&io, s, e) == 0)
        rc = serve(&io, e);
    warn_counts(&io.warned);
    if (rc < 0)
        stage_fail(s, e);
    link_close(&io.problems);
    link_close(&io.solutions);
    par_close(&io.par);
    free(io.patterns.hit);
    free(io.digest);
    return rc;
}
