/* SPDX-License-Identifier: Apache-2.0 */
/* Following the writer's folder: before it is there, while it fills, after the writer ended
 * well, failed, or died. The writers here are the real one (stages/write), in this process or in
 * a child. */
#include <signal.h>
#include <sys/wait.h>

#include "../../common/base/clock.h"
#include "../../common/wire/follow.h"
#include "writer_run.h"

static const struct tiny_opts plain = TINY_OPTS;

static struct follow *need_follow(void)
{
    struct err e = {0};
    struct follow *f = follow_open(out, &e);

    assert_non_null(f);
    return f;
}

static void takes(struct follow *f, uint64_t order)
{
    struct solution_view v;
    struct err e = {0};
    struct msg *m;

    if (follow_next(f, order, &m, -1, &e) != 1)
        fail_msg("%s", e.text);
    assert_int_equal(m->kind, MSG_COMMIT);
    assert_int_equal(solution_read(m, &v, &e), 0);
    assert_int_equal(v.order, order);
    msg_destroy(&m);
}

static void fails(struct follow *f, uint64_t order, const char *text)
{
    struct err e = {0};
    struct msg *m;

    assert_int_equal(follow_next(f, order, &m, -1, &e), -1);
    assert_null(m);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
}

static void waits(struct follow *f, uint64_t order)
{
    struct err e = {0};
    struct msg *m;

    assert_int_equal(follow_next(f, order, &m, 0, &e), 2);
    assert_int_equal(follow_next(f, order, &m, 20, &e), 2);
    assert_null(m);
}

static void names(void **state)
{
    char name[32];

    (void)state;
    follow_part_name(0, name);
    assert_string_equal(name, "00000.ptq");
    follow_part_name(1234567, name);
    assert_string_equal(name, "1234567.ptq");
    follow_close(NULL);
}

static void from_before_the_folder_is_there(void **state)
{
    struct follow *f = need_follow();
    struct err e = {0};
    struct writer *w;

    (void)state;
    waits(f, 0);
    w = need_open("gptq", 0);
    waits(f, 0);
    assert_int_equal(give(w, 1, &plain, &e), 1);
    waits(f, 0);
    takes(f, 1);
    takes(f, 1);
    for (size_t i = 0; i < TINY_SITES; i++)
        assert_int_equal(give(w, i, &plain, &e), i != 1);
    takes(f, TINY_SITES - 1);
    follow_close(&f);
    assert_null(f);
    write_close(&w);
}

static void bad_parts(void **state)
{
    char path[600];
    struct writer *w = need_open("gptq", 0);
    struct follow *f = need_follow();
    struct err e = {0};

    (void)state;
    assert_int_equal(give(w, 0, &plain, &e), 1);
    snprintf(path, sizeof path, "%s/" FOLLOW_PARTS "/00002.ptq", out);
    assert_int_equal(fs_copy(at("@" FOLLOW_PARTS "/00000.ptq"), path, &e), 0);
    fails(f, 2, "is not the commit of site number 2");
    put(path, "");
    fails(f, 2, "is empty");
    put(path, "PTQ1 and then nothing");
    fails(f, 2, "00002.ptq");
    follow_close(&f);
    write_close(&w);
}

/* What an earlier run left is not this run's: neither its parts nor its failure. */
static void leftovers(void **state)
{
    struct writer *w = need_open("gptq", 0);
    struct follow *f;
    struct err e = {0};

    (void)state;
    assert_int_equal(give(w, 0, &plain, &e), 1);
    err_set(&e, ERR_DATA, "old trouble");
    write_fail(w, &e);
    write_close(&w);
    f = need_follow();
    waits(f, 0);
    w = need_open("gptq", 1);
    waits(f, 0);
    assert_int_equal(give(w, 0, &plain, &e), 1);
    takes(f, 0);
    err_set(&e, ERR_DATA, "new trouble");
    write_fail(w, &e);
    takes(f, 0);
    write_close(&w);
    takes(f, 0);
    fails(f, 1, "new trouble");
    follow_close(&f);
}

static void ends_well(void **state)
{
    struct writer *w = need_open("gptq", 0);
    struct follow *f = need_follow();
    struct err e = {0};
    struct msg *m;

    (void)state;
    waits(f, 0);
    for (size_t i = 0; i < TINY_SITES; i++)
        assert_int_equal(give(w, i, &plain, &e), 1);
    assert_int_equal(write_finish(w, &e), 0);
    write_close(&w);
    assert_int_equal(follow_next(f, 0, &m, -1, &e), 0);
    follow_close(&f);
}

/* A child that claims OUT, commits site 0 and then does as it is told. Returns its id once it
 * holds OUT. */
static pid_t child(int dies)
{
    int ready[2];
    char c;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    if ((pid = fork()) == 0) {
        struct err e = {0};
        struct writer *w = need_open("gptq", 0);

        give(w, 0, &plain, &e);
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        if (dies)
            pause();
        for (size_t i = 1; i < TINY_SITES; i++)
            give(w, i, &plain, &e);
        pause();
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void killed_writer(void **state)
{
    struct follow *f = need_follow();
    pid_t pid = child(1), killer;

    (void)state;
    takes(f, 0);
    waits(f, 1);
    /* The writer dies while the follower waits. */
    if ((killer = fork()) == 0) {
        kill(pid, SIGKILL);
        _exit(0);
    }
    waitpid(killer, NULL, 0);
    fails(f, 1, "is gone");
    waitpid(pid, NULL, 0);
    follow_close(&f);
}

static void wakes_up(void **state)
{
    double start = clock_wall();
    struct follow *f = need_follow();
    pid_t pid = child(0);

    (void)state;
    for (uint64_t i = 0; i < TINY_SITES; i++)
        takes(f, i);
    assert_true(clock_wall() - start < 60);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    follow_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test_teardown(from_before_the_folder_is_there, remove_out),
        cmocka_unit_test_teardown(bad_parts, remove_out),
        cmocka_unit_test_teardown(leftovers, remove_out),
        cmocka_unit_test_teardown(ends_well, remove_out),
        cmocka_unit_test_teardown(killed_writer, remove_out),
        cmocka_unit_test_teardown(wakes_up, remove_out),
    };

    return cmocka_run_group_tests_name("follow", tests, make_root, remove_root);
}
