/* SPDX-License-Identifier: Apache-2.0 */
/* sig - the drain flag, and a pipe that becomes readable with it so that poll loops wake up. */
#include "sig.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t asked;
static int wake[2] = {-1, -1};
static char stack[1 << 16]; /* of handlers; a frame with the registers of AMX takes 11 KiB */

static void on_signal(int number)
{
    (void)number;
    if (asked)
        _exit(ERR_SYS);
    asked = 1;
    if (write(wake[1], "d", 1) < 0)
        return; /* the flag is set anyway */
}

/* 0, or -1: errno says why. */
static int take(int number, const struct sigaction *a)
{
    struct sigaction before;

    if (sigaction(number, NULL, &before) < 0)
        return -1;
    return before.sa_handler == SIG_IGN ? 0 : sigaction(number, a, NULL);
}

int sig_init_end(struct err *e)
{
    const struct sigaction a = {.sa_handler = SIG_IGN};

    return take(SIGXFSZ, &a) < 0 ? err_sys(e, "cannot ignore SIGXFSZ") : 0;
}

int sig_init_print(struct err *e)
{
    const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction a;

    if (wake[0] < 0 && pipe2(wake, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_sys(e, "cannot make a pipe for signals");
    if (sigaltstack(&own, NULL) < 0)
        return err_sys(e, "cannot give signals a stack");
    memset(&a, 0, sizeof a);
    sigfillset(&a.sa_mask);
    a.sa_flags = SA_ONSTACK;
    a.sa_handler = on_signal;
    if (take(SIGTERM, &a) < 0 || take(SIGINT, &a) < 0)
        return err_sys(e, "cannot catch signals");
    return sig_init_end(e);
}

int sig_init(struct err *e)
{
    const struct sigaction a = {.sa_handler = SIG_IGN};

    if (sig_init_print(e) < 0)
        return -1;
    return take(SIGPIPE, &a) < 0 ? err_sys(e, "cannot ignore SIGPIPE") : 0;
}

int sig_draining(void)
{
    return asked != 0;
}

int sig_fd(void)
{
    return wake[0];
}
