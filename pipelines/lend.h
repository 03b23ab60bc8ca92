/* SPDX-License-Identifier: Apache-2.0 */
/* lend - a head lends the files of its model to workers that have no copy of it.
 *
 * A thread with a socket of its own, so that neither a disk nor a worker keeps the run waiting. It
 * reads files of the list that it has made itself (lent.h), by their number; what is on its way to
 * one worker, and to all, is bounded. */
#ifndef PTQ_LEND_H
#define PTQ_LEND_H

#include <stddef.h>
#include <stdint.h>
#include "../common/base/err.h"

#define LEND_PIECE ((size_t)256 << 10)
#define LEND_AHEAD 8 /* pieces that a worker may ask for before they have come */

struct lend;

/* model: of the run, looked at when somebody asks. url: tcp://ADDRESS:PORT, PORT may be *. keys: a
 * folder, or NULL. The words between both ends are in INTERFACES.md, 4.1. */
struct lend *lend_open(const char *model, const char *url, const char *keys, struct err *e);
/* Where it can be reached, as url but with the port. */
const char *lend_address(const struct lend *l);
/* Bytes of files that were sent. */
uint64_t lend_sent(struct lend *l);
void lend_close(struct lend **l);

#endif
