/* SPDX-License-Identifier: Apache-2.0 */
/* ptq - the front door: `ptq X` runs the command ptq-X that lies beside it or in PATH; `ptq run`
 * is the supervisor (run.h). */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/base/std.h"
#include "../common/base/version.h"
#include "../common/base/near.h"
#include "../common/tensor/blas.h"
#include "commands.h"
#include "complete.h"
#include "ctl.h"
#include "launch.h"
#include "run.h"
#include "shelf.h"
#include "worker.h"

static void usage(FILE *f)
{
    fputs("Usage: ptq COMMAND [arguments]\n"
          "Post-training quantization of language models as a dataflow of small processes.\n\n",
          f);
    for (size_t i = 0; commands[i].name; i++)
        fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].about);
    fputs("\n'ptq help COMMAND' says more; 'ptq X' runs ptq-X, beside ptq or in PATH. Also: -h, "
          "--help, -V, --version.\n",
          f);
}

static int unknown(const char *name, struct err *e)
{
    struct near near = near_start(name, strlen(name));

    for (size_t i = 0; commands[i].name; i++)
        near_try(&near, commands[i].name);
    return err_set(e, ERR_USE, "no command '%s'%s%s%s (ptq --help lists them)", name,
                   near.name ? ": did you mean " : "", near.name ? near.name : "",
                   near.name ? "?" : "");
}

static int run_command(char **argv, struct err *e)
{
    char *name = mem_printf(e, "ptq-%s", argv[0]), *typed = mem_printf(e, "ptq %s", argv[0]);
    char *path = name && typed && !strchr(argv[0], '/') ? launch_find_program(name, e) : NULL;

    if (path) {
        argv[0] = typed;
        execv(path, argv);
        err_sys(e, "cannot execute '%s'", path);
    } else if (name && typed) {
        unknown(argv[0], e);
    }
    free(path);
    free(typed);
    free(name);
    return -1;
}

static void print_recipe(void *ctx, const char *name, const char *about)
{
    fprintf(ctx, "%-12s %s\n", name, about);
}

static int finish(struct err *e)
{
    if (fs_flush(stdout, e) < 0)
        log_fatal(e);
    return err_exit(e);
}

static int is_word(const char *arg, const char *a, const char *b)
{
    return strcmp(arg, a) == 0 || strcmp(arg, b) == 0;
}

static int list_recipes(int argc, char **argv, struct err *e)
{
    if (argc == 3 && is_word(argv[2], "--help", "-h")) {
        puts("Usage: ptq recipes\n"
             "Lists the recipes that ptq run knows by name, and what each does. What options one\n"
             "has: ptq run RECIPE --help.");
        return fs_flush(stdout, e);
    }
    if (argc > 2)
        return err_set(e, ERR_USE, "ptq recipes takes no arguments");
    return shelf_each(print_recipe, stdout, e) < 0 ? -1 : fs_flush(stdout, e);
}

static int is_own(const char *word)
{
    static const char *const own[] = {"run", "resolve", "ctl", "top", "completion", "recipes"};

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(word, own[i]) == 0)
            return 1;
    return 0;
}

/* The commands that this program is itself; others are files beside it. -1: not one of these. */
static int own_command(int argc, char **argv, struct err *e)
{
    char *help[] = {argv[0], argv[1], (char *)(uintptr_t) "--help", NULL};
    char worker[] = "ptq worker";
    int rc = -1;

    if (argc == 3 && is_word(argv[2], "--version", "-V") && is_own(argv[1])) {
        printf("ptq %s\n", PTQ_VERSION);
        return finish(e);
    }
    if (strcmp(argv[1], "run") == 0)
        return run_main(argc - 1, argv + 1);
    if (strcmp(argv[1], "resolve") == 0) /* the recipe of that name */
        return run_main(argc, argv);
    if (strcmp(argv[1], "worker") == 0) {
        argv[1] = worker;
        return worker_main(argc - 1, argv + 1);
    }
    if (strcmp(argv[1], "ctl") == 0 || strcmp(argv[1], "top") == 0)
        return ctl_main(argc - 1, argv + 1);
    if (strcmp(argv[1], "completion") == 0)
        return complete_main(argc - 1, argv + 1);
    if (strcmp(argv[1], "recipes") == 0) {
        rc = list_recipes(argc, argv, e);
        if (rc < 0)
            log_fatal(e);
        return rc < 0 ? err_exit(e) : 0;
    }
    if (strcmp(argv[1], "help") == 0 && argc == 3) {
        if (strcmp(argv[2], "help") == 0 || is_word(argv[2], "--help", "-h")) {
            usage(stdout);
            return finish(e);
        }
        help[1] = argv[2];
        rc = own_command(3, help, e);
        if (rc < 0)
            run_command(help + 1, e);
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    int rc;

    std_hold();
    log_init("ptq", LOG_NORMAL);
    if (blas_start(&e) < 0) { /* for all that it starts, too */
        log_fatal(&e);
        return err_exit(&e);
    }
    if (argc < 2) {
        usage(stderr);
        return ERR_USE;
    }
    if (is_word(argv[1], "--help", "-h") || (strcmp(argv[1], "help") == 0 && argc == 2)) {
        usage(stdout);
        return finish(&e);
    }
    if (is_word(argv[1], "--version", "-V")) {
        printf("ptq %s\n", PTQ_VERSION);
        return finish(&e);
    }
    rc = own_command(argc, argv, &e);
    if (rc >= 0)
        return rc;
    if (e.kind == ERR_NONE)
        run_command(argv + 1, &e);
    log_fatal(&e);
    return err_exit(&e);
}
