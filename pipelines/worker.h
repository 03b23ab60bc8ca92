/* SPDX-License-Identifier: Apache-2.0 */
/* worker - `ptq worker`: processes of a run whose head is another host (hosts.h). It says what it
 * offers, starts what it is told to, and ends with the run. What it is told: INTERFACES.md, 6. */
#ifndef PTQ_WORKER_H
#define PTQ_WORKER_H

int worker_main(int argc, char **argv);

#endif
