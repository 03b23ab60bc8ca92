/* SPDX-License-Identifier: Apache-2.0 */
/* each_cpu - a vector loop, written once as plain C, compiled for AVX-512, AVX2 and the base
 * instruction set; which one runs is asked of the CPU. Contraction into fused operations is off
 * (-std=c11 for gcc, the pragma for clang): each version gives the same bits.
 *
 *     EACH_BODY scale_body(double *x, size_t n) { ... }
 *     EACH_CPU(scale, (double *x, size_t n), (x, n))
 *
 * makes void scale(double *x, size_t n); where that is declared `static` before, it is so.
 * What a body calls must be EACH_INLINE. */
#ifndef PTQ_EACH_CPU_H
#define PTQ_EACH_CPU_H

#ifdef __clang__
#    pragma STDC FP_CONTRACT OFF
#    define EACH_VECTOR
#else
#    define EACH_VECTOR __attribute__((optimize("O3")))
#endif
#define EACH_INLINE static inline __attribute__((always_inline))
#define EACH_BODY EACH_INLINE void

#if defined(__x86_64__)
#    define EACH_CPU(name, params, args)                                                      \
        EACH_VECTOR __attribute__((target("avx512f,avx512dq"))) static void name##_512 params \
        {                                                                                     \
            name##_body args;                                                                 \
        }                                                                                     \
        EACH_VECTOR __attribute__((target("avx2"))) static void name##_256 params             \
        {                                                                                     \
            name##_body args;                                                                 \
        }                                                                                     \
        EACH_VECTOR static void name##_base params                                            \
        {                                                                                     \
            name##_body args;                                                                 \
        }                                                                                     \
        void name params                                                                      \
        {                                                                                     \
            if (__builtin_cpu_supports("avx512dq"))                                           \
                name##_512 args;                                                              \
            else if (__builtin_cpu_supports("avx2"))                                          \
                name##_256 args;                                                              \
            else                                                                              \
                name##_base args;                                                             \
        }
#else
#    define EACH_CPU(name, params, args) \
        EACH_VECTOR void name params     \
        {                                \
            name##_body args;            \
        }
#endif

#endif
