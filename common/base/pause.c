/* SPDX-License-Identifier: Apache-2.0 */
/* pause - a signal of the real-time kind, which queues and carries what it says. */
#include "pause.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "log.h"
#include "sig.h"
#include "status.h"

static int told = -1; /* signalfd; -1: nobody is heeded */
static int resting;   /* said last */

sigset_t pause_set(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    return set;
}

void pause_block(void)
{
    const sigset_t set = pause_set();

    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int pause_init(struct err *e)
{
    const sigset_t set = pause_set();

    pause_block();
    if (told < 0 && (told = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return err_sys(e, "cannot read signals");
    return 0;
}

static void hear(void)
{
    struct signalfd_siginfo info;

    while (read(told, &info, sizeof info) == (ssize_t)sizeof info)
        resting = info.ssi_int != 0;
}

void pause_wait(void)
{
    struct pollfd p[] = {{.fd = told, .events = POLLIN}, {.fd = sig_fd(), .events = POLLIN}};

    if (told < 0)
        return;
    hear();
    if (!resting || sig_draining())
        return;
    log_detail("rests");
    status_paused(1);
    while (resting && !sig_draining()) {
        status_alive();
        poll(p, 2, STATUS_ALIVE_MS);
        hear();
    }
    status_paused(0);
    log_detail("goes on");
}

int pause_tell(pid_t pid, int rest)
{
    return sigqueue(pid, SIGRTMIN, (union sigval){.sival_int = rest});
}
