/* SPDX-License-Identifier: Apache-2.0 */
/* err - the one error value of ptqflow.
 *
 * Functions return 0/-1 or NULL and fill a struct err; nothing below a main() prints or exits.
 * The kind decides the exit code of the process: see err_exit(). */
#ifndef PTQ_ERR_H
#define PTQ_ERR_H

enum err_kind {
    ERR_NONE = 0,
    ERR_DATA = 1,  /* the data said no: too short, incomplete stream, a solver found nothing */
    ERR_USE = 100, /* wrong use or wrong input: an option, a file that is not what it should be */
    ERR_SYS = 111, /* the system failed: memory, disk, sockets; trying again may help */
    ERR_PIPE = 141 /* nobody reads the output any more: as SIGPIPE would end it, without a word */
};

struct err {
    enum err_kind kind;
    char text[512];
};

#if defined(__GNUC__)
#    define ERR_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#    define ERR_PRINTF(a, b)
#endif

/* Fills e (which may be NULL) and returns -1, so that failing is one statement. Keeps errno. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) ERR_PRINTF(3, 4);

/* The same with ERR_SYS and ": strerror(errno)" at the end. */
int err_sys(struct err *e, const char *fmt, ...) ERR_PRINTF(2, 3);

/* Puts context in front of what is there: "context: old text". Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) ERR_PRINTF(2, 3);

/* Exit code: 0 for ERR_NONE, else the kind's number. */
int err_exit(const struct err *e);

#endif
