/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of runs: made, swept when their run is dead, left alone when it lives or when they are
 * something else; the owner of a lock. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/base/fs.h"
#include "../../pipelines/rundir.h"

static char base[64];

static void socket_in(const char *dir, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", dir, name);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
}

static void file_in(const char *dir, const char *name)
{
    struct err e = {0};
    char *path = fs_join(dir, name, &e);

    assert_int_equal(fs_publish(path, "x", 1, &e), 0);
    free(path);
}

static int there(const char *dir, const char *name)
{
    char *path = fs_join(dir, name, NULL);
    int yes = fs_exists(path);

    free(path);
    return yes;
}

/* A run in another process, which lives until it is killed. */
static pid_t run_start(char path[80])
{
    int up[2];
    pid_t pid;

    assert_int_equal(pipe(up), 0);
    pid = fork();
    if (pid == 0) {
        struct rundir d;
        struct err e = {0};

        if (rundir_open(&d, &e) != 0)
            _exit(1);
        socket_in(d.path, "control");
        socket_in(d.path, "acts");
        if (write(up[1], d.path, strlen(d.path) + 1) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    close(up[1]);
    assert_true(read(up[0], path, 80) > 0);
    close(up[0]);
    return pid;
}

static void run_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_folder_is_private_and_goes(void **state)
{
    struct rundir d;
    struct err e = {0};
    struct stat st;
    char path[80];

    (void)state;
    assert_int_equal(rundir_open(&d, &e), 0);
    snprintf(path, sizeof path, "%s", d.path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    socket_in(path, "control");
    rundir_close(&d, 0);
    assert_false(fs_exists(path));
    rundir_close(&d, 0);
    assert_int_equal(rundir_open(&d, &e), 0);
    snprintf(path, sizeof path, "%s", d.path);
    file_in(path, "solve.log");
    rundir_close(&d, 1);
    assert_true(there(path, "solve.log"));
    assert_false(there(path, RUNDIR_LOCK));
    setenv("XDG_RUNTIME_DIR", "/dev/null", 1);
    assert_string_equal(rundir_base(), "/tmp");
    setenv("XDG_RUNTIME_DIR", base, 1);
}

static void the_dead_are_swept_the_living_not(void **state)
{
    char one[80], two[80], kept[80], control[100], who[OWNER_TEXT], mine[40];
    pid_t dead = run_start(one), alive = run_start(two), logged = run_start(kept);
    struct rundir d;
    struct err e = {0};

    (void)state;
    file_in(kept, "solve.log");
    snprintf(control, sizeof control, "%s/control", two);
    snprintf(mine, sizeof mine, "process %ld, since 20", (long)alive);
    assert_int_equal(rundir_lives(control, who), 1);
    assert_memory_equal(who, mine, strlen(mine));
    run_kill(dead);
    run_kill(logged);
    snprintf(control, sizeof control, "%s/control", one);
    assert_int_equal(rundir_lives(control, who), 0);
    assert_int_equal(rundir_lives("/no/such/control", who), 0);
    assert_int_equal(rundir_open(&d, &e), 0);
    assert_false(fs_exists(one));
    assert_true(there(two, "control"));
    assert_true(there(kept, "solve.log")); /* its sockets go */
    assert_false(there(kept, "control"));
    rundir_close(&d, 0);
    run_kill(alive);
    assert_int_equal(rundir_open(&d, &e), 0);
    assert_false(fs_exists(two));
    rundir_close(&d, 0);
}

static void what_is_no_run_is_left_alone(void **state)
{
    char *named = fs_join(base, "ptq-models", NULL), *other = fs_join(base, "ptq-lock77", NULL),
         *longer = fs_join(base, "ptq-longer-name", NULL), *target = fs_join(base, "target", NULL),
         *lock = fs_join(other, RUNDIR_LOCK, NULL);
    struct rundir d;
    struct err e = {0};

    (void)state;
    assert_int_equal(fs_mkdir(named, &e), 0);
    file_in(named, "weights");
    assert_int_equal(fs_mkdir(longer, &e), 0);
    file_in(longer, RUNDIR_LOCK);
    assert_int_equal(fs_mkdir(other, &e), 0);
    file_in(base, "target");
    assert_int_equal(symlink(target, lock), 0);
    socket_in(other, "control");
    assert_int_equal(rundir_open(&d, &e), 0);
    rundir_close(&d, 0);
    assert_true(there(named, "weights"));
    assert_true(there(longer, RUNDIR_LOCK));
    assert_true(there(other, "control"));
    assert_true(fs_exists(target));
    free(lock);
    free(target);
    free(longer);
    free(other);
    free(named);
}

static void a_lock_says_whose_it_is(void **state)
{
    char *path = fs_join(base, "lock", NULL), who[OWNER_TEXT], mine[40];
    struct err e = {0};
    int fd = open(path, O_RDWR | O_CREAT, 0600), again = open(path, O_RDWR);

    (void)state;
    assert_int_equal(owner_lives("/no/such", who), 0);
    assert_int_equal(owner_lives(path, who), 0);
    assert_int_equal(owner_take(-1, path, &e), -1);
    assert_int_equal(owner_take(fd, path, &e), 0);
    assert_int_equal(owner_take(again, path, &e), 1);
    assert_int_equal(owner_lives(path, who), 1);
    snprintf(mine, sizeof mine, "process %ld, since 20", (long)getpid());
    assert_memory_equal(who, mine, strlen(mine));
    assert_null(strchr(who, '\n'));
    assert_int_equal(ftruncate(fd, 0), 0); /* of a version that writes nothing into it */
    assert_int_equal(owner_lives(path, who), 1);
    assert_string_equal(who, "another process");
    close(fd);
    assert_int_equal(owner_lives(path, who), 0);
    close(again);
    free(path);
}

static int make_base(void **state)
{
    (void)state;
    snprintf(base, sizeof base, "/tmp/ptq_rundir_XXXXXX");
    if (!mkdtemp(base))
        return -1;
    return setenv("XDG_RUNTIME_DIR", base, 1);
}

static int drop_base(void **state)
{
    (void)state;
    return fs_remove_tree(base, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_private_and_goes),
        cmocka_unit_test(the_dead_are_swept_the_living_not),
        cmocka_unit_test(what_is_no_run_is_left_alone),
        cmocka_unit_test(a_lock_says_whose_it_is),
    };

    return cmocka_run_group_tests_name("rundir", tests, make_base, drop_base);
}
