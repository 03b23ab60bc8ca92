/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_io - see reduce_io.h. */
#include "reduce_io.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/bytes.h"
#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/base/status.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/msg_check.h"
#include "../../common/wire/pump.h"
#include "reduce_opts.h"

#define OVERDUE_TIMES 10
#define OVERDUE_S 120.0
#define OVERDUE_FIRST_S 1800.0 /* before the first commit says how fast solvers are */

struct reduce_io {
    const struct reduce_command *command;
    struct run_id run; /* of all links */
    struct reduce *core;
    struct link *rows, *commits;    /* commits: NULL when the writer's are not listened to */
    struct link *problems, *record; /* record: NULL, or a file */
    int64_t sites;                  /* as commits say; 0: none came */
    unsigned char *have;            /* [sites] of the commits: 1, it came */
    uint64_t committed;             /* of them */
    double work, pace;              /* most of a problem so far; most seconds for a unit of it */
    uint64_t held, spilled;         /* bytes noted so far */
    int complete;                   /* all rows are in */
    int unsent;                     /* what came of them could not be sent: not their fault */
    int sink;                       /* said */
};

/* What solving takes, but for a factor: K^3 for the Hessian, K^2 N for the linears. */
static double work_of(const struct msg *m)
{
    const struct json *linears = json_get(m->meta, "linears");
    int64_t K = 0, rows, all = 0;

    json_as_int(json_get(m->meta, "K"), &K);
    for (size_t i = 0; i < json_count(linears); i++)
        all += json_as_int(json_get(json_at(linears, i), "rows"), &rows) == 0 ? rows : 0;
    return (double)K * (double)K * ((double)K + (double)all);
}

/* How long a solver may have a problem in hand: as the option says, or so many times what the
 * slowest so far would take for the largest. */
static void deadline_set(struct reduce_io *io)
{
    const double derived = OVERDUE_TIMES * io->pace * io->work, given = io->command->overdue;

    link_overdue(io->problems, given > 0                             ? given
                               : io->pace > 0 && derived > OVERDUE_S ? derived
                               : io->pace > 0                        ? OVERDUE_S
                                                                     : OVERDUE_FIRST_S);
}

static int emit(void *ctx, struct msg **m, struct err *e)
{
    struct reduce_io *io = ctx;
    struct msg *copy = io->record ? msg_borrow(*m, e) : NULL;
    int rc = !io->record ? 0 : copy ? link_send(io->record, &copy, e) : -1;

    if (rc < 0)
        err_prefix(e, "--record %s", io->command->record);
    msg_destroy(&copy);
    io->work = fmax(io->work, work_of(*m));
    deadline_set(io);
    rc = rc < 0 ? -1 : link_send(io->problems, m, e);
    io->unsent = rc < 0;
    return rc;
}

/* Says once that sums are in a file, and whenever a problem beats all before it in what it takes
 * beyond --mem. */
static void note_memory(struct reduce_io *io)
{
    const struct reduce_opts *o = &io->command->core;
    char a[BYTES_TEXT], b[BYTES_TEXT];
    uint64_t held, spilled;

    reduce_memory(io->core, &held, &spilled);
    if (spilled && !io->spilled)
        log_info("sums beyond --mem lie in a file in '%s'", o->tmp);
    if (held > o->mem && held > io->held)
        log_warn("the sums of one problem take %s of memory, --mem is %s: a problem is sent whole",
                 bytes_text((double)held, a), bytes_text((double)o->mem, b));
    io->held = held;
    io->spilled = spilled;
}

/* Once: it is so in every later site too, or in many. */
static void note_sink(struct reduce_io *io)
{
    const struct reduce_sink *x = io->sink ? NULL : reduce_sink(io->core);

    if (!x)
        return;
    io->sink = 1;
    log_info("%s: the first token of each row holds %.0f%% of the energy: --first-weight sets what "
             "it counts (ptq-sample(1))",
             x->name, 100 * x->share);
}

/* On a socket the sender has sorted already. */
static int check_share(const struct reduce_io *io, const struct msg *m, struct err *e)
{
    const struct opt_texts *only = &io->command->only;
    char key[MSG_ID];

    snprintf(key, sizeof key, "%.*s", (int)strcspn(m->id, "/"), m->id);
    return link_accepts(only->text, only->count, key)
               ? 0
               : err_set(e, ERR_USE, "%s does not fit --only; only sockets sort rows", m->id);
}

static int take_rows(void *ctx, struct msg **m, struct err *e)
{
    struct reduce_io *io = ctx;
    uint64_t done, sites;
    int rc = check_share(io, *m, e) < 0 ? -1 : reduce_push(io->core, m, e);

    note_memory(io);
    note_sink(io);
    reduce_progress(io->core, &done, &sites);
    if (io->command->core.partial)
        status_update("reduce", -1, NULL, done, 0, "lanes");
    else
        status_update("reduce", -1, NULL, done, sites, "sites");
    return rc < 0 && e->kind == ERR_USE && !io->unsent ? PUMP_REFUSED : rc;
}

static int rows_ended(void *ctx, struct err *e)
{
    struct reduce_io *io = ctx;

    io->complete = 1;
    return reduce_finish(io->core, e);
}

/* 1: it is the first commit of its site; 0: it came before, from a writer that was lost; -1 */
static int is_new(struct reduce_io *io, const struct msg *m, struct err *e)
{
    int64_t order, sites;

    if (json_need_int(m->meta, "sites", 1, CHECK_SITES_MAX, &sites, m->id, e) < 0 ||
        json_need_int(m->meta, "order", 0, sites - 1, &order, m->id, e) < 0 ||
        (!io->have && !(io->have = mem_array((size_t)sites, 1, e))))
        return -1;
    io->sites = io->sites ? io->sites : sites;
    if (io->sites != sites)
        return err_set(e, ERR_USE, "%s: field 'sites' is %lld, but earlier commits said %lld",
                       m->id, (long long)sites, (long long)io->sites);
    if (io->have[order])
        return 0;
    io->have[order] = 1;
    return io->command->lease.epoch &&
                   reduce_skip(io->core, m, (uint64_t)order, (uint64_t)sites, e) < 0
               ? -1
               : 1;
}

/* The problem of a committed site is kept no longer. */
static int take_commit(void *ctx, struct msg **m, struct err *e)
{
    struct reduce_io *io = ctx;
    double seconds = 0, work = work_of(*m);
    const int fresh = is_new(io, *m, e);

    if (fresh <= 0)
        return fresh;
    io->committed++;
    if (json_as_real(json_get((*m)->meta, "seconds"), &seconds) == 0 && work > 0)
        io->pace = fmax(io->pace, seconds / work);
    deadline_set(io);
    return link_done(io->problems, (*m)->id, e);
}

static int all_committed(const struct reduce_io *io)
{
    uint64_t done, sites;

    reduce_progress(io->core, &done, &sites);
    return !io->commits || io->committed >= sites;
}

static int commits_ended(void *ctx, struct err *e)
{
    uint64_t done, sites;

    reduce_progress(((struct reduce_io *)ctx)->core, &done, &sites);
    return (sites || ((struct reduce_io *)ctx)->command->core.from_site) && all_committed(ctx)
               ? 0
               : err_set(e, ERR_DATA,
                         "the writer ended its commits before all sites were committed");
}

/* All rows are in and, with commits, all sites are committed. */
static int is_done(void *ctx)
{
    const struct reduce_io *io = ctx;

    return io->complete && all_committed(io);
}

static const struct pump_take rows_take[] = {
    {LINK_KIND(MSG_ACTS) | LINK_KIND(MSG_WEIGHTS) | LINK_KIND(MSG_PARTIAL), take_rows}, {0, NULL}};
static const struct pump_take lanes_take[] = {/* with --partial */
                                              {LINK_KIND(MSG_ACTS) | LINK_KIND(MSG_WEIGHTS),
                                               take_rows},
                                              {0, NULL}};

static const struct pump_take *takes_of(const struct reduce_command *c)
{
    return c->core.partial ? lanes_take : rows_take;
}

static const struct pump_take commits_take[] = {{LINK_KIND(MSG_COMMIT), take_commit}, {0, NULL}};

static unsigned sends_of(const struct reduce_command *c)
{
    return c->core.partial ? LINK_KIND(MSG_PARTIAL) | LINK_KIND(MSG_WEIGHTS)
                           : LINK_KIND(MSG_PROBLEM);
}

static struct link *open_out(struct reduce_io *io, const struct stage *s, const char *endpoint,
                             struct err *e)
{
    const struct reduce_command *c = s->own;

    return link_open(endpoint, LINK_OUT,
                     &(struct link_opts){.name = "reduce",
                                         .sends = sends_of(c),
                                         .run_id = &io->run,
                                         .elastic = !c->core.partial,
                                         .hold = c->commits != NULL,
                                         .lease = &c->lease,
                                         .keys = s->keys,
                                         .insecure = s->insecure,
                                         .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW},
                     e);
}

static struct link *open_rows(struct reduce_io *io, const struct stage *s, struct err *e)
{
    const struct reduce_command *c = s->own;

    return link_open(s->in, LINK_IN,
                     &(struct link_opts){.name = "reduce",
                                         .takes = pump_kinds(takes_of(c)),
                                         .reads = LINK_KIND(MSG_ACTS) | LINK_KIND(MSG_WEIGHTS),
                                         .run_id = &io->run,
                                         .lease = &c->lease,
                                         .accepts = c->only.text,
                                         .naccepts = c->only.count,
                                         .peers = (size_t)c->peers + (c->apart != 0),
                                         .credit_messages = REDUCE_WINDOW,
                                         .credit_small = REDUCE_SMALL,
                                         .credit_bytes = c->credit,
                                         .credit_late = 1,
                                         .keys = s->keys,
                                         .insecure = s->insecure},
                     e);
}

/* What was opened is the caller's to close, also on error. The record is an ordinary file: its end
 * mark is written like that of any stream. */
static int open_links(struct reduce_io *io, const struct stage *s, struct err *e)
{
    const struct reduce_command *c = s->own;

    if (!(io->rows = open_rows(io, s, e)) || !(io->problems = open_out(io, s, s->out, e)))
        return -1;
    if (c->commits &&
        !(io->commits = link_open(c->commits, LINK_IN,
                                  &(struct link_opts){.name = "reduce",
                                                      .takes = pump_kinds(commits_take),
                                                      .reads = pump_kinds(commits_take),
                                                      .credit_late = 1,
                                                      .run_id = &io->run,
                                                      .lease = &c->lease,
                                                      .keys = s->keys,
                                                      .insecure = s->insecure},
                                  e)))
        return -1;
    if (!c->record)
        return 0;
    if (link_names_socket(c->record))
        return err_set(e, ERR_USE, "--record takes the name of a file, not '%s'", c->record);
    return (io->record = open_out(io, s, c->record, e)) ? 0 : -1;
}

int reduce_io_run(struct stage *s, struct err *e)
{
    const struct reduce_command *c = s->own;
    struct reduce_io io = {.command = c, .run = RUN_ID_INIT};
    struct par *par = par_open((size_t)s->threads, e);
    int rc = -1;

    if (par && blas_room((size_t)s->threads, 0, e) == 0 && open_links(&io, s, e) == 0 &&
        (io.core = reduce_open(&c->core, par, emit, &io, e))) {
        struct pump p = {.ctx = &io,
                         .in = {{.link = io.commits, .take = commits_take, .ended = commits_ended},
                                {.link = io.rows, .take = takes_of(c), .ended = rows_ended}},
                         .out = {io.record, io.problems},
                         .done = is_done};

        rc = pump_end(&p, pump_run(&p, e), e);
        /* not before the writer's own end: it would miss one that takes its commits */
        if (rc == 0 && pump_drop(io.commits, e) < 0)
            rc = -1;
    }
    reduce_close(&io.core);
    if (rc < 0)
        stage_fail(s, e);
    link_close(&io.rows);
    link_close(&io.problems);
    link_close(&io.record);
    link_close(&io.commits);
    par_close(&par);
    free(io.have);
    return rc;
}
