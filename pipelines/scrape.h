/* SPDX-License-Identifier: Apache-2.0 */
/* scrape - the program that serves the metrics of this run (ptq-metrics): it is started with the
 * run, asks it through the control socket like anybody, and ends when that is closed. That it ends
 * early is no failure of the run. */
#ifndef PTQ_SCRAPE_H
#define PTQ_SCRAPE_H

#include <sys/types.h>
#include "../common/base/err.h"

/* The control socket in run_dir is open. Returns when the page is there, which is said in the log;
 * -1: it cannot be (ERR_USE: an address that is taken, or none), and *pid is 0. */
int scrape_start(pid_t *pid, const char *run_dir, const char *address, struct err *e);
/* The control socket is closed; *pid may be 0. One that does not end by that, stopped or stuck, is
 * killed after 2 s. */
void scrape_end(pid_t *pid);

#endif
