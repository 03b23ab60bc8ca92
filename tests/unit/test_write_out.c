/* SPDX-License-Identifier: Apache-2.0 */
/* The output folder of a writer: durable from the start, and who is told what when it is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../common/base/fs.h"
#include "../../common/base/mem.h"
#include "../../common/wire/follow.h"
#include "../../stages/write/write_out.h"

static char root[64], synced[64][256];
static size_t nsynced;

/* In place of the library's: notes what is synced, and what lies in it at that time. */
int fsync(int fd)
{
    char link[40];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, synced[nsynced % 64], 200);
    if (n > 0) {
        char *path = synced[nsynced++ % 64], inside[256];

        path[n] = '\0';
        snprintf(inside, sizeof inside, "%.200s/journal.jsonl", path);
        if (fs_exists(inside))
            strcat(path, " with journal");
    }
    return (int)syscall(SYS_fsync, fd);
}

static int was_synced(const char *name, const char *with)
{
    char path[256];

    snprintf(path, sizeof path, "%s%s%s", root, name, with);
    for (size_t i = 0; i < nsynced && i < 64; i++)
        if (strcmp(synced[i], path) == 0)
            return 1;
    return 0;
}

static void a_new_folder_is_durable_before_the_first_site(void **state)
{
    char *path = fs_join(root, "a/b/out", NULL);
    struct out_folder o;
    struct err e = {0};

    (void)state;
    assert_int_equal(out_open(&o, path, OUT_REFUSE, &e), 0);
    assert_int_equal(out_show(&o, &e), 0);
    assert_true(was_synced("/a/b/out/.ptqflow", " with journal"));
    assert_true(was_synced("/a/b/out", ""));
    assert_true(was_synced("/a/b", ""));
    assert_true(was_synced("/a", ""));
    assert_true(was_synced("", ""));
    out_release(&o);
    free(path);
}

static void a_taken_folder_names_who_is_at_work(void **state)
{
    char *path = fs_join(root, "busy", NULL), mine[64];
    struct out_folder o, p;
    struct err e = {0};

    (void)state;
    assert_int_equal(out_open(&o, path, OUT_REFUSE, &e), 0);
    assert_int_equal(out_show(&o, &e), 0);
    assert_int_equal(out_open(&p, path, OUT_REPLACE, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    snprintf(mine, sizeof mine, "(process %ld, since 20", (long)getpid());
    assert_non_null(strstr(e.text, mine));
    out_release(&o);
    assert_int_equal(out_open(&p, path, OUT_REPLACE, &e), 0);
    out_release(&p);
    free(path);
}

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/ptq_out_XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    (void)state;
    return fs_remove_tree(root, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_folder_is_durable_before_the_first_site),
        cmocka_unit_test(a_taken_folder_names_who_is_at_work),
    };

    return cmocka_run_group_tests_name("write_out", tests, make_root, drop_root);
}
