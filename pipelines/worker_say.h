/* SPDX-License-Identifier: Apache-2.0 */
/* worker_say - the words of a worker to its head (INTERFACES.md, 4.1). One that cannot be sent is
 * said in the log; each is said again in its time. */
#ifndef PTQ_WORKER_SAY_H
#define PTQ_WORKER_SAY_H

struct worker;

void worker_say_join(struct worker *w);
void worker_say_ping(struct worker *w);
void worker_say_leave(struct worker *w, const char *why);

#endif
