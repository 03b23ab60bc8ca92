/* SPDX-License-Identifier: Apache-2.0 */
/* preview_base - what the programs take before they have any data: their own pages,
 * those of BLAS and oneDNN, which they load before the work, and the kernels that oneDNN makes at
 * run time for the first product of a kind. It depends on versions, on the kernel and on the CPU,
 * so it is measured: each command is started with --version, a child loads the libraries and
 * multiplies small matrices, and the kernel tells the peaks. A process begins with the peak of
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
#include "../../../common/tensor/blas_cpu.h"

#define USUAL ((uint64_t)6 << 20) /* where the command does not start */

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

/* What a child does that tells its peak. */
enum {
    NOTHING = 0,
    LIBRARIES = 1,
    IN_F64 = 2,
    LINEAR = 4,
    GRAM_BF16 = 8,
    GRAM_F32 = 16,
    BACK = 32
};

/* Small ones with the kernels of large ones: sums have tiles beside their diagonal. */
static void multiply(unsigned what)
{
    enum { ROWS = BLAS_GRAM_ROWS, SIDE = 2 * BLAS_GRAM_ROWS };
    static float x[ROWS * SIDE], back[ROWS * SIDE], y[SIDE * SIDE];
    static uint16_t x16[ROWS * SIDE];
    struct par *p = par_open(1, NULL);

    if (!p)
        return;
    if (what & LINEAR)
        blas_linear(p, ROWS, ROWS, SIDE, x, SIDE, x, SIDE, y, ROWS, 0, NULL);
    if (what & GRAM_BF16)
        blas_gram(p, ROWS, SIDE, x16, NULL, SIDE, y, SIDE, NULL);
    if (what & GRAM_F32)
        blas_gram(p, ROWS, SIDE, NULL, x, SIDE, y, SIDE, NULL);
    if (what & BACK) {
        blas_product(p, ROWS, SIDE, SIDE, x, SIDE, y, SIDE, back, SIDE, 0, NULL);
        blas_cross(p, ROWS, SIDE, SIDE, x, SIDE, back, SIDE, y, SIDE, NULL);
    }
    par_close(&p);
}

/* 0: no child. */
static uint64_t child_peak(unsigned what)
{
    struct rusage used = {.ru_maxrss = 0};
    const pid_t pid = fork();

    if (pid == 0) {
        if (what == NOTHING || blas_libraries(!!(what & IN_F64), NULL) == 0)
            multiply(what);
        _exit(0);
    }
    return pid > 0 && wait4(pid, NULL, 0, &used) == pid ? (uint64_t)used.ru_maxrss * 1024 : 0;
}

static uint64_t more_than(uint64_t without, unsigned what)
{
    const uint64_t with = child_peak(what);

    return with > without ? with - without : 0;
}

struct preview_base preview_base(void)
{
    const unsigned gram = LIBRARIES | (blas_cpu().bf16 ? GRAM_BF16 : GRAM_F32);
    const uint64_t idle = child_peak(NOTHING), one = more_than(idle, gram),
                   two = more_than(idle, LIBRARIES | GRAM_BF16 | GRAM_F32),
                   back = more_than(idle, LIBRARIES | IN_F64 | LINEAR | BACK);
    char folder[PATH_MAX];

    own_folder(folder);
    return (struct preview_base){
        .sample = program_bytes(folder, "sample"),
        .forward = program_bytes(folder, "forward") + more_than(idle, LIBRARIES | IN_F64 | LINEAR),
        .reduce = program_bytes(folder, "reduce") + one,
        .reduce_both = two > one ? two - one : 0,
        .solve = program_bytes(folder, "solve") + more_than(idle, LIBRARIES | IN_F64),
        .slide = program_bytes(folder, "slide") + back,
        .slope = program_bytes(folder, "slope") + back,
        .importance = program_bytes(folder, "importance") + back,
        .write = program_bytes(folder, "write")};
}
