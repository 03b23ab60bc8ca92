/* SPDX-License-Identifier: Apache-2.0 */
/* stage - the frame of every program: the options that all have, and main().
 *
 * A program is described by one const struct stage_spec, in a file of its own (X_opts.c) so that
 * the front door knows its options too; its main() is stage_main() with the function that does
 * the work. Order: the environment of the libraries, options, what can be checked of them,
 * signals, status lines, the work. */
#ifndef PTQ_STAGE_H
#define PTQ_STAGE_H

#include <stddef.h>
#include <stdint.h>
#include "err.h"
#include "opt.h"

/* The shared options that a program has beside --quiet and --verbose. */
#define STAGE_STATUS 1u   /* --status-fd */
#define STAGE_THREADS 2u  /* --threads */
#define STAGE_TMP 4u      /* --tmp */
#define STAGE_INSECURE 8u /* --keys and --insecure: it has links */
#define STAGE_ZSTD 16u    /* --zstd */
/* No option: text on stdout is what it is for, so it ends when nobody reads (sig.h); and the same
 * of one that has nothing to finish or to remove when it is asked to stop: that ends it, too. */
#define STAGE_PRINTS 32u
#define STAGE_ENDS 512u
/* Nor this: options that no row knows are arguments, for the program to hand on. */
#define STAGE_PASSES 64u
#define STAGE_FAULT 128u  /* --fault: faults on purpose (fault.h) */
#define STAGE_PAUSES 256u /* No option: it rests when told to (pause.h) */

#define STAGE_SHARED 12 /* options that programs share */
#define STAGE_GROUPS 24 /* of options in one program */

struct stage;

struct stage_spec {
    const char *name;  /* "solve": of ptq-solve, in its log and status lines */
    const char *about; /* one line */
    const char *usage; /* what follows the name in the usage line; NULL: "[options]" */
    const char *notes; /* behind the options in the help; may be NULL */
    size_t args_min, args_max;
    /* what comes in by --in and goes out by --out, "chunks"; NULL: there is no such option */
    const char *in, *out;
    const char *mem, *mem_for; /* default of --mem, and its help; NULL: there is no such option */
    unsigned shared;           /* STAGE_STATUS ... */
    const struct opt *rows;    /* its own options; may be NULL */
    size_t size;               /* of the struct that they fill */
    /* Further groups of rows, that fill the same struct; NULL: none. Returns how many. */
    size_t (*groups)(void *own, struct opt_group *group, size_t max);
    /* What can be said against the options, alone and together, without the model or the data;
     * may be NULL. */
    int (*check)(const struct stage *s, struct err *e);
    void (*release)(void *own);  /* what check has made; may be NULL */
    int (*start)(struct err *e); /* before anything else: blas_start; may be NULL */
};

struct stage {
    const struct stage_spec *spec;
    const char *in, *out, *tmp, *keys, *fault;
    int64_t threads, status_fd;
    uint64_t mem;
    int zstd, insecure, quiet, verbose;
    int told; /* the program's one fatal line is out */
    struct opt_args args;
    void *own; /* struct of the spec's own options; owned */
    /* private: the shared rows that this program has, and all groups */
    struct opt row[STAGE_SHARED + 1];
    char in_help[128], out_help[128];
    struct opt_group group[STAGE_GROUPS];
    size_t ngroups;
};

/* The options at their defaults. NULL on error. */
struct stage *stage_open(const struct stage_spec *spec, struct err *e);
/* As opt_parse: 0, 1 when help or version was shown, -1. Texts point into argv. */
int stage_parse(struct stage *s, int argc, char **argv, struct err *e);
/* What must be given is there, and the spec's own check. */
int stage_check(const struct stage *s, struct err *e);
/* --tmp, where it is given, is a folder that can be written to; stage_main asks it. */
int stage_check_tmp(const struct stage *s, struct err *e);
void stage_close(struct stage **s);

/* Says now why the program fails; stage_main will not say it again. For a program that is about
 * to close its links: who watches it then hears the cause before its neighbours' complaints. */
void stage_fail(struct stage *s, const struct err *e);

/* A whole main(): returns the exit code. run: 0, -1 with e set, or a positive exit code of its
 * own ("different"). */
int stage_main(const struct stage_spec *spec, int (*run)(struct stage *s, struct err *e), int argc,
               char **argv);

#endif
