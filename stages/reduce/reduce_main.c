/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-reduce - adds up the calibration rows of each site and emits problems. The core is
 * reduce.c. */
#include "../../common/base/log.h"
#include "../../common/base/status.h"
#include "../../common/wire/link.h"
#include "reduce_opts.h"

struct outs {
    /* record: NULL, or a file; commits: NULL, or from the writer */
    struct link *out, *record, *commits;
    uint64_t committed;
};

static int emit(void *ctx, struct msg **m, struct err *e)
{
    struct outs *o = ctx;
    struct msg *copy = o->record ? msg_borrow(*m, e) : NULL;
    int rc = !o->record ? 0 : copy ? link_send(o->record, &copy, e) : -1;

    msg_destroy(&copy);
    return rc < 0 ? -1 : link_send(o->out, m, e);
}

static struct link *open_out(const struct stage *s, const char *endpoint, struct err *e)
{
    const struct reduce_command *c = s->own;

    return link_open(endpoint, LINK_OUT,
                     &(struct link_opts){.name = "reduce",
                                         .sends = LINK_KIND(MSG_PROBLEM),
                                         .elastic = 1,
                                         .hold = c->commits != NULL,
                                         .insecure = s->insecure,
                                         .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW},
                     e);
}

/* The record is an ordinary file: its end mark is written like that of any stream. */
static int open_outs(const struct stage *s, struct outs *outs, struct err *e)
{
    const struct reduce_command *c = s->own;

    if (!(outs->out = open_out(s, s->out, e)))
        return -1;
    if (c->commits &&
        !(outs->commits = link_open(c->commits, LINK_IN,
                                    &(struct link_opts){.name = "reduce",
                                                        .takes = LINK_KIND(MSG_COMMIT),
                                                        .insecure = s->insecure},
                                    e)))
        return -1;
    if (!c->record)
        return 0;
    outs->record = open_out(s, c->record, e);
    if (outs->record && link_is_socket(outs->record))
        return err_set(e, ERR_USE, "--record takes the name of a file, not '%s'", c->record);
    return outs->record ? 0 : -1;
}

static int end_outs(struct outs *o, int rc, struct err *e)
{
    int ok = rc == 0;

    if (o->record && link_end(o->record, ok, ok ? NULL : e->text, ok ? e : NULL) < 0)
        rc = -1;
    return link_end(o->out, ok, ok ? NULL : e->text, ok ? e : NULL) < 0 ? -1 : rc;
}

struct ins {
    struct link *in;
    struct reduce *r;
    const struct reduce_opts *o;
    uint64_t held, spilled; /* noted so far */
    int over;
};

/* Says once that sums are in a file, and whenever a problem beats all before it in what it takes
 * beyond --mem. */
static void note_memory(struct ins *i)
{
    uint64_t held, spilled;

    reduce_memory(i->r, &held, &spilled);
    if (spilled && !i->spilled)
        log_info("sums beyond --mem lie in a file in '%s'", i->o->tmp);
    if (held > i->o->mem && held > i->held)
        log_warn("the sums of one problem take %.4g MiB of memory, --mem is %.4g MiB: a problem is "
                 "sent whole",
                 (double)held / (1 << 20), (double)i->o->mem / (1 << 20));
    i->held = held;
    i->spilled = spilled;
}

static int take_rows(struct ins *i, struct err *e)
{
    struct msg *m = NULL;
    uint64_t done, sites;
    int rc = link_recv(i->in, &m, -1, e);

    if (rc == 1) {
        rc = reduce_push(i->r, &m, e);
        note_memory(i);
        reduce_progress(i->r, &done, &sites);
        status_update("reduce", -1, NULL, done, sites, "sites");
        return rc;
    }
    i->over = rc == 0;
    return rc == 0 ? reduce_finish(i->r, e) : rc < 0 ? -1 : 0;
}

/* The problem of a committed site is kept no longer. */
static int take_commit(struct outs *o, struct err *e)
{
    struct msg *m = NULL;
    int rc = link_recv(o->commits, &m, -1, e);

    if (rc == 0)
        return err_set(e, ERR_DATA, "the writer ended its commits before all sites were committed");
    if (rc == 1 && m->kind != MSG_COMMIT)
        rc = err_set(e, ERR_USE, "message '%s' is a %s; commits were expected", m->id,
                     msg_kind_name(m->kind));
    if (rc == 1) {
        o->committed++;
        rc = link_done(o->out, m->id, e);
    }
    msg_destroy(&m);
    return rc < 0 ? -1 : 0;
}

/* Until all rows are in and, with commits, all sites are committed. */
static int pump(struct ins *i, struct outs *o, struct err *e)
{
    uint64_t done, sites;

    for (;;) {
        struct link *wait[2];
        int ready[2] = {0}, n = 0, rc, rows = -1, commits = -1;

        reduce_progress(i->r, &done, &sites);
        if (i->over && (!o->commits || o->committed >= sites))
            return 0;
        if (!i->over)
            wait[rows = n++] = i->in;
        if (o->commits && (!sites || o->committed < sites))
            wait[commits = n++] = o->commits;
        if ((rc = link_poll(wait, (size_t)n, ready, -1, e)) < 0)
            return -1;
        if (rc == 0)
            return err_set(e, ERR_DATA, "told to stop before the stream ended");
        if (commits >= 0 && ready[commits] && take_commit(o, e) < 0)
            return -1;
        if (rows >= 0 && ready[rows] && take_rows(i, e) < 0)
            return -1;
    }
}

static struct link *open_in(const struct stage *s, struct err *e)
{
    const struct reduce_command *c = s->own;

    return link_open(s->in, LINK_IN,
                     &(struct link_opts){.name = "reduce",
                                         .takes = LINK_KIND(MSG_ACTS) | LINK_KIND(MSG_WEIGHTS),
                                         .peers = (size_t)c->peers,
                                         .credit_messages = REDUCE_WINDOW,
                                         .credit_bytes = c->credit,
                                         .insecure = s->insecure},
                     e);
}

static int run(struct stage *s, struct err *e)
{
    const struct reduce_command *c = s->own;
    struct ins ins = {.o = &c->core};
    struct outs outs = {0};
    struct par *par = par_open((size_t)s->threads, e);
    int rc = -1;

    ins.in = par ? open_in(s, e) : NULL;
    if (ins.in && open_outs(s, &outs, e) == 0 &&
        (ins.r = reduce_open(&c->core, par, emit, &outs, e)))
        rc = end_outs(&outs, pump(&ins, &outs, e), e);
    reduce_close(&ins.r);
    link_close(&ins.in);
    link_close(&outs.out);
    link_close(&outs.record);
    link_close(&outs.commits);
    par_close(&par);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&reduce_spec, run, argc, argv);
}
