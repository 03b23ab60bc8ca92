/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-report - what a run did, as one HTML page. report_read.c reads, report_page.c and the
 * sections draw. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/bytes.h"
#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"
#include "../runs_apart.h"
#include "report_opts.h"
#include "report_page.h"
#include "report_pictures.h"

#define BLOCKS_MAX 64

struct blocks {
    size_t count;
    uint64_t at[BLOCKS_MAX];
};

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
    char *text = NULL, size[BYTES_TEXT];
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    int rc = f ? report_page_write(f, r, e) : err_sys(e, "no memory for the page");

    if (f && fclose(f) && rc == 0)
        rc = err_sys(e, "no memory for the page");
    if (rc == 0 && strcmp(path, "-") == 0)
        rc = fwrite(text, 1, n, stdout) == n ? fs_flush(stdout, e)
                                             : err_sys(e, "cannot write to standard output");
    else if (rc == 0 && (rc = fs_publish(path, text, n, e)) == 0)
        printf("%s: %zu of %llu sites, %s: open it in a browser\n", path, r->nsites,
               (unsigned long long)r->sites_all, bytes_text((double)n, size));
    free(text);
    return rc;
}

static int run(struct stage *s, struct err *e)
{
    const struct report_command *c = s->own;
    const char *dir = s->args.arg[0];
    struct blocks blocks = {0};
    struct report_pictures *pictures = NULL;
    struct report *r = NULL;
    char *path = NULL;
    int rc = -1;

    if ((c->blocks && blocks_parse(c->blocks, &blocks, e)) || !(r = report_open(dir, e)))
        return -1;
    if (!c->blocks)
        blocks_default(r, &blocks);
    path = c->out ? mem_text(c->out, e) : mem_printf(e, "%s/.ptqflow/report.html", dir);
    if (path && runs_apart("--out", path, &dir, 1, e) == 0 &&
        (!c->problems || report_problems(r, c->problems, is_drawn, &blocks, e) == 0) &&
        (!c->chunks || (pictures = report_pictures_read(r, c->chunks, e)))) {
        r->pictures = pictures;
        rc = put_page(r, path, e);
    }
    report_close(&r);
    report_pictures_close(&pictures);
    free(path);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&report_spec, run, argc, argv);
}
