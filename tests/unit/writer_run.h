/* SPDX-License-Identifier: Apache-2.0 */
/* writer_run - a writer over the made-up model in a folder of its own, for tests of the writer. */
#ifndef PTQ_TEST_WRITER_RUN_H
#define PTQ_TEST_WRITER_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/wire/follow.h"
#include "../../stages/write/write.h"
#include "tiny_model.h"

static char root[] = "/tmp/ptq-write-XXXXXX", model[64], out[64];

static inline int make_root(void **state)
{
    (void)state;
    if (!mkdtemp(root))
        return -1;
    snprintf(model, sizeof model, "%s/model", root);
    snprintf(out, sizeof out, "%s/out", root);
    tiny_model(model);
    return 0;
}

static inline int remove_root(void **state)
{
    (void)state;
    return fs_remove_tree(root, NULL);
}

static inline int remove_out(void **state)
{
    (void)state;
    return fs_remove_tree(out, NULL);
}

/* A path below root, or below OUT when it starts with '@'. */
static inline const char *at(const char *name)
{
    static char path[4][512];
    static unsigned turn;
    char *p = path[turn++ % 4];

    if (*name == '@')
        snprintf(p, sizeof path[0], "%s/%s", out, name + 1);
    else
        snprintf(p, sizeof path[0], "%s/%s", root, name);
    return p;
}

static inline void put(const char *path, const char *text)
{
    struct err e = {0};

    assert_int_equal(fs_publish(path, text, strlen(text), &e), 0);
}

static inline struct writer *opened(const char *formats, int overwrite, struct err *e)
{
    return write_open(
        &(struct write_opts){
            .model = model, .out = out, .formats = formats, .overwrite = overwrite},
        e);
}

static inline struct writer *need_open(const char *formats, int overwrite)
{
    struct err e = {0};
    struct writer *w = opened(formats, overwrite, &e);

    if (!w)
        fail_msg("%s", e.text);
    return w;
}

static inline void refused(const char *formats, int overwrite, enum err_kind kind, const char *text)
{
    struct err e = {0};

    assert_null(opened(formats, overwrite, &e));
    assert_int_equal(e.kind, kind);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
}

static inline int give(struct writer *w, size_t order, const struct tiny_opts *o, struct err *e)
{
    struct msg *m = tiny_solution(model, order, o);
    int rc = write_solution(w, &m, e);

    assert_int_equal(rc == 1, m != NULL);
    if (rc == 1)
        assert_int_equal(m->kind, MSG_COMMIT);
    msg_destroy(&m);
    return rc;
}

static inline void give_refused(struct writer *w, size_t order, const struct tiny_opts *o,
                                const char *text)
{
    struct err e = {0};

    assert_int_equal(give(w, order, o, &e), -1);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
}

/* A whole run, sites in the order first, first + step, ... modulo their number. */
static inline void whole_run(const char *formats, const struct tiny_opts *o, size_t first,
                             size_t step, uint64_t shard_bytes)
{
    struct err e = {0};
    struct writer *w = write_open(&(struct write_opts){.model = model,
                                                       .out = out,
                                                       .formats = formats,
                                                       .overwrite = 1,
                                                       .shard_bytes = shard_bytes},
                                  &e);

    assert_non_null(w);
    for (size_t i = 0; i < TINY_SITES; i++)
        if (give(w, (first + i * step) % TINY_SITES, o, &e) != 1)
            fail_msg("%s", e.text);
    if (write_finish(w, &e))
        fail_msg("%s", e.text);
    write_close(&w);
    assert_null(w);
}

/* How many lines the journal has. */
static inline size_t journal_lines(void)
{
    struct err e = {0};
    size_t n, lines = 0;
    char *text = fs_read(at("@" FOLLOW_DIR "/journal.jsonl"), 1 << 20, &n, &e);

    assert_non_null(text);
    for (const char *line = text; (line = strchr(line, '\n')); line++)
        lines++;
    free(text);
    return lines;
}

#endif
