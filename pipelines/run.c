/* SPDX-License-Identifier: Apache-2.0 */
/* run - options of `ptq run`, then: recipe, checks, a private folder for the sockets, the
 * processes, the report. */
#include "run.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/base/cpu.h"
#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "plan.h"
#include "precheck.h"
#include "recipe.h"
#include "report.h"
#include "rundir.h"
#include "supervise.h"

#define RECIPE_BYTES ((size_t)1 << 20)

struct run_opts {
    int help, dry_run, keep, quiet;
    const char *log;
};

static void usage(FILE *f)
{
    fputs(
        "usage: ptq run RECIPE [--VARIABLE VALUE]... [options]\n"
        "Runs the stages of a recipe, connected, until the output is complete.\n\n"
        "  RECIPE              a file, or the name of one that came with ptqflow, e.g. gptq\n"
        "  --VARIABLE VALUE    sets a variable of the recipe; 'ptq run RECIPE --help' lists them\n"
        "  --set NAME=VALUE    the same\n"
        "  --workers S=N,...   processes of stage S\n"
        "  --dry-run           print the commands and stop\n"
        "  --log DIR           keep what each process says in DIR/STAGE.log\n"
        "  --keep              keep the folder of the sockets, with the logs\n"
        "  --quiet             warnings and errors only\n"
        "  --help              this text\n\n"
        "environment: XDG_RUNTIME_DIR, else /tmp, holds the private folder of the sockets; PATH "
        "finds\n"
        "commands that are not beside ptq.\n"
        "exit: 0 done, 1 the data said no, 100 wrong use or input, 111 the system failed or a "
        "signal came.\n",
        f);
}

static void recipe_usage(const struct recipe *r)
{
    printf("usage: ptq run %s [--VARIABLE VALUE]... [options]\n", r->path);
    if (*r->about)
        printf("%s\n", r->about);
    printf("\nvariables:\n");
    for (size_t i = 0; i < r->nvars; i++) {
        const struct recipe_var *v = &r->var[i];

        printf("  --%-18s %s%s", v->name, v->help, v->is_list ? " (may be repeated)" : "");
        printf(v->count ? " [%s]\n" : "%s\n", v->count       ? v->value[0]
                                              : v->is_option ? ""
                                                             : " (must be given)");
    }
    printf("\nstages:\n");
    for (size_t i = 0; i < r->nstages; i++)
        printf("  %s%s: %s\n", r->stage[i].name, r->stage[i].many ? " (--workers)" : "",
               r->stage[i].word[0]);
    printf("\noptions: see ptq run --help\n");
}

static char *try_recipe(const char *a, const char *b, const char *name, const char *suffix)
{
    char *path = mem_printf(NULL, "%s%s%s%s", a, b, name, suffix);

    if (path && fs_exists(path) && !fs_is_dir(path))
        return path;
    free(path);
    return NULL;
}

/* The path of a recipe: as given, else among those that came with the program. Caller frees. */
static char *find_recipe(const char *name, struct err *e)
{
    static const char *const places[] = {"/../pipelines/", "/../share/ptqflow/pipelines/"};
    char own[PATH_MAX], *path = try_recipe("", "", name, "");

    plan_own_dir(own, sizeof own);
    for (size_t i = 0; !path && !strchr(name, '/') && i < 2; i++)
        if (!(path = try_recipe(own, places[i], name, "")))
            path = try_recipe(own, places[i], name, ".pipe");
    if (!path)
        err_set(e, ERR_USE,
                "recipe '%s' is not there, neither as a file nor among those that came with ptq",
                name);
    return path;
}

static struct recipe *load_recipe(const char *name, struct err *e)
{
    char *path = find_recipe(name, e);
    char *text = path ? fs_read(path, RECIPE_BYTES, NULL, e) : NULL;
    struct recipe *r = text ? recipe_parse(text, path, cpu_count(), e) : NULL;

    free(text);
    free(path);
    return r;
}

static int set_pair(struct recipe *r, const char *pair, struct err *e)
{
    const char *eq = strchr(pair, '=');
    char name[80];

    if (!eq || eq - pair > 79)
        return err_set(e, ERR_USE, "option '--set': '%.80s' is not NAME=VALUE", pair);
    snprintf(name, sizeof name, "%.*s", (int)(eq - pair), pair);
    return recipe_set(r, name, eq + 1, e);
}

/* The flags that take no value, ours and the recipe's. 1 when word is one, -1 on error. */
static int take_flag(struct run_opts *o, struct recipe *r, const char *word, struct err *e)
{
    const struct recipe_var *v = strncmp(word, "--", 2) == 0 ? recipe_find(r, word + 2) : NULL;
    int *flag = strcmp(word, "--help") == 0      ? &o->help
                : strcmp(word, "--dry-run") == 0 ? &o->dry_run
                : strcmp(word, "--keep") == 0    ? &o->keep
                : strcmp(word, "--quiet") == 0   ? &o->quiet
                                                 : NULL;

    if (v && v->is_flag)
        return recipe_set(r, v->name, word, e) == 0 ? 1 : -1;
    if (flag)
        *flag = 1;
    return flag != NULL;
}

/* One option with its value, "--name value" or "--name=value"; returns how many words it took,
 * -1 on error. */
static int take_value(struct run_opts *o, struct recipe *r, int argc, char **argv, struct err *e)
{
    const char *eq = strchr(argv[0], '='), *value = eq ? eq + 1 : argc > 1 ? argv[1] : NULL;
    char name[80];
    int rc;

    if (strncmp(argv[0], "--", 2) != 0 || !argv[0][2])
        return err_set(e, ERR_USE,
                       "'%s' is one word too many: after the recipe come options (--name value)",
                       argv[0]);
    snprintf(name, sizeof name, "%.*s", eq ? (int)(eq - argv[0] - 2) : 79, argv[0] + 2);
    if (!value)
        return err_set(e, ERR_USE, "option '--%s' needs a value", name);
    if (strcmp(name, "workers") == 0)
        rc = recipe_workers(r, value, e);
    else if (strcmp(name, "set") == 0)
        rc = set_pair(r, value, e);
    else if (strcmp(name, "log") == 0)
        rc = (o->log = value) ? 0 : -1;
    else
        rc = recipe_set(r, name, value, e);
    return rc == 0 ? (eq ? 1 : 2) : -1;
}

static int take_options(struct run_opts *o, struct recipe *r, int argc, char **argv, struct err *e)
{
    while (argc > 0) {
        int n = take_flag(o, r, argv[0], e);

        if (n == 0)
            n = take_value(o, r, argc, argv, e);
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

static int dry_run(const struct recipe *r, struct err *e)
{
    struct plan *p = plan_create(r, "SOCKETS", 0, e);

    if (!p)
        return -1;
    for (size_t i = 0; i < p->count; i++) {
        printf("%s:", p->process[i].label);
        for (size_t k = 0; k < p->process[i].argc; k++) {
            putchar(' ');
            print_word(p->process[i].argv[k]);
        }
        putchar('\n');
    }
    plan_destroy(&p);
    return 0;
}

static int start(const struct run_opts *o, const struct recipe *r, const char *sockets, int sigfd,
                 struct err *e)
{
    struct supervise s = {.sigfd = sigfd,
                          .log_dir = o->log    ? o->log
                                     : o->keep ? sockets
                                               : NULL,
                          .quiet = o->quiet};
    const char *out = recipe_value(r, "out"), *tokens = recipe_value(r, "tokens");
    struct config c;
    struct sites sites = {0};
    struct plan *plan = NULL;
    int known = 0, rc = -1;

    if (precheck(r, &c, &known, e) < 0)
        return -1;
    if (known && sites_make(&sites, &c, e) < 0)
        goto out;
    plan = plan_create(r, sockets, o->quiet, e);
    if (!plan || (o->log && fs_mkdir(o->log, e) != 0))
        goto out;
    s.plan = plan;
    s.recipe = r;
    s.run_dir = sockets;
    s.out = out;
    if (!o->quiet)
        log_info("while it runs: ptq ctl --run %s status, top, scale, swap or stop", sockets);
    watch_init(&s.watch, known ? &sites : NULL, tokens ? strtoull(tokens, NULL, 10) : 0);
    rc = supervise_run(&s, e);
    if (rc == 0 && !o->quiet)
        report_print(stderr, r, &s);
    if (rc == 0 && out && (rc = report_write(out, r, &s, e)) == 0)
        log_info("the result lies in %s", out);
out:
    supervise_release(&s);
    plan_destroy(&plan);
    sites_release(&sites);
    if (known)
        config_release(&c);
    return rc;
}

static int with_sockets(const struct run_opts *o, const struct recipe *r, struct err *e)
{
    struct rundir d = {.lock = -1};
    int sigfd = supervise_signals(e), rc = -1;

    if (sigfd < 0)
        return -1;
    if (rundir_open(&d, e) == 0) {
        rc = start(o, r, d.path, sigfd, e);
        if (o->keep)
            log_info("sockets and logs are kept in %s", d.path);
    }
    rundir_close(&d, o->keep);
    close(sigfd);
    return rc;
}

int run_main(int argc, char **argv)
{
    struct run_opts o = {0};
    struct recipe *r = NULL;
    struct err e = {0};
    int rc = -1;

    log_init("ptq", LOG_NORMAL);
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        usage(argc < 2 ? stderr : stdout);
        if (argc >= 2 && fs_flush(stdout, &e) < 0)
            log_fatal(&e);
        return argc < 2 ? ERR_USE : err_exit(&e);
    }
    r = load_recipe(argv[1], &e);
    if (r && take_options(&o, r, argc - 2, argv + 2, &e) == 0) {
        if (o.help)
            recipe_usage(r);
        log_init("ptq", o.quiet ? LOG_QUIET : LOG_NORMAL);
        rc = o.help                       ? 0
             : recipe_complete(r, &e) < 0 ? -1
             : o.dry_run                  ? dry_run(r, &e)
                                          : with_sockets(&o, r, &e);
    }
    if (rc == 0)
        rc = fs_flush(stdout, &e);
    if (rc != 0)
        log_fatal(&e);
    recipe_destroy(&r);
    return rc == 0 ? 0 : err_exit(&e);
}
