/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-write - makes solutions durable, broadcasts them as commits, and writes the checkpoint.
 * The core is write.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/wire/link.h"
#include "write_opts.h"

#define WORST 10
#define WATCH_MS 1000

/* Commits that were sent, by their number on the link, for peers that come late. */
struct sent {
    const struct writer *writer;
    size_t *order;
};

static int replay(void *ctx, uint64_t i, struct msg **m, struct err *e)
{
    const struct sent *s = ctx;

    return write_commit(s->writer, s->order[i], m, e);
}

/* Sockets: solvers come and go, but once those who take commits have all gone nobody will send
 * the rest. */
static int abandoned(const struct link *in, const struct link *commits, int *came, struct err *e)
{
    struct link_stats solvers, takers = {0};

    if (!commits)
        return 0;
    link_stats(in, &solvers);
    link_stats(commits, &takers);
    *came = *came || takers.peers;
    if (!*came || takers.peers || solvers.peers)
        return 0;
    return err_set(e, ERR_DATA,
                   "incomplete: neither a solver nor anyone who takes commits is left");
}

/* The next solution; elastic links do not end by themselves. */
static int next_solution(struct link *in, const struct link *commits, int *came, struct msg **m,
                         struct err *e)
{
    int rc;

    while ((rc = link_recv(in, m, link_is_socket(in) ? WATCH_MS : -1, e)) == 2 && !sig_draining())
        if (abandoned(in, commits, came, e))
            return -1;
    return rc;
}

/* Solutions until all sites are there (from a pipe or file also the end mark): 1, 0 when this
 * process is asked to stop. */
static int pump(struct writer *w, struct link *in, struct link *commits, struct sent *sent,
                struct err *e)
{
    const struct plan *p = write_plan(w);
    struct msg *m = NULL;
    int rc = 0, came = 0;

    while (!sig_draining() && !(link_is_socket(in) && p->done == p->sites) &&
           (rc = next_solution(in, commits, &came, &m, e)) == 1) {
        char id[MSG_ID];
        size_t number = p->done;
        int64_t order = -1;

        memcpy(id, m->id, sizeof id);
        json_as_int(json_get(m->meta, "order"), &order);
        if ((rc = write_solution(w, &m, e)) < 0)
            return -1;
        if (rc == 0) {
            log_warn("%s came twice; the first is kept", id);
            continue;
        }
        sent->order[number] = (size_t)order;
        log_detail("%s committed (%zu of %zu)", id, p->done, p->sites);
        status_update("write", (int64_t)p->site[order].block, p->site[order].site->name, p->done,
                      p->sites, "sites");
        rc = commits ? link_send(commits, &m, e) : 0;
        msg_destroy(&m);
        if (rc)
            return -1;
    }
    if (sig_draining() && !(link_is_socket(in) && p->done == p->sites))
        return 0;
    return rc < 0 ? -1 : 1;
}

/* Solvers that are still there end on their own, now that the reducer knows all commits. That
 * may take long on a busy machine, and a solver that is left before its end counts as failed;
 * one that is lost is no longer there. */
static void farewell(struct link *in)
{
    struct msg *m = NULL;
    int rc = link_is_socket(in) ? 1 : 0;

    link_enough(in);
    while ((rc == 1 || rc == 2) && !sig_draining()) {
        rc = link_recv(in, &m, WATCH_MS, NULL);
        msg_destroy(&m);
    }
}

static void tell(const struct writer *w)
{
    const struct write_sizes *s = write_sizes(w);
    struct write_row rows[WORST];
    size_t n = write_worst(w, rows, WORST);

    log_info("%5s %-9s %10s %10s %8s %9s %8s  %s", "block", "site", "rel loss", "loss", "damp",
             "tokens", "seconds", "worst linear");
    for (size_t i = 0; i < n; i++)
        log_info("%5zu %-9s %10.3e %10.3e %8.3g %9llu %8.2f  %s", rows[i].block, rows[i].site,
                 rows[i].rel_loss, rows[i].loss, rows[i].damp, (unsigned long long)rows[i].tokens,
                 rows[i].seconds, rows[i].linear ? rows[i].linear : "");
    for (size_t i = 0; i < s->formats; i++)
        log_info("%s: %.2f bits a weight, %.1f MB -> %.1f MB (%.0f%%) in %s", s->format[i].name,
                 s->bits, (double)s->source / 1e6, (double)s->format[i].bytes / 1e6,
                 s->source ? 100 * (double)s->format[i].bytes / (double)s->source : 0,
                 s->format[i].folder);
}

/* The checkpoint is written after the commits' link has ended: assembling may take longer than
 * its peers wait. */
static int finish(struct writer *w, struct link *in, struct link *commits, struct sent *sent,
                  struct err *e)
{
    const struct plan *p = write_plan(w);
    int rc = pump(w, in, commits, sent, e);

    if (rc == 0)
        err_set(e, ERR_SYS, "asked to stop with %zu of %zu sites", p->done, p->sites);
    if (rc < 1 || plan_missing(p, e)) {
        if (commits)
            link_end(commits, 0, e->text, NULL);
        return -1;
    }
    if (commits && link_end(commits, 1, NULL, e))
        return -1;
    status_update("assemble", -1, NULL, 0, 0, NULL);
    if (write_finish(w, e))
        return -1;
    farewell(in);
    return 0;
}

static struct link *open_in(const struct stage *s, struct err *e)
{
    const struct write_command *c = s->own;

    return link_open(s->in, LINK_IN,
                     &(struct link_opts){.name = "write",
                                         .takes = LINK_KIND(MSG_SOLUTION),
                                         .elastic = 1,
                                         .peers = (size_t)c->peers,
                                         .insecure = s->insecure},
                     e);
}

static struct link *open_commits(const struct stage *s, struct sent *sent, struct err *e)
{
    const struct write_command *c = s->own;
    struct link *l = link_open(c->commits, LINK_OUT,
                               &(struct link_opts){.name = "write",
                                                   .sends = LINK_KIND(MSG_COMMIT),
                                                   .route = LINK_ALL,
                                                   .elastic = 1,
                                                   .peers = (size_t)c->commit_peers,
                                                   .insecure = s->insecure},
                               e);

    if (l)
        link_set_replay(l, replay, sent);
    return l;
}

static int run(struct stage *s, struct err *e)
{
    const struct write_command *c = s->own;
    struct writer *w = write_open(&c->core, e);
    struct link *in = NULL, *commits = NULL;
    struct sent sent = {.writer = w};
    int rc = -1;

    if (!w)
        return -1;
    sent.order = mem_array(write_plan(w)->sites, sizeof *sent.order, e);
    in = sent.order ? open_in(s, e) : NULL;
    commits = in && c->commits ? open_commits(s, &sent, e) : NULL;
    if (in && (commits || !c->commits))
        rc = finish(w, in, commits, &sent, e);
    if (rc)
        write_fail(w, e);
    else
        tell(w);
    link_close(&in);
    link_close(&commits);
    write_close(&w);
    free(sent.order);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&write_spec, run, argc, argv);
}
