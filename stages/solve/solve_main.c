/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-solve - turns problems into solutions: codes, scales and zeros of every linear. The core is
 * solve.c. */
#include <stdio.h>
#include <stdlib.h>

#include "../../common/base/fs.h"
#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/wire/link.h"
#include "../../common/wire/msg_problem.h"
#include "solve.h"
#include "solve_opts.h"

static int list_solvers(struct err *e)
{
    const struct solver *s;

    for (size_t i = 0; (s = solver_at(i)); i++) {
        printf("%-8s %s\n         %soptions: bits,group,grid,fit", s->name, s->about,
               s->needs & SOLVER_NEEDS_D ? "needs D (ptq-forward --dual); " : "");
        if (s->takes)
            printf(",%s", s->takes);
        for (const struct opt *o = s->rows; o && o->name; o++)
            printf(",%s", o->name);
        putchar('\n');
    }
    printf("\nqep+NAME shifts the target before any solver that does not do so itself.\n"
           "best:A,B,... lets solvers compete and keeps the best for each site.\n");
    return fs_flush(stdout, e);
}

/* Overrides of a run: which of them have hit a linear so far. */
struct patterns {
    const struct overrides *lines;
    unsigned char *hit; /* [lines->count] */
    int split_said;
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

static void tell(const char *id, const struct solve_note *n)
{
    if (n->kept && !*n->worst_name) {
        log_detail("%s: kept as it is", id);
        return;
    }
    if (n->coverage < 2.0)
        log_warn("%s: only %.2f calibration rows per input channel", id, n->coverage);
    if (n->fallback)
        log_warn("%s: fallback %s after %d factorisations", id, n->fallback, n->attempts);
    if (n->raised)
        log_warn("%s: %zu scales too small for their type were raised; their groups are 0 now", id,
                 n->raised);
    if (n->blind)
        log_warn("%s: no held-out sums: solvers were judged on the sums they worked with (see "
                 "ptq-reduce --holdout)",
                 id);
    log_detail("%s: %s, damp %g, %zu dead inputs, worst relative loss %.3g (%s)", id, n->solver,
               n->damp, n->dead, n->worst, n->worst_name);
}

/* Problems until the stream ends (1) or the process is asked to stop (0). */
static int pump(struct link *in, struct link *out, const struct opt_texts *only,
                const struct solve_opts *o, struct patterns *patterns, struct par *par,
                struct err *e)
{
    struct problem_view v;
    struct solve_note note;
    struct msg *m = NULL;
    uint64_t done = 0, sites = 0;
    int rc = 0;

    while (!sig_draining() && (rc = link_recv(in, &m, -1, e)) == 1) {
        if (!link_accepts(only->text, only->count, m->id))
            err_set(e, ERR_USE, "%s does not fit --only; only sockets sort problems", m->id);
        if (e->text[0] || problem_read(m, &v, e)) {
            msg_destroy(&m);
            return -1;
        }
        sites = v.sites;
        patterns_note(patterns, &v);
        status_update("solve", (int64_t)v.block, v.site, done, v.sites, "sites");
        m = solve_problem(o, &m, par, &note, e);
        if (!m)
            return -1;
        tell(m->id, &note);
        if (note.split)
            tell_split(patterns, m->id);
        if (link_send(out, &m, e)) {
            msg_destroy(&m);
            return -1;
        }
        done++;
    }
    if (rc < 0 || (done == sites && patterns_check(patterns, e)))
        return -1;
    return rc == 0 && !sig_draining();
}

/* Both neighbours are there: 1; 0 when the process is asked to stop before. */
static int join(struct link *in, struct link *out, struct err *e)
{
    if (link_peers(in, 0, e) < 0 || link_peers(out, 0, e) < 0)
        return sig_draining() ? 0 : -1;
    status_update("ready", -1, NULL, 0, 0, "sites");
    return 1;
}

/* Leaving a crowd of solvers is a proper end, and what was not taken from the reducer goes to
 * another; a pipe or file that lacks the rest says so. */
static int finish(struct link *in, struct link *out, int rc, struct err *e)
{
    if (rc < 0) {
        link_end(out, 0, e->text, NULL);
        return -1;
    }
    if (link_end(out, rc > 0 || link_is_socket(out), rc > 0 ? NULL : "the solver was asked to stop",
                 e))
        return -1;
    if (rc == 0 && link_is_socket(out))
        link_leave(in);
    return 0;
}

/* Asked to stop before both neighbours were there. */
static int desert(struct link *in, struct link *out, struct err *e)
{
    struct link_stats s;

    link_leave(in);
    link_stats(out, &s);
    return s.peers ? finish(in, out, 0, e) : 0;
}

/* Both ends; what was opened is the caller's to close, also on error. */
static int open_links(const struct stage *s, struct link **in, struct link **out, struct err *e)
{
    const struct solve_command *c = s->own;
    const struct link_opts from = {.name = "solve",
                                   .takes = LINK_KIND(MSG_PROBLEM),
                                   .peers = (size_t)c->peers,
                                   .credit_messages = 2,
                                   .insecure = s->insecure,
                                   .accepts = c->only.text,
                                   .naccepts = c->only.count};
    const struct link_opts to = {.name = "solve",
                                 .sends = LINK_KIND(MSG_SOLUTION),
                                 .insecure = s->insecure,
                                 .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW};

    *in = link_open(s->in, LINK_IN, &from, e);
    *out = *in ? link_open(s->out, LINK_OUT, &to, e) : NULL;
    return *out ? 0 : -1;
}

static int run(struct stage *s, struct err *e)
{
    const struct solve_command *c = s->own;
    struct patterns patterns = {.lines = &c->lines};
    struct link *in = NULL, *out = NULL;
    struct par *par = NULL;
    int rc = -1;

    if (c->list)
        return list_solvers(e);
    mem_return_freed(); /* squares of one site after the other */
    patterns.hit = mem_array(c->lines.count + 1, 1, e);
    if (patterns.hit && (par = par_open((size_t)s->threads, e)) &&
        open_links(s, &in, &out, e) == 0 && (rc = join(in, out, e)) >= 0)
        rc = rc ? finish(in, out, pump(in, out, &c->only, &c->core, &patterns, par, e), e)
                : desert(in, out, e);
    link_close(&in);
    link_close(&out);
    par_close(&par);
    free(patterns.hit);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&solve_spec, run, argc, argv);
}
