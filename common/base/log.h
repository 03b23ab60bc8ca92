/* SPDX-License-Identifier: Apache-2.0 */
/* log - lines on stderr: "stage: message", "stage: warning: message", "stage: fatal: message".
 * Only mains and the pieces that say so log; cores return errors. A line that cannot be written
 * is lost without a word. */
#ifndef PTQ_LOG_H
#define PTQ_LOG_H

#include "err.h"

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_VERBOSE };

void log_init(const char *stage, enum log_level level);
void log_info(const char *fmt, ...) ERR_PRINTF(1, 2);   /* NORMAL and up */
void log_detail(const char *fmt, ...) ERR_PRINTF(1, 2); /* VERBOSE only */
void log_warn(const char *fmt, ...) ERR_PRINTF(1, 2);   /* always */
void log_fatal(const struct err *e);                    /* always */

#endif
