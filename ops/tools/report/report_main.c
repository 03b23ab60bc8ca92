/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-report - what a run did, as one HTML page. report_read.c reads, report_page.c and the
 * sections draw. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/log.h"
#include "../../../common/base/mem.h"
#include "../../../common/base/opt.h"
#include "../../../common/base/sig.h"
#include "report_page.h"

#define BLOCKS_MAX 64

struct values {
    const char *problems, *blocks, *out;
};

struct blocks {
    size_t count;
    uint64_t at[BLOCKS_MAX];
};

static const struct opt TABLE[] = {
    {"problems", OPT_TEXT, offsetof(struct values, problems), "FILE",
     "problems that the run recorded (--record): for spectra by length", 0, 0, NULL},
    {"blocks", OPT_TEXT, offsetof(struct values, blocks), "LIST",
     "blocks whose spectra are drawn: 0,5,11; by default the first, middle and last", 0, 0, NULL},
    {"out", OPT_TEXT, offsetof(struct values, out), "FILE",
     "the page, or - for stdout; by default OUT/.ptqflow/report.html", 0, 0, NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL}};

static const struct opt_spec SPEC = {
    "ptq-report",
    "one HTML page about a run: losses, damping, lengths, Hessian diagonals, time; needs no "
    "network to read",
    "[options] OUT",
    TABLE,
    "OUT is the folder that ptq run or ptq-write wrote to; a run that is still going, or failed, "
    "is reported as far as it went.\n"
    "Example: ptq-report out --problems problems.ptq --out report.html\n",
    1,
    1};

static int blocks_parse(const char *text, struct blocks *b, struct err *e)
{
    for (char *end;; text = end + 1) {
        unsigned long long v;

        errno = 0;
        v = strtoull(text, &end, 10);
        if (end == text || *text == '-' || *text == '+' || errno || (*end && *end != ',') ||
            b->count == BLOCKS_MAX)
            return err_set(
                e, ERR_USE,
                "option '--blocks': '%.40s' is not a list of at most %d numbers from 0: 0,5,11",
                text, BLOCKS_MAX);
        b->at[b->count++] = v;
        if (!*end)
            return 0;
    }
}

static void blocks_default(const struct report *r, struct blocks *b)
{
    uint64_t n = report_blocks(r);

    for (uint64_t i = 0; i < 3 && n; i++)
        b->at[b->count++] = i * (n - 1) / 2;
}

static int is_drawn(const void *ctx, uint64_t block)
{
    const struct blocks *b = ctx;

    for (size_t i = 0; i < b->count; i++)
        if (b->at[i] == block)
            return 1;
    return 0;
}

/* In memory first: a page is written whole or not at all. */
static int put_page(const struct report *r, const char *path, struct err *e)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    int rc = f ? report_page_write(f, r, e) : err_sys(e, "no memory for the page");

    if (f && fclose(f) && rc == 0)
        rc = err_sys(e, "no memory for the page");
    if (rc == 0 && strcmp(path, "-") == 0)
        rc = fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0
                 ? 0
                 : err_sys(e, "cannot write to stdout");
    else if (rc == 0 && (rc = fs_publish(path, text, n, e)) == 0)
        printf("%s: %zu of %llu sites, %.0f KiB: open it in a browser\n", path, r->nsites,
               (unsigned long long)r->sites_all, (double)n / 1024);
    free(text);
    return rc;
}

int main(int argc, char **argv)
{
    struct values v = {0};
    struct opt_args args = {0};
    struct blocks blocks = {0};
    struct err e = {0};
    struct report *r = NULL;
    char *path = NULL;
    int rc;

    log_init("report", LOG_NORMAL);
    rc = opt_parse(&SPEC, &v, &args, argc, argv, &e);
    if (rc > 0)
        return 0;
    if (rc < 0 || sig_init(&e) || (v.blocks && blocks_parse(v.blocks, &blocks, &e)) ||
        !(r = report_open(args.arg[0], &e)))
        goto out;
    if (!v.blocks)
        blocks_default(r, &blocks);
    path = v.out ? mem_text(v.out, &e) : mem_printf(&e, "%s/.ptqflow/report.html", args.arg[0]);
    if (path && (!v.problems || report_problems(r, v.problems, is_drawn, &blocks, &e) == 0))
        put_page(r, path, &e);
out:
    if (e.kind)
        log_fatal(&e);
    report_close(&r);
    free(path);
    return err_exit(&e);
}
