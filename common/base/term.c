/* SPDX-License-Identifier: Apache-2.0 */
/* term - the text that is cut is our own: a byte is a column. */
#include "term.h"

#include <string.h>
#include <sys/ioctl.h>

size_t term_columns(int fd)
{
    struct winsize w;

    if (ioctl(fd, TIOCGWINSZ, &w) < 0 || w.ws_col == 0)
        return 0;
    return w.ws_col < TERM_LEAST ? TERM_LEAST : w.ws_col;
}

void term_clip(char *text, size_t columns)
{
    if (columns && strlen(text) >= columns)
        text[columns - 1] = '\0';
}
