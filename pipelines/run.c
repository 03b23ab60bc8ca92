/* SPDX-License-Identifier: Apache-2.0 */
/* run - options of `ptq run`, then: recipe, checks, a private folder for the sockets, the
 * processes, what it cost. */
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/base/opt.h"
#include "../stages/forward/forward_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/sample/sample_opts.h"
#include "../stages/slide/slide_opts.h"
#include "../stages/solve/solve_opts.h"
#include "../stages/write/write_opts.h"
#include "best.h"
#include "change.h"
#include "costs.h"
#include "hosts.h"
#include "line.h"
#include "mixed.h"
#include "named.h"
#include "precheck.h"
#include "route.h"
#include "resume.h"
#include "room.h"
#include "rundir.h"
#include "shelf.h"
#include "supervise.h"
#include "waits_say.h"

struct run_opts {
    int help, dry_run, keep, quiet, save_state;
    const char *log, *widths, *listen, *keys, *metrics;
    struct allocate_target target;
    const char *on;
    int64_t trials;
    uint64_t reserve;
    int64_t stall;
    size_t restarts, hosts;
};

#define WIDTHS "2,3,4,8" /* of codes, among which --target-bpw chooses */
#define TRIALS "8"
#define AT(field) offsetof(struct run_opts, field)
const struct opt run_rows[] = {
    {"dry-run", OPT_FLAG, AT(dry_run), .help = "check, print the commands and stop"},
    {"log", OPT_TEXT, AT(log), "DIR", .help = "keep what each process says in DIR/STAGE.log"},
    {"keep", OPT_FLAG, AT(keep), .help = "keep the folder of the sockets, with the logs"},
    {"reserve", OPT_SIZE, AT(reserve), "BYTES",
     .help = "refuse to start where less than this would stay free beside the checkpoint", "0"},
    {"stall", OPT_INT, AT(stall), "SECONDS",
     .help = "name a process that has made no progress for so long", .def = "60", .min = 2,
     .max = 1 << 30},
    {"restarts", OPT_INT, AT(restarts), "N",
     .help = "start what is lost again so often without a further site, then give up", "3", 0,
     1000},
    {"save-state", OPT_FLAG, AT(save_state),
     .help =
         "keep hidden states in OUT until it is complete: it goes on at the site that was open"},
    {"listen", OPT_TEXT, AT(listen), "URL",
     .help = "let workers of other hosts take part (ptq worker): tcp://ADDRESS:PORT"},
    {"keys", OPT_TEXT, AT(keys), "DIR", .help = "with --listen: the head's folder of ptq keys"},
    {"hosts", OPT_INT, AT(hosts), "N",
     .help = "with --listen: start when so many workers have joined", "0", 0, 1024},
    {"metrics", OPT_TEXT, AT(metrics), "ADDRESS:PORT",
     .help = "serve how far the run is to Prometheus, as 127.0.0.1:9090 (ptq metrics)"},
    {"target-bpw", OPT_REAL, AT(target.bpw), "BITS",
     .help = "choose the bits of every site, so that a weight takes so many on average, from what "
             "each loses in a first pass; two passes in all, what the first found stays in "
             "OUT.mixed",
     .min = .5, .max = 16},
    {"target-size", OPT_SIZE, AT(target.size), "BYTES",
     .help = "the same as bytes of the linears of all blocks"},
    {"target-qr", OPT_REAL, AT(target.qr), "SHARE",
     .help = "the same for which sites are quantized, to --bits: this share of the weights, at "
             "least, the others stay as they are",
     .min = .001, .max = 1},
    {"max-kl", OPT_REAL, AT(target.kl), "NATS",
     .help = "the same for as few bits as diverge from the model no more than this, measured on "
             "--choose-on",
     .min = 1e-9, .max = 1e3},
    {"choose-bits", OPT_TEXT, AT(widths), "LIST", .help = "among these widths", .def = WIDTHS},
    {"choose-on", OPT_TEXT, AT(on), "FILE",
     .help = "measure several choices on this text, the same bits everywhere among them, later "
             "ones by what earlier ones showed, and follow the one that diverges least from the "
             "model"},
    {"choose-trials", OPT_INT, AT(trials), "N", .help = "so many of them at most", .def = TRIALS,
     .min = 1, .max = 64},
    {"quiet", OPT_FLAG, AT(quiet), .help = "warnings and errors only"},
    {.name = NULL},
};
static struct run_opts no_opts; /* what help texts take defaults from */
static struct line_opts no_line;
static const struct opt_group no_group[] = {{NULL, run_rows, &no_opts}, {"", line_rows, &no_line}};
#define OWN_GROUPS (sizeof no_group / sizeof *no_group)

static void usage(FILE *f)
{
    fputs("Usage: ptq run RECIPE [options]\n"
          "Runs the stages of a recipe, connected, until the output is complete.\n\n"
          "  RECIPE                  a file, or the name of one that came with ptqflow, as gptq\n"
          "                          ('ptq recipes' lists them)\n"
          "  --NAME VALUE            an option of the recipe or of its stages: 'ptq run RECIPE\n"
          "                          --help' lists them all\n"
          "  --STAGE.NAME VALUE      the same for one stage, where several have it\n"
          "  BYTES, N of tokens      may end in K, M, G or T: 64K, 2G\n",
          f);
    opt_defaults(no_group, OWN_GROUPS, NULL);
    for (size_t i = 0; i < OWN_GROUPS; i++)
        opt_print(f, &no_group[i], NULL, NULL);
    fputs("  -h, --help              Show this help\n\n"
          "Environment: XDG_RUNTIME_DIR, else /tmp, holds the private folder of the sockets; PATH\n"
          "finds commands that are not beside ptq.\n"
          "Exit: 0 done, 1 the data said no, 100 wrong use or input, 111 the system failed or a\n"
          "signal came.\n",
          f);
}

static int recipe_usage(struct route *t, struct err *e)
{
    const struct recipe *r = t->r;

    if (route_apply(t, e) < 0)
        return -1;
    printf("Usage: ptq run %s [options]\n", r->path);
    opt_print_text(stdout, r->about, 0, 0);
    if (r->nvars)
        printf("\nThe recipe's own:\n");
    for (size_t i = 0; i < r->nvars; i++) {
        const struct recipe_var *v = &r->var[i];
        char left[80], help[600];
        int at;

        snprintf(left, sizeof left, "  --%s%s", v->name, v->is_flag ? "" : " VALUE");
        snprintf(help, sizeof help, "%.400s%s%s%.100s%s", v->help,
                 v->is_list ? " (may be repeated)" : "", v->count ? " (default " : "",
                 v->count       ? v->value[0]
                 : v->is_option ? ""
                                : " (must be given)",
                 v->count ? ")" : "");
        at = printf("%-25s ", left);
        opt_print_text(stdout, help, at, at);
    }
    route_help(t, stdout);
    printf("\nOf the run itself: see ptq run --help\n");
    return 0;
}

/* One word, or an option with its value; returns how many words it took, -1 on error. */
static int take_option(struct run_opts *o, struct route *t, int argc, char **argv, struct err *e)
{
    struct line_opts said = {.set = {.count = 0}};
    const struct opt_group own[OWN_GROUPS] = {{NULL, run_rows, o}, {"", line_rows, &said}};
    const char *eq = strchr(argv[0], '='), *value = eq ? eq + 1 : argc > 1 ? argv[1] : NULL;
    const size_t n = eq ? (size_t)(eq - argv[0]) : strlen(argv[0]);
    const struct opt *row = NULL;
    void *values;

    if (strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "--help") == 0)
        return o->help = 1;
    if (strncmp(argv[0], "--", 2) == 0)
        row = opt_find(own, OWN_GROUPS, argv[0] + 2, n - 2, &values);
    if (!row)
        return route_option(t, argc, (const char *const *)argv, own, OWN_GROUPS, e);
    if (row->type == OPT_FLAG)
        return opt_set(row, values, row->name, eq ? value : NULL, e) == 0 ? 1 : -1;
    if (!value)
        return err_set(e, ERR_USE, "option '--%s' needs a value", row->name);
    if (opt_set(row, values, row->name, value, e) < 0 ||
        line_apply(&said, t, own, OWN_GROUPS, e) < 0)
        return -1;
    return eq ? 1 : 2;
}

static int take_options(struct run_opts *o, struct route *t, int argc, char **argv, struct err *e)
{
    while (argc > 0) {
        int n = take_option(o, t, argc, argv, e);

        if (n < 0)
            return -1;
        argc -= n;
        argv += n;
    }
    return 0;
}

/* A word as a shell would take it back. */
static void print_word(const char *s)
{
    if (*s &&
        !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,")]) {
        fputs(s, stdout);
        return;
    }
    putchar('\'');
    for (; *s; s++)
        if (*s == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*s);
    putchar('\'');
}

static void print_plan(const struct launch *p)
{
    for (size_t i = 0; i < p->count; i++) {
        printf("%s:", p->process[i].label);
        for (size_t k = 0; k < p->process[i].argc; k++) {
            putchar(' ');
            print_word(p->process[i].argv[k]);
        }
        putchar('\n');
    }
}

static uint64_t tokens_of(const struct route *t)
{
    const struct stage *s = route_stage(t, &sample_spec, 0);

    return s ? ((const struct sample_command *)s->own)->core.tokens : 0;
}

static void say_going_on(const char *out, uint64_t from, const struct sites *sites, int kept)
{
    if (from == sites->count)
        log_info("going on with '%s': all %zu sites are committed, the checkpoint is left to "
                 "write",
                 out, sites->count);
    else if (kept)
        log_info("going on with '%s' behind site %llu of %zu, from the hidden states that were "
                 "kept before it",
                 out, (unsigned long long)from, sites->count);
    else
        log_info("going on with '%s' behind site %llu of %zu: the tokens pass through the "
                 "committed sites again (about %.0f%% of the whole forward pass), none of which "
                 "is solved again",
                 out, (unsigned long long)from, sites->count,
                 100 * (double)from / (double)sites->count);
}

/* Behind what an unfinished run in the same folder has committed. */
static int go_on(const struct route *t, struct launch *plan, const struct sites *sites,
                 const struct json *job, int save_state, struct err *e)
{
    const struct stage *w = route_stage(t, &write_spec, 0), *f = route_stage(t, &forward_spec, 0),
                       *r = route_stage(t, &reduce_spec, 0), *l = route_stage(t, &slide_spec, 0);
    const struct write_command *c = w ? w->own : NULL;
    uint64_t from = 0;
    int kept;

    if (!c || !(f || l) || c->core.overwrite)
        return 0;
    if (resume_find(c->core.out, job, sites, &from, e) < 0)
        return -1;
    if (!from)
        return 0;
    if (r && ((const struct reduce_command *)r->own)->record)
        return err_set(e, ERR_USE,
                       "'%s' holds an unfinished run, and --record would miss the %llu sites that "
                       "it has committed: leave --record out, or start again with --overwrite",
                       c->core.out, (unsigned long long)from);
    if ((kept = save_state ? resume_has_state(c->core.out, e) : 0) < 0)
        return -1;
    if (l)
        log_info("going on with '%s' behind site %llu of %zu: windows that --state does not have "
                 "are learned again",
                 c->core.out, (unsigned long long)from, sites->count);
    else
        say_going_on(c->core.out, from, sites, kept);
    if (from < sites->count && resume_warn_swapped(t, c->core.out, sites, from, e) < 0)
        return -1;
    return resume_give(t, plan, from, e);
}

struct prepared {
    struct launch *plan;
    struct config config;
    int known; /* the model, its config and its sites */
    struct sites sites;
    struct loads loads;
    struct json *job;
};

static int is_insecure(const struct route *t)
{
    for (size_t i = 0; i < t->r->nstages; i++)
        if (t->stage[i] && t->stage[i]->insecure)
            return 1;
    return 0;
}

/* Can what is asked for be done? *x is to be released in any case. */
static int check(struct prepared *x, const struct run_opts *o, struct route *t, const char *sockets,
                 int quiet, struct err *e)
{
    struct named_opts named = {.log = o->log, .metrics = o->metrics, .listen = o->listen};

    *x = (struct prepared){.plan = launch_create(t->r, sockets, quiet, e)};
    if (!x->plan || route_parse(t, x->plan, e) < 0 || route_check(t, e) < 0 ||
        room_files(x->plan, e) < 0)
        return -1;
    named.open = o->keys || is_insecure(t);
    return named_check(&named, t, e) < 0 || precheck_files(t, o->log, e) < 0 ||
                   precheck(t, o->reserve, o->save_state, &x->config, &x->known, &x->loads, e) <
                       0 ||
                   (x->known && sites_make(&x->sites, &x->config, e) < 0)
               ? -1
               : 0;
}

/* All that is done before anything starts; *x is to be released in any case. */
static int prepare(struct prepared *x, const struct run_opts *o, struct route *t,
                   const char *sockets, int quiet, struct err *e)
{
    if (check(x, o, t, sockets, quiet, e) < 0 || !(x->job = resume_job(t, x->plan, e)) ||
        (o->save_state && resume_keep_state(t, x->plan, e) < 0))
        return -1;
    return x->known ? go_on(t, x->plan, &x->sites, x->job, o->save_state, e) : 0;
}

static void prepared_release(struct prepared *x)
{
    launch_destroy(&x->plan);
    json_destroy(&x->job);
    sites_release(&x->sites);
    if (x->known)
        config_release(&x->config);
}

static struct mixed_opts mixed_opts(const struct run_opts *o)
{
    return (struct mixed_opts){
        .target = o->target, .widths = o->widths, .on = o->on, .trials = (size_t)o->trials};
}

static int dry_run(const struct run_opts *o, struct route *t, struct err *e)
{
    const struct mixed_opts mixed = mixed_opts(o);
    struct prepared x;
    int rc = prepare(&x, o, t, "SOCKETS", 0, e);

    if (rc == 0 && allocate_target_count(&mixed.target, e) > 0)
        rc = mixed_check(&mixed, t, x.known ? &x.sites : NULL, e);
    if (rc == 0)
        print_plan(x.plan);
    prepared_release(&x);
    return rc;
}

/* A run of several runs. */
static int run_several(const struct run_opts *o, struct route *t, const char *recipe, int argc,
                       char **argv, struct err *e)
{
    struct mixed_opts mixed = mixed_opts(o);
    const struct best_opts best = {.recipe = recipe, .argc = argc, .argv = argv};
    struct prepared x;
    int rc = check(&x, o, t, "SOCKETS", 1, e);

    mixed.recipe = recipe;
    mixed.argc = argc;
    mixed.argv = argv;
    if (rc == 0 && allocate_target_count(&mixed.target, e) > 0)
        rc = best_wanted(t->r, e)
                 ? err_set(e, ERR_USE, "--%s: a search is at one width: --search none",
                           allocate_target_name(&mixed.target))
                 : mixed_run(&mixed, t, x.known ? &x.sites : NULL, e);
    else if (rc == 0)
        rc = best_run(&best, t, x.known ? &x.config : NULL, e);
    prepared_release(&x);
    return rc;
}

/* The door for workers, where one is asked for; what binds then binds by tcp too. */
static int open_hosts(const struct run_opts *o, const struct route *t, struct supervise *s,
                      struct err *e)
{
    const struct stage *w = route_stage(t, &write_spec, 0);
    const struct hosts_opts how = {
        .listen = o->listen,
        .keys = o->keys,
        .model = route_model(t),
        .insecure = is_insecure(t),
        .any_kernels = w && ((const struct write_command *)w->own)->core.any_kernels,
        .wait = o->hosts};

    if (!o->listen)
        return 0;
    if (!(s->hosts = hosts_open(&how, e)) || hosts_listen(s->hosts, s->plan, e) < 0)
        return -1;
    if (o->hosts)
        log_info("the run starts when %zu worker%s joined", o->hosts,
                 o->hosts == 1 ? " has" : "s have");
    log_info("workers join by: ptq worker tcp://THIS-HOST%s%s",
             strrchr(hosts_address(s->hosts), ':'),
             o->keys ? " --keys DIR (its folder of ptq keys)" : "");
    return 0;
}

static int start(const struct run_opts *o, struct route *t, const char *sockets, int sigfd,
                 struct err *e)
{
    struct supervise s = {.sigfd = sigfd,
                          .log_dir = o->log    ? o->log
                                     : o->keep ? sockets
                                               : NULL,
                          .quiet = o->quiet,
                          .stall = (double)o->stall,
                          .restarts = o->restarts,
                          .metrics = o->metrics};
    const struct recipe *r = t->r;
    const char *out = recipe_value(r, "out");
    struct prepared x;
    const struct sites *sites;
    int rc = -1;

    if (prepare(&x, o, t, sockets, o->quiet, e) < 0 || (o->log && fs_mkdir(o->log, e) != 0))
        goto out;
    sites = x.known ? &x.sites : NULL;
    s.change = (struct change){.route = t, .sites = sites, .loads = x.loads};
    s.job = x.job;
    s.plan = x.plan;
    s.recipe = r;
    s.run_dir = sockets;
    s.out = out;
    if (open_hosts(o, t, &s, e) < 0)
        goto out;
    if (!o->quiet)
        log_info("while it runs: ptq ctl --run %s status, top, pause, swap, ... or stop", sockets);
    if (x.known && !(s.scan = scan_start(route_model(t), e)))
        goto out;
    watch_init(&s.watch, sites, tokens_of(t));
    rc = supervise_run(&s, e);
    if (s.hosts)
        hosts_end(s.hosts, rc == 0 ? &(const struct err){.kind = ERR_NONE} : e);
    if (rc < 0 && e->kind != ERR_USE && sites && out && s.watch.committed &&
        s.watch.committed < sites->count)
        log_info("%llu of %zu sites are committed in '%s': the same command again goes on behind "
                 "them",
                 (unsigned long long)s.watch.committed, sites->count, out);
    if (rc == 0 && !o->quiet) {
        costs_print(stderr, r, &s);
        waits_print(stderr, r, &s);
    }
    if (rc == 0 && sites && out)
        loads_end(&x.loads, out, sites);
    if (rc == 0 && out && (rc = costs_write(out, r, &s, e)) == 0 &&
        (rc = waits_write(out, r, &s, e)) == 0)
        log_info("the result lies in %s", out);
out:
    hosts_close(&s.hosts);
    scan_stop(&s.scan);
    supervise_release(&s);
    prepared_release(&x);
    return rc;
}

static int with_sockets(const struct run_opts *o, struct route *t, struct err *e)
{
    struct rundir d = {.lock = -1};
    int sigfd = supervise_signals(e), rc = -1;

    if (sigfd < 0)
        return -1;
    if (rundir_open(&d, e) == 0) {
        rc = start(o, t, d.path, sigfd, e);
        if (o->keep)
            log_info("sockets and logs are kept in %s", d.path);
    }
    rundir_close(&d, o->keep);
    close(sigfd);
    return rc;
}

static int run(struct run_opts *o, struct route *t, const char *recipe, int argc, char **argv,
               struct err *e)
{
    int search, choice;

    if (route_variables(t, "ptq run", no_group, OWN_GROUPS, e) < 0 ||
        take_options(o, t, argc, argv, e) < 0)
        return -1;
    if (o->help)
        return recipe_usage(t, e);
    log_init("ptq", o->quiet ? LOG_QUIET : LOG_NORMAL);
    if (recipe_complete(t->r, e) < 0)
        return -1;
    if (!o->listen && (o->keys || o->hosts))
        return err_set(e, ERR_USE, "--%s goes with --listen", o->keys ? "keys" : "hosts");
    if ((choice = allocate_target_count(&o->target, e)) < 0)
        return -1;
    if (!choice && (o->on || strcmp(o->widths, WIDTHS) != 0))
        return err_set(e, ERR_USE, "--%s goes with --target-bpw, --target-size%s or --max-kl",
                       o->on ? "choose-on" : "choose-bits", o->on ? ", --target-qr" : "");
    if (o->target.qr > 0 && strcmp(o->widths, WIDTHS) != 0)
        return err_set(e, ERR_USE, "--target-qr quantizes to --bits: --choose-bits is not for it");
    if (!o->on && o->trials != strtol(TRIALS, NULL, 10))
        return err_set(e, ERR_USE, "--choose-trials goes with --choose-on");
    if ((search = best_wanted(t->r, e)) < 0)
        return -1;
    if (o->listen && (search || choice))
        return err_set(e, ERR_USE, "--listen: a run of several passes takes no workers");
    if (o->listen && !route_stage(t, &forward_spec, 0) && !route_stage(t, &solve_spec, 0))
        return err_set(e, ERR_USE,
                       "--listen: workers run what ptq-forward and ptq-solve do, and "
                       "this recipe has neither: all its stages run on this host");
    if (o->dry_run)
        return dry_run(o, t, e);
    return search || choice ? run_several(o, t, recipe, argc, argv, e) : with_sockets(o, t, e);
}

int run_main(int argc, char **argv)
{
    struct run_opts o = {0};
    const struct opt_group own = {NULL, run_rows, &o};
    struct route t = {.stage = NULL};
    struct recipe *r = NULL;
    struct err e = {0};
    int rc = -1;

    log_init("ptq", LOG_NORMAL);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(argc < 2 ? stderr : stdout);
        if (argc >= 2 && fs_flush(stdout, &e) < 0)
            log_fatal(&e);
        return argc < 2 ? ERR_USE : err_exit(&e);
    }
    if (argv[1][0] == '-')
        err_set(&e, ERR_USE,
                "the name of a recipe comes first, its options behind it: ptq run gptq %.100s ... "
                "(ptq recipes lists them)",
                argv[1]);
    else
        r = shelf_open(argv[1], 0, &e);
    if (r && opt_defaults(&own, 1, &e) == 0 && route_open(&t, r, &e) == 0)
        rc = run(&o, &t, argv[1], argc - 2, argv + 2, &e);
    if (rc == 0)
        rc = fs_flush(stdout, &e);
    if (rc != 0)
        log_fatal(&e);
    if (r)
        route_close(&t);
    recipe_destroy(&r);
    return rc == 0 ? 0 : err_exit(&e);
}
