/* SPDX-License-Identifier: Apache-2.0 */
/* std - see std.h. Children inherit what is held. */
#include "std.h"

#include <fcntl.h>
#include <unistd.h>

int std_was_closed(int fd)
{
    const int flags = fcntl(fd, F_GETFL);

    return flags < 0 || (flags & O_PATH) != 0;
}

void std_hold(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0) {
            const int got = open("/", O_PATH | O_DIRECTORY); /* the lowest that is free: fd */

            if (got >= 0 && got != fd)
                close(got);
        }
}
