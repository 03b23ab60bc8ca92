/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that another process reads: what a handle opens, what it does not, and when a block is
 * used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../common/wire/share.h"

#define MIB ((size_t)1 << 20)

static char *block(size_t bytes, int fill, unsigned char handle[SHARE_HANDLE])
{
    char *at = share_alloc(bytes);

    assert_non_null(at);
    assert_int_equal((uintptr_t)at % 4096, 0);
    memset(at, fill, bytes);
    assert_int_equal(share_find(at, bytes, handle), 1);
    return at;
}

static void refused(pid_t pid, const unsigned char handle[SHARE_HANDLE], size_t bytes)
{
    struct err e = {0};
    struct part p;

    assert_int_equal(share_open(pid, handle, bytes, SHARE_TO_WRITE, &p, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
}

/* The handle with another number in place i. */
static void refused_with(const unsigned char handle[SHARE_HANDLE], int i, uint64_t x, size_t bytes)
{
    uint64_t h[3];
    unsigned char other[SHARE_HANDLE];

    memcpy(h, handle, sizeof h);
    h[i] = x;
    memcpy(other, h, sizeof other);
    refused(getpid(), other, bytes);
}

static size_t released;

static void release(void *owner)
{
    free(owner);
    released++;
}

static struct tensor lying(size_t bytes)
{
    const uint64_t shape[1] = {bytes};
    struct err e = {0};
    struct tensor t;
    char *data = malloc(bytes);

    assert_non_null(data);
    memset(data, 'w', bytes);
    assert_int_equal(tensor_borrow(&t, "w", DT_U8, 1, shape, data, &e), 0);
    t.owner = data;
    t.release = release;
    return t;
}

static void test_not_before(void **state)
{
    unsigned char handle[SHARE_HANDLE];
    struct err e = {0};
    struct tensor t;
    char *at;

    (void)state;
    assert_null(share_alloc(MIB));
    at = share_raw(MIB, &e); /* other memory */
    assert_non_null(at);
    assert_int_equal(share_find(at, 16, handle), 0);
    share_free(at);
    at = share_probe(16); /* to find out whether it can be read */
    assert_non_null(at);
    assert_int_equal(share_find(at, 16, handle), 1);
    share_free(at);
    share_free(NULL);
    t = lying(MIB);
    share_move(&t);
    assert_true(t.release == release);
    tensor_release(&t);
    share_begin();
    assert_null(share_alloc(0));
    assert_null(share_alloc(SHARE_LEAST - 1));
    assert_null(share_alloc(SIZE_MAX));
    assert_null(share_alloc((size_t)1 << 50));
}

static void test_reads(void **state)
{
    unsigned char handle[SHARE_HANDLE], none[SHARE_HANDLE];
    struct err e = {0};
    struct part p;
    char *at = block(MIB, 'a', handle);

    (void)state;
    assert_int_equal(share_find(at + 1, 1, none), 0);
    assert_int_equal(share_find(at, 2 * MIB, none), 0);
    assert_int_equal(share_find(&e, 1, none), 0);
    assert_int_equal(share_open(getpid(), handle, MIB, SHARE_TO_WRITE, &p, &e), 0);
    assert_int_equal(p.bytes, MIB);
    assert_memory_equal(p.data, at, MIB);
    memset(p.data, 'b', MIB); /* what a reader writes is its own */
    assert_int_equal(at[0], 'a');
    share_free(at);
    assert_int_equal(share_find(at, 1, none), 0);
    part_release(&p);
}

/* How many mappings of blocks there are that can only be read. */
static int mapped(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;

    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        n += strstr(line, " r--s ") && strstr(line, "memfd:ptq");
    fclose(f);
    return n;
}

static void read_ok(const unsigned char handle[SHARE_HANDLE], size_t bytes, int fill,
                    struct part *p)
{
    struct err e = {0};

    assert_int_equal(share_open(getpid(), handle, bytes, SHARE_TO_READ, p, &e), 0);
    assert_int_equal(p->bytes, bytes);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(((const char *)p->data)[i], fill);
}

/* It stays mapped for the next use of its block, whatever its length, and goes with the block. */
static void test_stays_mapped(void **state)
{
    unsigned char first[SHARE_HANDLE], second[SHARE_HANDLE];
    char *at = block(2 * MIB, 'a', first), *large;
    struct err e = {0};
    struct part p, q;
    int before;

    (void)state;
    read_ok(first, MIB, 'a', &p);
    read_ok(first, MIB, 'a', &q); /* at the same time: another */
    assert_ptr_not_equal(p.data, q.data);
    part_release(&q);
    share_free(at);
    large = block(2 * MIB, 'l', second); /* the first is read still */
    assert_ptr_not_equal(large, at);
    share_free(large);
    part_release(&p);
    assert_int_equal(mapped(), 2);
    at = block(2 * MIB, 'b', second);
    assert_int_equal(share_open(getpid(), first, MIB, SHARE_TO_READ, &p, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    read_ok(second, 2 * MIB, 'b', &p);
    assert_in_range(mapped(), 2, 3); /* the second block may be either */
    part_release(&p);
    share_free(at);
    at = block(40 * MIB, 'c', first); /* more than is kept: it goes when it is free */
    read_ok(first, 40 * MIB, 'c', &p);
    before = mapped();
    share_free(at);
    assert_int_equal(mapped(), before);
    part_release(&p);
    assert_int_equal(mapped(), before - 1);
}

/* Another process with a block of its own, and what names it. */
static pid_t owner(unsigned char handle[SHARE_HANDLE])
{
    int way[2];
    pid_t pid;

    assert_int_equal(pipe(way), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        unsigned char mine[SHARE_HANDLE];
        char *at = share_probe(MIB);

        if (at && share_find(at, MIB, mine))
            memset(at, 'o', MIB);
        if (!at || write(way[1], mine, sizeof mine) != sizeof mine)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(way[0], handle, SHARE_HANDLE), SHARE_HANDLE);
    close(way[0]);
    close(way[1]);
    return pid;
}

/* Of a process that was killed nothing stays mapped once others are read. */
static void test_of_the_dead(void **state)
{
    unsigned char handle[SHARE_HANDLE];
    const int before = mapped();
    struct err e = {0};
    struct part p;

    (void)state;
    for (int i = 0; i < 3; i++) {
        const pid_t pid = owner(handle);

        assert_int_equal(share_open(pid, handle, MIB, SHARE_TO_READ, &p, &e), 0);
        assert_int_equal(((const char *)p.data)[MIB - 1], 'o');
        part_release(&p);
        assert_int_equal(mapped(), before + 1);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
}

static void test_only_read(void **state)
{
    unsigned char handle[SHARE_HANDLE];
    char *at = block(MIB, 'a', handle);
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err e = {0};
        struct part p;

        signal(SIGSEGV, SIG_DFL);
        if (share_open(getppid(), handle, MIB, SHARE_TO_READ, &p, &e) < 0)
            _exit(1);
        *(volatile char *)p.data = 'b';
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) > 1); /* of a sanitizer */
    assert_int_equal(at[0], 'a');
    share_free(at);
}

/* A large tensor moves once, and lets go of what it had; a small one stays. */
static void test_moves(void **state)
{
    unsigned char handle[SHARE_HANDLE];
    struct tensor t = lying(MIB), small = lying(SHARE_LEAST - 1);
    const void *at = small.data;

    (void)state;
    released = 0;
    share_move(&t);
    assert_int_equal(released, 1);
    assert_int_equal(share_find(t.data, t.bytes, handle), 1);
    for (size_t i = 0; i < MIB; i++)
        assert_int_equal(((const char *)t.data)[i], 'w');
    share_move(&small);
    assert_ptr_equal(small.data, at);
    at = t.data;
    share_move(&t);
    assert_ptr_equal(t.data, at);
    tensor_release(&t);
    tensor_release(&small);
    assert_int_equal(released, 2);
    assert_int_equal(share_find(at, 1, handle), 0);
}

static void test_hostile(void **state)
{
    unsigned char handle[SHARE_HANDLE];
    struct stat st;
    uint64_t h[3];
    char *at = block(MIB, 'a', handle);
    int fd;

    (void)state;
    memcpy(h, handle, sizeof h);
    refused(getpid(), handle, MIB + 1);
    refused(getpid(), handle, SIZE_MAX - 4096);
    refused(0, handle, MIB);
    refused(-1, handle, MIB);
    refused(getppid(), handle, MIB);
    refused_with(handle, 0, 9999, MIB);
    refused_with(handle, 0, UINT64_MAX, MIB);
    refused_with(handle, 0, 0, MIB);
    refused_with(handle, 1, h[1] + 1, MIB);
    refused_with(handle, 2, h[2] + 1, MIB);
    /* a file that has a name, and one that could be cut under the reader */
    fd = open("/proc/self/exe", O_RDONLY);
    assert_int_equal(fstat(fd, &st), 0);
    h[0] = (uint64_t)fd;
    h[1] = st.st_ino;
    memcpy(handle, h, sizeof handle);
    refused(getpid(), handle, 1);
    close(fd);
    fd = memfd_create("loose", MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, (off_t)(2 * MIB)), 0);
    assert_int_equal(fstat(fd, &st), 0);
    h[0] = (uint64_t)fd;
    h[1] = st.st_ino;
    h[2] = 0;
    memcpy(handle, h, sizeof handle);
    refused(getpid(), handle, MIB);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    {
        struct err e = {0};
        struct part p;

        assert_int_equal(share_open(getpid(), handle, MIB, SHARE_TO_WRITE, &p, &e), 0);
        part_release(&p);
    }
    close(fd);
    share_free(at);
}

static void test_used_again_when_read(void **state)
{
    unsigned char first[SHARE_HANDLE], second[SHARE_HANDLE], third[SHARE_HANDLE];
    struct err e = {0};
    struct part p;
    char *at = block(3 * MIB, 'a', first), *other;

    (void)state;
    assert_int_equal(share_open(getpid(), first, 3 * MIB, SHARE_TO_WRITE, &p, &e), 0);
    share_free(at);
    other = block(3 * MIB, 'b', second); /* that one is read still */
    assert_ptr_not_equal(other, at);
    for (size_t i = 0; i < 3 * MIB; i++)
        assert_int_equal(((char *)p.data)[i], 'a');
    part_release(&p);
    share_free(other);
    other = block(2 * MIB, 'c', third);
    assert_true(other == at || memcmp(third, second, 16) == 0);
    refused(getpid(), other == at ? first : second, MIB); /* its number is over */
    share_free(other);
}

/* A reader that is killed holds nothing; one that only sleeps does. */
static void test_reader_dies(void **state)
{
    unsigned char handle[SHARE_HANDLE];
    struct err e = {0};
    char *at = block(5 * MIB, 'a', handle), *other, byte;
    const pid_t parent = getpid();
    int said[2], status;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(said), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct part p;

        if (share_open(parent, handle, 5 * MIB, SHARE_TO_WRITE, &p, &e) < 0 ||
            write(said[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(said[0], &byte, 1), 1);
    share_free(at);
    other = share_alloc(5 * MIB);
    assert_non_null(other);
    assert_ptr_not_equal(other, at);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    at = share_alloc(5 * MIB);
    assert_non_null(at);
    share_free(at);
    share_free(other);
    close(said[0]);
    close(said[1]);
}

/* What a reader has outlives the process that wrote it. */
static void test_writer_dies(void **state)
{
    unsigned char handle[SHARE_HANDLE];
    struct err e = {0};
    struct part p;
    int said[2], status;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(said), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        block(MIB, 'w', handle);
        if (write(said[1], handle, sizeof handle) != sizeof handle)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(said[0], handle, sizeof handle), sizeof handle);
    assert_int_equal(share_open(pid, handle, MIB, SHARE_TO_WRITE, &p, &e), 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    for (size_t i = 0; i < MIB; i++)
        assert_int_equal(((char *)p.data)[i], 'w');
    part_release(&p);
    refused(pid, handle, MIB);
    close(said[0]);
    close(said[1]);
}

/* Who does not give back gets no more; nor does anybody beyond what files may have. */
static void test_runs_out(void **state)
{
    void *data[200], *one;
    struct rlimit old, low;
    size_t n = 0;

    (void)state;
    while (n < 200 && (data[n] = share_alloc(SHARE_LEAST)))
        n++;
    assert_in_range(n, 32, 199);
    while (n)
        share_free(data[--n]);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0); /* of few descriptors few are taken */
    low = (struct rlimit){64, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (size_t i = 0; i < 200; i++) /* each time an idle one goes that is too small */
        n += (data[n] = share_alloc(40 * MIB)) != NULL;
    assert_in_range(n, 1, 8);
    while (n)
        share_free(data[--n]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = (struct rlimit){MIB, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_null(share_alloc(40 * MIB));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    one = share_alloc(40 * MIB);
    assert_non_null(one);
    share_free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_before),   cmocka_unit_test(test_reads),
        cmocka_unit_test(test_hostile),      cmocka_unit_test(test_used_again_when_read),
        cmocka_unit_test(test_reader_dies),  cmocka_unit_test(test_writer_dies),
        cmocka_unit_test(test_runs_out),     cmocka_unit_test(test_moves),
        cmocka_unit_test(test_stays_mapped), cmocka_unit_test(test_of_the_dead),
        cmocka_unit_test(test_only_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
