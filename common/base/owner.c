/* SPDX-License-Identifier: Apache-2.0 */
/* owner - flock and one line of text. */
#include "owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"

int owner_take(int fd, const char *path, struct err *e)
{
    char text[OWNER_TEXT], now[32] = "";
    time_t t = time(NULL);
    struct tm tm;
    int n;

    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? 1 : err_sys(e, "cannot lock '%s'", path);
    if (localtime_r(&t, &tm))
        strftime(now, sizeof now, ", since %Y-%m-%d %H:%M:%S", &tm);
    n = snprintf(text, sizeof text, "process %ld%s\n", (long)getpid(), now);
    if (ftruncate(fd, 0) < 0)
        return err_sys(e, "cannot write '%s'", path);
    return fs_pwrite_all(fd, text, (size_t)n, 0, path, e);
}

int owner_lives(const char *path, char who[OWNER_TEXT])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), lives;
    ssize_t n = 0;

    snprintf(who, OWNER_TEXT, "another process");
    if (fd < 0)
        return 0;
    lives = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    if (lives && (n = pread(fd, who, OWNER_TEXT - 1, 0)) > 0) {
        who[n] = '\0';
        for (char *c = who; *c; c++) /* it goes into messages */
            if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
                *c = '\0';
    }
    if (!*who)
        snprintf(who, OWNER_TEXT, "another process");
    close(fd);
    return lives;
}
