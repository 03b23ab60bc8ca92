/* SPDX-License-Identifier: Apache-2.0 */
/* term - how wide the terminal is. */
#ifndef PTQ_TERM_H
#define PTQ_TERM_H

#include <stddef.h>

#define TERM_LEAST 20

/* Columns of the terminal behind fd, at least TERM_LEAST; 0 when there is none, or it does not
 * say. */
size_t term_columns(int fd);
/* Cuts text to what fits a line of so many columns, the last of which stays free; 0: as it is. */
void term_clip(char *text, size_t columns);

#endif
