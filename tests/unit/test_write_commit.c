/* SPDX-License-Identifier: Apache-2.0 */
/* A commit goes on its way before the disk has it; what is durable stands in the journal. */
#include "writer_run.h"

struct handed {
    struct writer *w;
    size_t count;
    int refuse;
};

/* The commit counts and can be read by who comes late, but nothing says yet that it is durable. */
static int take_handed(void *ctx, struct msg **m, struct err *e)
{
    struct handed *h = ctx;
    struct msg *again;
    int64_t order;

    assert_int_equal((*m)->kind, MSG_COMMIT);
    assert_int_equal(json_as_int(json_get((*m)->meta, "order"), &order), 0);
    assert_int_equal(write_plan(h->w)->done, ++h->count);
    assert_true(write_plan(h->w)->site[order].done);
    assert_int_equal(write_commit(h->w, (size_t)order, &again, e), 0);
    msg_destroy(&again);
    assert_int_equal(journal_lines(), h->count); /* the start, and those before */
    if (h->refuse)
        return err_set(e, ERR_SYS, "nobody takes it");
    msg_destroy(m);
    return 0;
}

static void commits_go_on_before_the_disk_has_them(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct handed h = {.w = need_open("gptq", 0)};
    struct msg *m = tiny_solution(model, 3, &o);

    (void)state;
    write_hand(h.w, take_handed, &h);
    assert_int_equal(write_solution(h.w, &m, &e), 1);
    assert_null(m);
    assert_int_equal(journal_lines(), 2);
    assert_int_equal(give(h.w, 3, &o, &e), 0);
    assert_int_equal(h.count, 1);
    h.refuse = 1;
    assert_int_equal(give(h.w, 2, &o, &e), -1);
    assert_string_equal(e.text, "nobody takes it");
    assert_int_equal(h.count, 2);
    assert_int_equal(journal_lines(), 2);
    write_close(&h.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(commits_go_on_before_the_disk_has_them, remove_out),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}
