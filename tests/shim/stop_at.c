/* SPDX-License-Identifier: Apache-2.0 */
/* stop_at - LD_PRELOAD: ends the process, as kill -9 would, at the N-th of its calls that change
 * files; a write that is hit has half of its bytes written. STOP_AT: N, from 1; FULL_AT: from the
 * N-th on the disk is full; STOP_COUNT: a file that is told at the exit how many calls there were.
 * Calls that a library makes inside itself are not seen. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;
static int quiet; /* what the shim does itself is not counted */

/* The next function of that name; a function pointer is no object pointer in C11. */
#define NEXT(type, name) \
    static type *real;   \
    if (!real)           \
    *(void **)&real = dlsym(RTLD_NEXT, (name))

static int is_hit(void)
{
    const char *at = getenv("STOP_AT");
    const long n = quiet ? 0 : atomic_fetch_add(&calls, 1) + 1;

    return at && n && n == atol(at);
}

/* Of a call that takes room, behind its is_hit(). */
static int is_full(void)
{
    const char *at = getenv("FULL_AT");

    if (quiet || !at || atomic_load(&calls) < atol(at))
        return 0;
    errno = ENOSPC;
    return 1;
}

static void stop_here(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void count(void)
{
    if (is_hit())
        stop_here();
}

static int is_file(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

typedef int open_call(const char *path, int flags, ...);
typedef ssize_t write_call(int fd, const void *data, size_t n);
typedef int fd_call(int fd);
typedef int path_call(const char *path);
typedef int mkdir_call(const char *path, mode_t mode);
typedef int rename_call(const char *from, const char *to);
typedef int unlinkat_call(int fd, const char *path, int flags);
typedef int ftruncate_call(int fd, off_t size);

static int open_through(open_call *real, const char *path, int flags, mode_t mode)
{
    if (flags & (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC))
        count();
    if (flags & O_CREAT && is_full())
        return -1;
    return real(path, flags, mode);
}

#define OPEN(name)                                         \
    int name(const char *path, int flags, ...)             \
    {                                                      \
        va_list more;                                      \
        mode_t mode;                                       \
                                                           \
        NEXT(open_call, #name);                            \
        va_start(more, flags);                             \
        mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
        va_end(more);                                      \
        return open_through(real, path, flags, mode);      \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *data, size_t n)
{
    NEXT(write_call, "write");
    if (is_file(fd) && is_hit()) {
        real(fd, data, n / 2);
        stop_here();
    }
    if (is_file(fd) && is_full())
        return -1;
    return real(fd, data, n);
}

typedef ssize_t pwrite_call(int fd, const void *data, size_t n, off_t at);

static ssize_t pwrite_through(pwrite_call *real, int fd, const void *data, size_t n, off_t at)
{
    if (is_hit()) {
        real(fd, data, n / 2, at);
        stop_here();
    }
    return is_full() ? -1 : real(fd, data, n, at);
}

#define PWRITE(name)                                           \
    ssize_t name(int fd, const void *data, size_t n, off_t at) \
    {                                                          \
        NEXT(pwrite_call, #name);                              \
        return pwrite_through(real, fd, data, n, at);          \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define ON_FD(name)           \
    int name(int fd)          \
    {                         \
        NEXT(fd_call, #name); \
        count();              \
        return real(fd);      \
    }
ON_FD(fsync)
ON_FD(fdatasync)

#define ON_PATH(name)           \
    int name(const char *path)  \
    {                           \
        NEXT(path_call, #name); \
        count();                \
        return real(path);      \
    }
ON_PATH(unlink)
ON_PATH(rmdir)
ON_PATH(remove)

int mkdir(const char *path, mode_t mode)
{
    NEXT(mkdir_call, "mkdir");
    count();
    return is_full() ? -1 : real(path, mode);
}

int rename(const char *from, const char *to)
{
    NEXT(rename_call, "rename");
    count();
    return real(from, to);
}

int unlinkat(int fd, const char *path, int flags)
{
    NEXT(unlinkat_call, "unlinkat");
    count();
    return real(fd, path, flags);
}

int ftruncate(int fd, off_t size)
{
    NEXT(ftruncate_call, "ftruncate");
    count();
    return real(fd, size);
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("STOP_COUNT");
    FILE *f;

    quiet = 1;
    if (!path || !(f = fopen(path, "we")))
        return;
    fprintf(f, "%ld\n", atomic_load(&calls));
    fclose(f);
}
