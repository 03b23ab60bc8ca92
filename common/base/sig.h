/* SPDX-License-Identifier: Apache-2.0 */
/* sig - SIGTERM and SIGINT ask to drain, a second one exits at once with 111. SIGPIPE and SIGXFSZ
 * are ignored: the write that fails says more. What the process was started to ignore (nohup, a
 * background job of a shell) stays ignored.
 *
 * Handlers run on a stack of their own (SA_ONSTACK): kernels that oneDNN makes at run time keep
 * numbers far below the stack pointer, where the system would put the frame of a handler.
 * Without it a signal in the middle of a product damages memory (tests/unit/test_sig.c). */
#ifndef PTQ_SIG_H
#define PTQ_SIG_H

#include "err.h"

int sig_init(struct err *e);
/* The same for a command that prints: SIGPIPE ends it, as it ends any filter. */
int sig_init_print(struct err *e);
/* The same for one that never asks sig_draining(): SIGTERM and SIGINT end it, too. */
int sig_init_end(struct err *e);
int sig_draining(void); /* 1 after the first SIGTERM or SIGINT */
int sig_fd(void);       /* becomes readable when draining starts; for poll loops */

#endif
