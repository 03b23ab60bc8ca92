/* SPDX-License-Identifier: Apache-2.0 */
/* stage - the shared options and main(). */
#include "stage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "apart.h"
#include "cpu.h"
#include "fault.h"
#include "fs.h"
#include "log.h"
#include "mem.h"
#include "pause.h"
#include "sig.h"
#include "spill.h"
#include "status.h"
#include "std.h"

#define AT(field) offsetof(struct stage, field)
static const struct opt in_row = {"in",       OPT_TEXT,    AT(in),           "EP",
                                  .def = "-", .wiring = 1, .file = OPT_READS};
static const struct opt out_row = {"out",      OPT_TEXT,    AT(out),           "EP",
                                   .def = "-", .wiring = 1, .file = OPT_WRITES};
static const struct opt mem_row = {"mem", OPT_SIZE, AT(mem), "BYTES", .def = NULL, .min = 1 << 20};
static const struct opt quiet_row = {"quiet", OPT_FLAG, AT(quiet),
                                     .help = "warnings and errors only"};
static const struct opt verbose_row = {"verbose", OPT_FLAG, AT(verbose), .help = "more lines"};

static const struct {
    unsigned bit;
    struct opt row;
} shared[] = {
    {STAGE_TMP,
     {"tmp", OPT_TEXT, AT(tmp), "DIR", .help = "folder of the spill file (TMPDIR, else /var/tmp)"}},
    {STAGE_THREADS,
     {"threads", OPT_INT, AT(threads), "N", .help = "threads; never changes the result", .min = 1,
      .max = 1024}},
    {STAGE_ZSTD,
     {"zstd", OPT_FLAG, AT(zstd), .help = "compress what goes out (files and networks)"}},
    {STAGE_STATUS,
     {"status-fd", OPT_INT, AT(status_fd), "FD", .help = "descriptor for status lines (-1: none)",
      "-1", -1, 1 << 20, .wiring = 1}},
    {STAGE_INSECURE,
     {"keys", OPT_TEXT, AT(keys), "DIR",
      .help = "keys for tcp, of ptq keys: only those whose keys are listed may connect",
      .wiring = 1}},
    {STAGE_INSECURE,
     {"insecure", OPT_FLAG, AT(insecure),
      .help = "allow binding tcp beyond loopback without keys"}},
    {STAGE_FAULT, {"fault", OPT_TEXT, AT(fault), "LIST", .help = FAULT_HELP}},
};

/* The rows of this program, and their defaults that depend on the machine. */
static void rows_make(struct stage *s)
{
    const struct stage_spec *spec = s->spec;
    const size_t cores = cpu_count();
    size_t n = 0;

    if (spec->in) {
        snprintf(s->in_help, sizeof s->in_help,
                 "where %s come from: @URL, URL, a file, or - for stdin", spec->in);
        s->row[n] = in_row;
        s->row[n++].help = s->in_help;
    }
    if (spec->out) {
        snprintf(s->out_help, sizeof s->out_help, "where %s go: @URL, URL, a file, or - for stdout",
                 spec->out);
        s->row[n] = out_row;
        s->row[n++].help = s->out_help;
    }
    if (spec->mem) {
        s->row[n] = mem_row;
        s->row[n].def = spec->mem;
        s->row[n++].help = spec->mem_for;
    }
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        if (spec->shared & shared[i].bit)
            s->row[n++] = shared[i].row;
    s->row[n++] = quiet_row;
    s->row[n] = verbose_row;
    s->threads = cores > 1024 ? 1024 : (int64_t)cores;
    s->tmp = spill_dir();
    s->status_fd = -1;
}

struct stage *stage_open(const struct stage_spec *spec, struct err *e)
{
    struct stage *s = mem_array(1, sizeof *s, e);

    if (!s)
        return NULL;
    s->spec = spec;
    s->own = mem_array(1, spec->size ? spec->size : 1, e);
    if (!s->own)
        goto bad;
    rows_make(s);
    if (spec->rows)
        s->group[s->ngroups++] = (struct opt_group){NULL, spec->rows, s->own};
    if (spec->groups)
        s->ngroups += spec->groups(s->own, s->group + s->ngroups, STAGE_GROUPS - 2);
    s->group[s->ngroups++] = (struct opt_group){"Common options", s->row, s};
    if (opt_defaults(s->group, s->ngroups, e) == 0)
        return s;
bad:
    stage_close(&s);
    return NULL;
}

int stage_parse(struct stage *s, int argc, char **argv, struct err *e)
{
    char command[64];
    const struct opt_spec spec = {.command = command,
                                  .about = s->spec->about,
                                  .usage = s->spec->usage,
                                  .group = s->group,
                                  .ngroups = s->ngroups,
                                  .notes = s->spec->notes,
                                  .args_min = s->spec->args_min,
                                  .args_max = s->spec->args_max,
                                  .passes = (s->spec->shared & STAGE_PASSES) != 0};

    if (argc > 0 && strncmp(argv[0], "ptq ", 4) == 0) /* so the front door calls it */
        snprintf(command, sizeof command, "%s", argv[0]);
    else
        snprintf(command, sizeof command, "ptq-%s", s->spec->name);
    return opt_parse(&spec, &s->args, argc, argv, e);
}

int stage_check(const struct stage *s, struct err *e)
{
    if (opt_complete(s->group, s->ngroups, e) < 0 ||
        apart_options(s->group, s->ngroups, NULL, 0, e) < 0 || fault_check(s->fault, e) < 0)
        return -1;
    return s->spec->check ? s->spec->check(s, e) : 0;
}

int stage_check_tmp(const struct stage *s, struct err *e)
{
    if (!(s->spec->shared & STAGE_TMP) || s->tmp == spill_dir()) /* what spills names the default */
        return 0;
    if (!fs_exists(s->tmp))
        return err_set(e, ERR_USE, "--tmp: no folder '%s'", s->tmp);
    if (!fs_is_dir(s->tmp))
        return err_set(e, ERR_USE, "--tmp: '%s' is not a folder", s->tmp);
    if (access(s->tmp, W_OK | X_OK) != 0)
        return err_set(e, ERR_USE, "--tmp: nothing can be written to '%s': %s", s->tmp,
                       strerror(errno));
    return 0;
}

void stage_close(struct stage **sp)
{
    if (!*sp)
        return;
    if ((*sp)->own && (*sp)->spec->release)
        (*sp)->spec->release((*sp)->own);
    free((*sp)->own);
    free(*sp);
    *sp = NULL;
}

/* Each peer of a link costs a descriptor: as many as the system grants. Where it grants none more,
 * what there are have to do. */
static void files_raise(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* Status lines are for a supervisor, or for a person who did not ask for quiet. */
static int work(struct stage *s, int (*run)(struct stage *s, struct err *e), struct err *e)
{
    const unsigned is = s->spec->shared;

    files_raise();
    if ((is & STAGE_ENDS     ? sig_init_end(e)
         : is & STAGE_PRINTS ? sig_init_print(e)
                             : sig_init(e)) < 0 ||
        fault_init(s->fault, e) < 0 || ((is & STAGE_PAUSES) && pause_init(e) < 0))
        return -1;
    if ((is & STAGE_STATUS) && (s->status_fd >= 0 || !s->quiet))
        status_init(s->spec->name, (int)s->status_fd);
    return run(s, e);
}

void stage_fail(struct stage *s, const struct err *e)
{
    if (!s || !s->told)
        log_fatal(e);
    if (s)
        s->told = 1;
}

int stage_main(const struct stage_spec *spec, int (*run)(struct stage *s, struct err *e), int argc,
               char **argv)
{
    struct err e = {0};
    struct stage *s = NULL;
    int rc;

    std_hold();
    log_init(spec->name, LOG_NORMAL);
    if (!spec->start || spec->start(&e) == 0)
        s = stage_open(spec, &e);
    rc = s ? stage_parse(s, argc, argv, &e) : -1;
    if (rc > 0) {
        stage_close(&s);
        return 0;
    }
    if (s)
        log_init(spec->name, s->quiet ? LOG_QUIET : s->verbose ? LOG_VERBOSE : LOG_NORMAL);
    if (rc == 0 && (rc = stage_check(s, &e)) == 0 && (rc = stage_check_tmp(s, &e)) == 0)
        rc = work(s, run, &e);
    if (rc >= 0 && fs_flush(stdout, &e) < 0)
        rc = -1;
    if (rc < 0)
        stage_fail(s, &e);
    status_end();
    stage_close(&s);
    return rc < 0 ? err_exit(&e) : rc;
}
