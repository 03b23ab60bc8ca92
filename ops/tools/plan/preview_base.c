/* SPDX-License-Identifier: Apache-2.0 */
/* preview_base - what the programs that compute take before they have done anything: their own
 * pages, and those of BLAS and oneDNN, which they load before the work. It depends on versions,
 * on the kernel and on the CPU, so it is measured: each command is started with --version, a
 * child loads the libraries, and the kernel tells the peaks. A process begins with the peak of
 * the one that starts it, so the caller must be smaller than they are. */
#include "preview.h"

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../../common/tensor/blas.h"

#define USUAL ((uint64_t)10 << 20) /* where the command does not start */

extern char **environ;

/* The folder that this program lies in, with the slash; "" when the kernel does not tell. */
static void own_folder(char out[PATH_MAX])
{
    const ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    char *slash;

    out[n > 0 ? n : 0] = '\0';
    slash = strrchr(out, '/');
    out[slash ? slash - out + 1 : 0] = '\0';
}

static uint64_t program_bytes(const char *folder, const char *stage)
{
    char path[PATH_MAX + 32], version[] = "--version", *argv[] = {path, version, NULL};
    posix_spawn_file_actions_t quiet;
    struct rusage used = {.ru_maxrss = 0};
    int status = -1, rc;
    pid_t pid;

    snprintf(path, sizeof path, "%sptq-%s", folder, stage);
    if (posix_spawn_file_actions_init(&quiet))
        return USUAL;
    rc = posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawn(&pid, path, &quiet, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&quiet);
    if (rc || wait4(pid, &status, 0, &used) != pid || status)
        return USUAL;
    return (uint64_t)used.ru_maxrss * 1024;
}

/* The peak of a child of this process that loads libraries, or does nothing; 0: no child. */
static uint64_t child_peak(int loads, int f64)
{
    struct rusage used = {.ru_maxrss = 0};
    const pid_t pid = fork();

    if (pid == 0) {
        if (loads)
            blas_libraries(f64, NULL);
        _exit(0);
    }
    return pid > 0 && wait4(pid, NULL, 0, &used) == pid ? (uint64_t)used.ru_maxrss * 1024 : 0;
}

static uint64_t library_bytes(int f64)
{
    const uint64_t without = child_peak(0, 0), with = child_peak(1, f64);

    return with > without ? with - without : 0;
}

struct preview_base preview_base(void)
{
    const uint64_t both = library_bytes(1), products = library_bytes(0);
    char folder[PATH_MAX];

    own_folder(folder);
    return (struct preview_base){.forward = program_bytes(folder, "forward") + both,
                                 .reduce = program_bytes(folder, "reduce") + products,
                                 .solve = program_bytes(folder, "solve") + both,
                                 .slide = program_bytes(folder, "slide") + products};
}
