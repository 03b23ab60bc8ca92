/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_lend - which workers have the model, and where those without get it (lend.h). A worker
 * without it takes no part in the forward pass, and the run does not wait for it. */
#ifndef PTQ_HOSTS_LEND_H
#define PTQ_HOSTS_LEND_H

#include "../common/base/err.h"
#include "../common/base/json.h"

struct host;
struct hosts;
struct supervise;

int hosts_lend_open(struct hosts *h, struct err *e);
void hosts_lend_close(struct hosts *h);
/* Adds "model" and "lends" to what is said to a worker, where workers take part. 0/-1. */
int hosts_lend_say(const struct supervise *s, struct json *meta);
/* A worker has said something. */
void hosts_lend_heard(const struct supervise *s, struct host *x, const struct json *meta);

#endif
