/* SPDX-License-Identifier: Apache-2.0 */
/* link_pair - what the tests of links share: endpoints in a folder of their own, numbered
 * messages, sends and receives that must succeed. */
#ifndef PTQ_TEST_LINK_PAIR_H
#define PTQ_TEST_LINK_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../common/base/clock.h"
#include "../../common/base/fs.h"
#include "../../common/base/mem.h"
#include "../../common/base/sig.h"
#include "../../common/wire/link.h"
#include "../../common/wire/link_impl.h"

static char folder[] = "/tmp/ptq-link-XXXXXX";
static char url[128], bound[160], path[128];

static inline int setup(void **state)
{
    static int turn;

    (void)state;
    snprintf(url, sizeof url, "ipc://%s/s%d", folder, ++turn);
    snprintf(bound, sizeof bound, "@%s", url);
    snprintf(path, sizeof path, "%s/f%d", folder, turn);
    return 0;
}

#define IN(...) (&(struct link_opts){.name = "eater", __VA_ARGS__})
#define OUT(...) (&(struct link_opts){.name = "maker", __VA_ARGS__})

static inline struct link *open_ok(const char *endpoint, enum link_dir dir,
                                   const struct link_opts *o)
{
    struct err e = {0};
    struct link *l = link_open(endpoint, dir, o, &e);

    if (!l)
        fail_msg("%s", e.text);
    return l;
}

static inline struct msg *message(int i, uint64_t bytes)
{
    struct err e = {0};
    struct msg *m = msg_create(MSG_CHUNK, "test", &e);
    unsigned char *data;

    assert_non_null(m);
    assert_int_equal(msg_set_id(m, &e, "m%d", i), 0);
    data = msg_add_new(m, "x", DT_U8, 1, &bytes, &e);
    assert_non_null(data);
    memset(data, i, bytes);
    return m;
}

static inline void send_ok(struct link *l, int i, uint64_t bytes)
{
    struct err e = {0};
    struct msg *m = message(i, bytes);

    if (link_send(l, &m, &e) != 0)
        fail_msg("%s", e.text);
    assert_null(m);
}

static inline int number_of(const struct msg *m)
{
    const char *slash = strchr(m->id, '/');
    int n = -1;

    assert_int_equal(sscanf(slash ? slash + 1 : m->id, "m%d", &n), 1);
    return n;
}

/* The next message is number i. */
static inline void recv_ok(struct link *l, int i)
{
    struct err e = {0};
    struct msg *m;
    const struct tensor *t;
    int r = link_recv(l, &m, 10000, &e);

    if (r != 1)
        fail_msg("message %d: %d %s", i, r, e.text);
    assert_int_equal(number_of(m), i);
    t = msg_tensor(m, "x");
    assert_non_null(t);
    for (size_t k = 0; k < t->bytes; k++)
        if (((unsigned char *)t->data)[k] != (unsigned char)i)
            fail_msg("message %d: byte %zu is wrong", i, k);
    msg_destroy(&m);
}

static inline void recv_end(struct link *l)
{
    struct err e = {0};
    struct msg *m;
    int r = link_recv(l, &m, 10000, &e);

    if (r != 0)
        fail_msg("%d %s", r, e.text);
}

static inline void recv_fails(struct link *l, enum err_kind kind, const char *text)
{
    struct err e = {0};
    struct msg *m = NULL;
    int r;

    while ((r = link_recv(l, &m, 20000, &e)) == 1)
        msg_destroy(&m);
    assert_int_equal(r, -1);
    assert_int_equal(e.kind, kind);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
}

static inline void end_ok(struct link *l)
{
    struct err e = {0};

    if (link_end(l, 1, NULL, &e) < 0)
        fail_msg("%s", e.text);
}

static inline pid_t spawn(void (*work)(int said), int *said)
{
    int p[2];
    pid_t pid;

    assert_int_equal(pipe(p), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(p[0]);
        work(p[1]);
        _exit(99);
    }
    close(p[1]);
    *said = p[0];
    return pid;
}

static inline void say(int fd)
{
    if (write(fd, "x", 1) != 1)
        _exit(98);
}

static inline void hear(int fd)
{
    char c;

    assert_int_equal(read(fd, &c, 1), 1);
}

static inline int finish(pid_t pid, int fd)
{
    int status;

    close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static inline int link_tests_run(const char *name, const struct CMUnitTest *tests, size_t n)
{
    int failed;

    if (!mkdtemp(folder))
        return 1;
    signal(SIGPIPE, SIG_IGN);
    failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
    fs_remove_tree(folder, NULL);
    return failed;
}

#endif
