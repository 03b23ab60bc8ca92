/* SPDX-License-Identifier: Apache-2.0 */
/* scrape - see scrape.h. */
#include "scrape.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../common/base/clock.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "child.h"

#define PROGRAM "ptq-metrics"
#define PLACE 200 /* bytes of the address of a page */
#define END_S 2.0 /* to see that the run has ended */

/* Between fork and exec: never returns. */
static void become(const char *program, const char *run_dir, const char *address, pid_t parent,
                   int said)
{
    const int null = open("/dev/null", O_RDONLY);

    child_stand_alone(parent);
    signal(SIGTERM, SIG_DFL);
    if (dup2(said, 1) >= 0 && dup2(null, 0) >= 0)
        execl(program, PROGRAM, "--quiet", "--run", run_dir, address, (char *)NULL);
    dprintf(2, PROGRAM ": fatal: cannot execute '%s': %s\n", program, strerror(errno));
    _exit(ERR_SYS);
}

/* Its first line says where the page is. 0 where it ends without one. */
static size_t place_read(int fd, char place[PLACE])
{
    size_t n = 0;
    ssize_t got = 0;

    while (n + 1 < PLACE && (got = read(fd, place + n, PLACE - 1 - n)) != 0)
        if (got > 0 && memchr(place, '\n', n += (size_t)got))
            break;
        else if (got < 0 && errno != EINTR)
            break;
    place[n] = '\0';
    return strcspn(place, "\n") < n ? strcspn(place, "\n") : 0;
}

int scrape_start(pid_t *pid, const char *run_dir, const char *address, struct err *e)
{
    char *program = launch_find_program(PROGRAM, e), place[PLACE];
    const pid_t parent = getpid();
    int said[2] = {-1, -1}, rc = -1;
    size_t n = 0;

    *pid = 0;
    if (!program)
        return -1;
    if (pipe2(said, O_CLOEXEC) < 0 || (*pid = fork()) < 0) {
        *pid = 0;
        err_sys(e, "cannot start %s", program);
    } else if (*pid == 0) {
        become(program, run_dir, address, parent, said[1]);
    } else {
        close(said[1]);
        said[1] = -1;
        if ((n = place_read(said[0], place)) > 0) {
            log_info("metrics: %.*s", (int)n, place);
            rc = 0;
        } else {
            scrape_end(pid);
            err_set(e, ERR_USE, "--metrics '%.100s' cannot be served, as said above", address);
        }
    }
    for (int i = 0; i < 2; i++)
        if (said[i] >= 0)
            close(said[i]);
    free(program);
    return rc;
}

void scrape_end(pid_t *pid)
{
    const struct timespec nap = {.tv_nsec = 5000000};
    const double until = clock_wall() + END_S;
    pid_t ended = 0;

    while (*pid > 0 && (ended = waitpid(*pid, NULL, WNOHANG)) == 0 && clock_wall() < until)
        nanosleep(&nap, NULL);
    if (*pid > 0 && ended == 0) {
        log_warn(PROGRAM " does not end, and is killed");
        kill(*pid, SIGKILL);
        while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    *pid = 0;
}
