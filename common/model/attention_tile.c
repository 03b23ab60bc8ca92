/* SPDX-License-Identifier: Apache-2.0 */
/* attention_tile - see attention_tile.h. Queries lie in lanes, so that a score of 16 of them is a
 * vector: the softmax needs no sums across a register, keys and values are read where they are.
 * Both products are outer ones, as many sums at a time as the registers hold. */
#include "attention_tile.h"

#include <string.h>
#include "vec.h"

#define UNROLLED _Pragma("GCC unroll 16")
#if defined(__x86_64__)
#    include <immintrin.h>
#endif

#ifdef __clang__
#    define WIDE(isa) __attribute__((target(isa)))
#    define BASE
#else
#    define WIDE(isa) __attribute__((target(isa), optimize("O3")))
#    define BASE __attribute__((optimize("O3")))
#endif

#if defined(__x86_64__)
typedef float vec_512 __attribute__((vector_size(64)));
typedef int32_t ints_512 __attribute__((vector_size(64)));
#    define NAME(x) x##_512
#    define TARGET WIDE("avx512f,avx512dq")
#    define vec vec_512
#    define ints ints_512
#    define W 16
#    define GROUP 12
#    define FMA(a, b, c) (vec) _mm512_fmadd_ps(a, b, c)
#    define MAX(a, b) (vec) _mm512_max_ps(a, b)
#    define ALL(x) (vec) _mm512_set1_ps(x)
#    include "attention_lanes.h"

typedef float vec_256 __attribute__((vector_size(32)));
typedef int32_t ints_256 __attribute__((vector_size(32)));
#    define NAME(x) x##_256
#    define TARGET WIDE("avx2,fma")
#    define vec vec_256
#    define ints ints_256
#    define W 8
#    define GROUP 6
#    define FMA(a, b, c) (vec) _mm256_fmadd_ps(a, b, c)
#    define MAX(a, b) (vec) _mm256_max_ps(a, b)
#    define ALL(x) (vec) _mm256_set1_ps(x)
#    include "attention_lanes.h"
#endif

typedef float vec_128 __attribute__((vector_size(16)));
typedef int32_t ints_128 __attribute__((vector_size(16)));
#define NAME(x) x##_128
#define TARGET BASE
#define vec vec_128
#define ints ints_128
#define W 4
#define GROUP 3
#define FMA(a, b, c) ((a) * (b) + (c))
#define MAX(a, b) choose_128((ints)((a) > (b)), a, b)
#define ALL(x) ((vec){x, x, x, x})
#include "attention_lanes.h"

struct loops {
    void (*scores)(const struct attention_tile *t, float *s);
    void (*softmax)(const struct attention_tile *t, float *s, float *factor);
    void (*values)(const struct attention_tile *t, const float *s, const float *factor);
};

static struct loops loops_of_cpu(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512dq"))
        return (struct loops){scores_512, softmax_512, values_512};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (struct loops){scores_256, softmax_256, values_256};
#endif
    return (struct loops){scores_128, softmax_128, values_128};
}

void attention_tile(const struct attention_tile *t, float *room)
{
    const struct loops by = loops_of_cpu();
    float *s = room + ATTENTION_LANES;
    const size_t n = t->keys * ATTENTION_LANES;

    by.scores(t, s);
    if (t->cap != 0) {
        vec_cap(s, n, t->cap);
        vec_scale(s, n, ATTENTION_LOG2_E);
    }
    by.softmax(t, s, room);
    by.values(t, s, room);
}
