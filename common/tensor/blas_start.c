/* SPDX-License-Identifier: Apache-2.0 */
/* blas_start - the kind of CPU, and an environment in which OpenBLAS and OpenMP do what blas.c
 * relies on. OpenBLAS 0.3.21 does not know newer CPUs and takes kernels half as fast as it has:
 * so the choice is made here, from CPUID. */
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "blas.h"
#include "blas_cpu.h"

struct blas_cpu blas_cpu(void)
{
    struct blas_cpu c = {0};
    unsigned a, b, d, x;

    __builtin_cpu_init();
    c.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    c.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (c.avx512 && __get_cpuid_count(7, 1, &a, &b, &x, &d))
        c.bf16 = (a >> 5) & 1;
    if (c.bf16 && __get_cpuid_count(7, 0, &a, &b, &x, &d))
        c.amx = (d >> 22) & (d >> 24) & 1; /* of bf16, and the tiles themselves */
    return c;
}

void blas_kind(char out[BLAS_KIND])
{
    const struct blas_cpu c = blas_cpu();
    const char *core = getenv("OPENBLAS_CORETYPE");

    snprintf(out, BLAS_KIND, "%.24s%s%s%s%s", core && *core ? core : "default",
             c.avx512 ? " avx512"
             : c.avx2 ? " avx2"
                      : "",
             c.bf16 ? " bf16" : "", c.amx ? " amx" : "",
#ifdef PTQ_DNNL
             " onednn"
#else
             ""
#endif
    );
}

static int env_want(const char *name, const char *value, int keep, struct err *e)
{
    const char *now = getenv(name);

    if (now && *now && keep)
        return 0;
    return setenv(name, value, 1) == 0 ? 0 : err_sys(e, "cannot set %s", name);
}

int blas_start(struct err *e)
{
    struct blas_cpu c = blas_cpu();
    const char *core = c.avx512 ? "SkylakeX" : c.avx2 ? "Haswell" : NULL;

    return (core && env_want("OPENBLAS_CORETYPE", core, 1, e) < 0) ||
                   env_want("OPENBLAS_NUM_THREADS", "1", 0, e) < 0 ||
                   env_want("OMP_NUM_THREADS", "1", 0, e) < 0
               ? -1
               : 0;
}
