/* sig - SIGTERM and SIGINT ask to drain, a second one exits at once with 111; SIGPIPE is ignored. */
#ifndef PTQ_SIG_H
#define PTQ_SIG_H

#include "err.h"

int sig_init(struct err *e);
int sig_draining(void);  /* 1 after the first SIGTERM or SIGINT */
int sig_fd(void);        /* becomes readable when draining starts; for poll loops */

#endif
