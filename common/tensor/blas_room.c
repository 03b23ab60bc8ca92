/* SPDX-License-Identifier: Apache-2.0 */
/* blas_room - the working memory of OpenBLAS where the address space is limited.
 *
 * OpenBLAS has a buffer for each call that is under way, keeps it for later calls, and asks for
 * ever when the system refuses one: the process then spins. So they are taken before the work,
 * while it can still be said that they do not fit. Its two functions are in none of its headers;
 * another BLAS does not have them, and need not have that fault. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include "../base/mem.h"
#include "blas.h"
#include "blas_openblas.h"
#include "blas_tile.h"

static int is_limited(int resource)
{
    struct rlimit r;

    return getrlimit((__rlimit_resource_t)resource, &r) == 0 && r.rlim_cur != RLIM_INFINITY;
}

/* Would the system give one more? */
static int has_room(void)
{
    void *p = mmap(NULL, BLAS_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p != MAP_FAILED && munmap(p, BLAS_BUFFER) == 0;
}

int blas_libraries(int f64, struct err *e)
{
    return tile_load(e) == 0 && (!f64 || openblas(e)) ? 0 : -1;
}

int blas_room(size_t threads, int f64, struct err *e)
{
    const struct openblas *lib;
    size_t n = 0;
    void **buffer;
    int rc = 0;

    if (blas_libraries(f64, e) < 0)
        return -1;
#ifdef PTQ_DNNL
    if (!f64)
        return 0;
#endif
    if (!is_limited(RLIMIT_AS) && !is_limited(RLIMIT_DATA))
        return 0;
    if (!(lib = openblas(e)))
        return -1;
    if (!lib->memory_alloc || !lib->memory_free)
        return 0;
    if (!(buffer = mem_array(threads, sizeof *buffer, e)))
        return -1;
    while (n < threads && has_room() && (buffer[n] = lib->memory_alloc(0)))
        n++;
    if (n < threads)
        rc = err_set(e, ERR_SYS,
                     "the address space is limited (ulimit -v, ulimit -d) and has room for %zu of "
                     "the %zu buffers of %zu MiB that OpenBLAS takes, one a thread: raise the "
                     "limit, or give fewer --threads",
                     n, threads, BLAS_BUFFER >> 20);
    while (n)
        lib->memory_free(buffer[--n]);
    free(buffer);
    return rc;
}
