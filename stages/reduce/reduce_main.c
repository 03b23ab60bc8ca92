/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-reduce - adds up the calibration rows of each site and emits problems. The core is
 * reduce.c. */
#include <stddef.h>
#include <unistd.h>

#include "../../common/base/log.h"
#include "../../common/base/opt.h"
#include "../../common/base/sig.h"
#include "../../common/base/spill.h"
#include "../../common/base/status.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/link.h"
#include "reduce.h"

struct reduce_main_opts {
    struct reduce_opts core;
    const char *in, *out, *record, *commits;
    int64_t threads, peers, status_fd, holdout;
    uint64_t credit;
    int classes, zstd, quiet, verbose, insecure;
};

static const struct opt table[] = {
    {"in", OPT_TEXT, offsetof(struct reduce_main_opts, in), "EP",
     "where rows come from: @URL, URL, a file, or - for stdin", 0, 0, NULL},
    {"out", OPT_TEXT, offsetof(struct reduce_main_opts, out), "EP", "where problems go", 0, 0,
     NULL},
    {"record", OPT_TEXT, offsetof(struct reduce_main_opts, record), "FILE",
     "also keep the problems in a file, to solve them again later", 0, 0, NULL},
    {"commits", OPT_TEXT, offsetof(struct reduce_main_opts, commits), "EP",
     "where ptq-write announces commits: until then a problem is kept, and given to another solver "
     "when its own is lost",
     0, 0, NULL},
    {"peers", OPT_INT, offsetof(struct reduce_main_opts, peers), "N",
     "forward workers whose end is the end of the stream", 1, 65536, NULL},
    {"holdout", OPT_INT, offsetof(struct reduce_main_opts, holdout), "N",
     "hold every Nth chunk out of the sums and sum it apart, to judge solutions on (0: none)", 0,
     1000000, NULL},
    {"sums", OPT_CHOICE, offsetof(struct reduce_main_opts, core.plain), "WHICH",
     "those with the token weights, or both these and others with every weight 1", 0, 0,
     "weighted|both"},
    {"length-diagonals", OPT_FLAG, offsetof(struct reduce_main_opts, core.length_diagonals), NULL,
     "keep the diagonal of the sums for each sequence length, for ptq report", 0, 0, NULL},
    {"classes", OPT_CHOICE, offsetof(struct reduce_main_opts, classes), "KIND",
     "also keep the sums by length of the sequence, by position in it, or both: ptq-solve then "
     "tells the loss on each class",
     0, 0, "none|length|position|both"},
    {"mem", OPT_SIZE, offsetof(struct reduce_main_opts, core.mem), "BYTES",
     "memory for sums; the rest goes to a spill file", 0, 0, NULL},
    {"tmp", OPT_TEXT, offsetof(struct reduce_main_opts, core.tmp), "DIR",
     "folder of the spill file (TMPDIR, else /var/tmp)", 0, 0, NULL},
    {"threads", OPT_INT, offsetof(struct reduce_main_opts, threads), "N",
     "threads for the sums; never changes the result", 1, 1024, NULL},
    {"credit", OPT_SIZE, offsetof(struct reduce_main_opts, credit), "BYTES",
     "rows that each worker may have under way", 0, 0, NULL},
    {"zstd", OPT_FLAG, offsetof(struct reduce_main_opts, zstd), NULL,
     "compress problems (files and networks)", 0, 0, NULL},
    {"status-fd", OPT_INT, offsetof(struct reduce_main_opts, status_fd), "FD",
     "descriptor for status lines (-1: none)", -1, 1 << 20, NULL},
    {"insecure", OPT_FLAG, offsetof(struct reduce_main_opts, insecure), NULL,
     "allow binding tcp beyond loopback without keys", 0, 0, NULL},
    {"quiet", OPT_FLAG, offsetof(struct reduce_main_opts, quiet), NULL, "warnings and errors only",
     0, 0, NULL},
    {"verbose", OPT_FLAG, offsetof(struct reduce_main_opts, verbose), NULL, "more lines", 0, 0,
     NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

static const struct opt_spec spec = {
    "ptq-reduce",
    "adds up the inputs of each site over all calibration rows; one problem per site",
    "[--in EP] [--out EP] [options]",
    table,
    "The sums are the same bytes for any number of workers and threads on one type of CPU kernel\n"
    "(OPENBLAS_CORETYPE; chosen from the CPU when it is not set). --mem bounds S and D of the site "
    "and of the lanes\n"
    "that are added up; the problem of a site is sent whole, so that it is the least there is.\n"
    "Environment: TMPDIR, OPENBLAS_CORETYPE.",
    0,
    0,
};

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
    return rc < 0 ? -1 : link_send_keyed(o->out, (*m)->id, m, e);
}

static struct link *open_out(const struct reduce_main_opts *o, const char *endpoint, struct err *e)
{
    return link_open(endpoint, LINK_OUT,
                     &(struct link_opts){.role = "reduce",
                                         .peer_role = "solve",
                                         .elastic = 1,
                                         .hold = o->commits != NULL,
                                         .insecure = o->insecure,
                                         .compress = o->zstd ? FRAME_ZSTD : FRAME_RAW},
                     e);
}

/* The record is an ordinary file: its end mark is written like that of any stream. */
static int open_outs(const struct reduce_main_opts *o, struct outs *outs, struct err *e)
{
    if (!(outs->out = open_out(o, o->out, e)))
        return -1;
    if (o->commits &&
        !(outs->commits = link_open(
              o->commits, LINK_IN,
              &(struct link_opts){.role = "reduce", .peer_role = "write", .insecure = o->insecure},
              e)))
        return -1;
    if (!o->record)
        return 0;
    outs->record = open_out(o, o->record, e);
    if (outs->record && link_is_socket(outs->record))
        return err_set(e, ERR_USE, "--record takes the name of a file, not '%s'", o->record);
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

int main(int argc, char **argv)
{
    struct reduce_main_opts o = {.in = "-",
                                 .out = "-",
                                 .peers = 1,
                                 .threads = sysconf(_SC_NPROCESSORS_ONLN),
                                 .status_fd = -1,
                                 .credit = REDUCE_CREDIT,
                                 .core = {.mem = (uint64_t)2 << 30, .tmp = spill_dir()}};
    struct err e = {0};
    struct ins ins = {.o = &o.core};
    struct outs outs = {0};
    struct par *par = NULL;
    int rc = opt_parse(&spec, &o, NULL, argc, argv, &e);

    if (rc > 0)
        return 0;
    log_init("reduce", o.quiet ? LOG_QUIET : o.verbose ? LOG_VERBOSE : LOG_NORMAL);
    if (rc < 0 || blas_start(argv, &e) < 0 || sig_init(&e) < 0) {
        rc = -1;
        goto out;
    }
    rc = -1;
    status_init("reduce", (int)o.status_fd);
    o.core.holdout = (uint64_t)o.holdout;
    o.core.classes = (unsigned)o.classes; /* the choices are in the order of the bits */
    par = par_open((size_t)o.threads, &e);
    ins.in = !par ? NULL
                  : link_open(o.in, LINK_IN,
                              &(struct link_opts){.role = "reduce",
                                                  .peer_role = "forward",
                                                  .peers = (size_t)o.peers,
                                                  .credit_messages = REDUCE_WINDOW,
                                                  .credit_bytes = o.credit,
                                                  .insecure = o.insecure},
                              &e);
    if (!ins.in || open_outs(&o, &outs, &e) < 0 ||
        !(ins.r = reduce_open(&o.core, par, emit, &outs, &e)))
        goto out;
    rc = end_outs(&outs, pump(&ins, &outs, &e), &e);
out:
    if (rc < 0)
        log_fatal(&e);
    status_end();
    reduce_close(&ins.r);
    link_close(&ins.in);
    link_close(&outs.out);
    link_close(&outs.record);
    link_close(&outs.commits);
    par_close(&par);
    return rc < 0 ? err_exit(&e) : 0;
}
