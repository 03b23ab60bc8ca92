/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-solve - turns problems into solutions: codes, scales and zeros of every linear. The core is
 * solve.c. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/base/opt.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/run/override.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/link.h"
#include "../../common/wire/msg_problem.h"
#include "solve.h"

struct solve_main_opts {
    const char *in, *out, *solver, *overrides;
    struct opt_texts override;
    struct opt_texts only;
    int64_t group, block, zero_min, threads, status_fd, peers;
    int64_t pull, tries, refine, seed;
    double damp, alpha, alpha2, beta, qep_alpha, refine_alpha;
    int bits, grid, fit, order, groups, dead, scale_type, p_source, criterion, sums, scales;
    int recorded, cross, refit, zstd, list, insecure, quiet, verbose;
};

#define AT(field) offsetof(struct solve_main_opts, field)
static const struct opt table[] = {
    {"in", OPT_TEXT, AT(in), "EP", "where problems come from: @URL, URL, a file, or - for stdin", 0,
     0, NULL},
    {"out", OPT_TEXT, AT(out), "EP", "where solutions go", 0, 0, NULL},
    {"solver", OPT_TEXT, AT(solver), "NAME",
     "algorithm; --list shows them. qep+NAME shifts the target before it;\n"
     "best:A,B,... keeps the best of several, per site",
     0, 0, NULL},
    {"only", OPT_TEXTS, AT(only), "PATTERN",
     "take only sites whose name fits, as 'mlp.*', attn.o or b3.mlp.down; may be repeated", 0, 0,
     NULL},
    {"bits", OPT_CHOICE, AT(bits), "N", "bits of a code", 0, 0, "2|3|4|8"},
    {"group", OPT_INT, AT(group), "N",
     "inputs that share a scale, a divisor of every K; -1: a whole row", -1, 1 << 24, NULL},
    {"grid", OPT_CHOICE, AT(grid), "NAME", "integer grid", 0, 0, "sym|sym-narrow|asym"},
    {"fit", OPT_CHOICE, AT(fit), "NAME",
     "scales from the whole range, or a search for the best smaller one", 0, 0,
     "minmax|mse|hessian|neuqi"},
    {"scales", OPT_CHOICE, AT(scales), "NAME",
     "hessian: short for --fit hessian --refine 1 (two-stage group scales)", 0, 0, "fit|hessian"},
    {"refine", OPT_INT, AT(refine), "N", "passes over the scales after the codes are chosen", 0,
     100, NULL},
    {"refine-alpha", OPT_REAL, AT(refine_alpha), "X", "share of D in them", 0, 4, NULL},
    {"order", OPT_CHOICE, AT(order), "NAME",
     "of the columns: as they are, by diagonal, by group, by smallest pivot", 0, 0,
     "none|act|group|pivot"},
    {"groups", OPT_CHOICE, AT(groups), "NAME",
     "group scales from the weights as given, or as moved when the sweep gets there", 0, 0,
     "static|dynamic"},
    {"damp", OPT_REAL, AT(damp), "X",
     "added to the diagonal, as a part of its mean; more when that fails", 0, 10, NULL},
    {"dead", OPT_CHOICE, AT(dead), "NAME",
     "inputs that are always 0: keep their weights or zero them", 0, 0, "keep|zero"},
    {"alpha", OPT_REAL, AT(alpha), "X",
     "gptaq, rescomp, foem: share of the drift that is made good", 0, 4, NULL},
    {"alpha2", OPT_REAL, AT(alpha2), "X", "rescomp: hold on the original weights", 0, 4, NULL},
    {"beta", OPT_REAL, AT(beta), "X", "foem: weight of the first-order term", 0, 1, NULL},
    {"pull", OPT_INT, AT(pull), "N", "foem: the first of N columns is not pulled back (0: all are)",
     0, 1 << 24, NULL},
    {"qep-alpha", OPT_REAL, AT(qep_alpha), "X", "qep: share of the target shift", 0, 1, NULL},
    {"p-source", OPT_CHOICE, AT(p_source), "NAME",
     "gptaq, rescomp, foem: what a column hands on: its value before rounding,\n"
     "that kept in the grid's range, or the rounded one; auto: q for 2 bits, pre_clamp above",
     0, 0, "auto|pre|pre_clamp|q"},
    {"tries", OPT_INT, AT(tries), "N", "ojbkq: random roundings of each row", 1, 10000, NULL},
    {"seed", OPT_INT, AT(seed), "N", "ojbkq: of the random roundings", 0, 0, NULL},
    {"criterion", OPT_CHOICE, AT(criterion), "NAME",
     "best: loss to compare, against the full-precision target (where D is there) or not", 0, 0,
     "asym|plain"},
    {"refit", OPT_CHOICE, AT(refit), "WHEN",
     "best: yes: once the held-out chunks have chosen, the winner solves the site again from all "
     "chunks",
     0, 0, "no|yes"},
    {"sums", OPT_CHOICE, AT(sums), "NAME",
     "which sums to solve with: those with token weights, or the plain ones of ptq-reduce --sums "
     "both",
     0, 0, "weighted|plain"},
    {"scale-type", OPT_CHOICE, AT(scale_type), "TYPE",
     "scales are rounded to it before codes are chosen", 0, 0, "f16|bf16|f32|f64"},
    {"block", OPT_INT, AT(block), "N", "columns between two large updates; speed only", 1, 1 << 24,
     NULL},
    {"zero-min", OPT_INT, AT(zero_min), "N",
     "smallest zero point of asym (GPTQ v1 files cannot hold 0)", 0, 1, NULL},
    {"override", OPT_TEXTS, AT(override), "LINE",
     "'PATTERN: KEY=VALUE ...': other bits, group, grid, fit, solver or damp for the linears that "
     "a\n"
     "shell pattern hits, or 'PATTERN: skip': leave them as they are. Patterns are on names\n"
     "(model.layers.*.mlp.down_proj) or sites (mlp.down, b3.attn.*); may be repeated, later lines "
     "win",
     0, 0, NULL},
    {"overrides", OPT_TEXT, AT(overrides), "FILE",
     "such lines from a file; --override wins over it", 0, 0, NULL},
    {"recorded", OPT_FLAG, AT(recorded), NULL,
     "say in the provenance that the problems are those of an earlier run: later blocks have not "
     "seen\n"
     "these solutions (the recipe resolve says it)",
     0, 0, NULL},
    {"cross", OPT_CHOICE, AT(cross), "KIND",
     "length: also solve each site from the sequences of one length alone (ptq-reduce --classes "
     "length), length by length,\n"
     "and note what each such solution costs on each class, for ptq report. The solution stays the "
     "same",
     0, 0, "none|length"},
    {"list", OPT_FLAG, AT(list), NULL, "show the solvers with the options they look at", 0, 0,
     NULL},
    {"threads", OPT_INT, AT(threads), "N", "threads; never changes the result", 1, 1024, NULL},
    {"peers", OPT_INT, AT(peers), "N", "reducers whose end is the end of the stream", 1, 65536,
     NULL},
    {"zstd", OPT_FLAG, AT(zstd), NULL, "compress solutions (files and networks)", 0, 0, NULL},
    {"status-fd", OPT_INT, AT(status_fd), "FD", "descriptor for status lines (-1: none)", -1,
     1 << 20, NULL},
    {"insecure", OPT_FLAG, AT(insecure), NULL, "allow binding tcp beyond loopback without keys", 0,
     0, NULL},
    {"quiet", OPT_FLAG, AT(quiet), NULL, "warnings and errors only", 0, 0, NULL},
    {"verbose", OPT_FLAG, AT(verbose), NULL, "more lines", 0, 0, NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

static const struct opt_spec spec = {
    "ptq-solve",
    "quantizes the linears of each problem",
    "[--in EP] [--out EP] [options]",
    table,
    "The solution is the same bytes for any number of threads on one type of CPU kernel\n"
    "(OPENBLAS_CORETYPE; chosen from the CPU when it is not set).",
    0,
    0,
};

static int list_solvers(struct err *e)
{
    const struct solver *s;

    for (size_t i = 0; (s = solver_at(i)); i++)
        printf("%-8s %s\n         %soptions: %s\n", s->name, s->about,
               s->needs & SOLVER_NEEDS_D ? "needs D (ptq-forward --dual); " : "", s->options);
    printf("\nqep+NAME shifts the target before any solver that does not do so itself.\n"
           "best:A,B,... lets solvers compete and keeps the best for each site.\n");
    return fflush(stdout) ? err_sys(e, "cannot write to stdout") : 0;
}

static struct solve_opts opts_of(const struct solve_main_opts *a)
{
    return (struct solve_opts){
        .solver = a->solver,
        .alpha = a->alpha,
        .alpha2 = a->alpha2,
        .beta = a->beta,
        .pull = a->pull,
        .qep_alpha = a->qep_alpha,
        .p_source = (enum p_source)a->p_source,
        .tries = a->tries,
        .seed = (uint64_t)a->seed,
        .refine = a->scales && a->refine < 1 ? 1 : (int)a->refine,
        .refine_alpha = a->refine_alpha,
        .criterion = (enum criterion)a->criterion,
        .sums = (enum sums_kind)a->sums,
        .bits = grid_bits_at((size_t)a->bits),
        .group = a->group,
        .grid = grid_at((size_t)a->grid),
        .fit = a->scales ? FIT_HESSIAN : (enum fit)a->fit,
        .order = (enum order)a->order,
        .groups = (enum groups)a->groups,
        .damp = a->damp,
        .dead = (enum dead)a->dead,
        .scale_type = grid_scale_at((size_t)a->scale_type),
        .block = (size_t)a->block,
        .zero_min = (int)a->zero_min,
        .recorded = a->recorded,
        .cross = a->cross,
        .refit = a->refit,
    };
}

/* Overrides of a run: which of them have hit a linear so far. */
struct patterns {
    struct overrides lines;
    unsigned char *hit; /* [lines.count] */
    int split_said;
};

static void patterns_note(struct patterns *p, const struct problem_view *v)
{
    for (size_t i = 0; i < p->lines.count; i++)
        for (size_t k = 0; k < v->nlinears && !p->hit[i]; k++)
            p->hit[i] = (unsigned char)override_hits(&p->lines.at[i], (size_t)v->block, v->site,
                                                     v->linear[k]->name);
}

/* After all sites of a model: a pattern that hit none was misspelled. */
static int patterns_check(const struct patterns *p, struct err *e)
{
    for (size_t i = 0; i < p->lines.count; i++)
        if (!p->hit[i])
            return err_set(e, ERR_USE, "%s: '%s' hit no linear of the model", p->lines.at[i].from,
                           p->lines.at[i].pattern);
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
    if (link_peers(in, e) < 0 || link_peers(out, e) < 0)
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

/* Both ends and the threads; what was opened is the caller's to close, also on error. */
static int open_all(const struct solve_main_opts *a, struct link **in, struct link **out,
                    struct par **par, struct err *e)
{
    const struct link_opts from = {.role = "solve",
                                   .peers = (size_t)a->peers,
                                   .credit_messages = 2,
                                   .insecure = a->insecure,
                                   .accepts = a->only.text,
                                   .naccepts = a->only.count};
    const struct link_opts to = {
        .role = "solve", .insecure = a->insecure, .compress = a->zstd ? FRAME_ZSTD : FRAME_RAW};

    *par = par_open((size_t)a->threads, e);
    *in = *par ? link_open(a->in, LINK_IN, &from, e) : NULL;
    *out = *in ? link_open(a->out, LINK_OUT, &to, e) : NULL;
    return *out ? 0 : -1;
}

int main(int argc, char **argv)
{
    const struct solve_opts def = SOLVE_OPTS_DEFAULT;
    struct solve_main_opts a = {.in = "-",
                                .out = "-",
                                .solver = def.solver,
                                .bits = 2,
                                .group = def.group,
                                .order = (int)def.order,
                                .damp = def.damp,
                                .block = (int64_t)def.block,
                                .zero_min = def.zero_min,
                                .alpha = def.alpha,
                                .alpha2 = def.alpha2,
                                .beta = def.beta,
                                .pull = def.pull,
                                .qep_alpha = def.qep_alpha,
                                .tries = def.tries,
                                .seed = (int64_t)def.seed,
                                .refine_alpha = def.refine_alpha,
                                .peers = 1,
                                .status_fd = -1};
    struct patterns patterns = {.lines = OVERRIDES_NONE};
    struct solve_opts o;
    struct err e = {0};
    struct link *in = NULL, *out = NULL;
    struct par *par = NULL;
    int rc;

    a.threads = sysconf(_SC_NPROCESSORS_ONLN);
    rc = opt_parse(&spec, &a, NULL, argc, argv, &e);
    if (rc > 0)
        return 0;
    log_init("solve", a.quiet ? LOG_QUIET : a.verbose ? LOG_VERBOSE : LOG_NORMAL);
    if (rc < 0)
        goto out;
    if (a.list) {
        rc = list_solvers(&e);
        goto out;
    }
    mem_return_freed(); /* squares of one site after the other */
    o = opts_of(&a);
    o.overrides = &patterns.lines;
    rc = -1;
    if (blas_start(argv, &e) ||
        overrides_load(&patterns.lines, a.overrides, a.override.text, a.override.count, &e) ||
        !(patterns.hit = mem_array(patterns.lines.count + 1, 1, &e)) || solve_check_opts(&o, &e) ||
        sig_init(&e))
        goto out;
    status_init("solve", (int)a.status_fd);
    if (open_all(&a, &in, &out, &par, &e) == 0 && (rc = join(in, out, &e)) >= 0)
        rc = rc ? finish(in, out, pump(in, out, &a.only, &o, &patterns, par, &e), &e)
                : desert(in, out, &e);
out:
    if (rc < 0)
        log_fatal(&e);
    status_end();
    link_close(&in);
    link_close(&out);
    par_close(&par);
    overrides_release(&patterns.lines);
    free(patterns.hit);
    return rc < 0 ? err_exit(&e) : 0;
}
