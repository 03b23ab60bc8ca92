/* SPDX-License-Identifier: Apache-2.0 */
/* attention16 - see attention16.h. Scores lie as in attention_tile.c, queries in lanes. With pairs
 * of numbers side by side in a lane both products are what AMX multiplies, and what the dot
 * products of AVX512-BF16 do: the same data for both. Leaves out: CPUs without either. */
#include "attention16.h"

#include <pthread.h>
#include <string.h>
#include "../tensor/dtype.h"
#include "vec.h"

/* ---- what is multiplied ---- */

#define STRIP 16 /* vectors of lanes that are rounded at a time */

void attention16_pack(size_t head_dim, size_t value_dim, size_t count, const float *k, size_t ldk,
                      const float *v, size_t ldv, uint16_t *to)
{
    const size_t hd = attention16_head(head_dim);
    uint16_t *values = to + ATTENTION_KEYS * hd, row[STRIP * ATTENTION_LANES];

    memset(to, 0, attention16_block(head_dim, value_dim) * sizeof *to);
    for (size_t i = 0; i < count; i++) {
        dtype_from_f32(DT_BF16, k + i * ldk, head_dim, to + i * hd);
        for (size_t d = 0; d < value_dim; d += STRIP * ATTENTION_LANES) {
            const size_t n =
                value_dim - d < STRIP * ATTENTION_LANES ? value_dim - d : STRIP * ATTENTION_LANES;

            dtype_from_f32(DT_BF16, v + i * ldv + d, n, row);
            for (size_t x = 0; x < n; x++)
                values[(d + x) * ATTENTION_KEYS + i] = row[x];
        }
    }
}

void attention16_queries(size_t head_dim, float *q)
{
    const size_t hd = attention16_head(head_dim);
    uint16_t row[STRIP][ATTENTION_LANES];

    memset(q + head_dim * ATTENTION_LANES, 0, (hd - head_dim) * ATTENTION_LANES * sizeof *q);
    for (size_t r = 0; r < hd; r += STRIP) {
        const size_t n = hd - r < STRIP ? hd - r : STRIP;

        dtype_from_f32(DT_BF16, q + r * ATTENTION_LANES, n * ATTENTION_LANES, row);
        for (size_t i = 0; i < n; i += 2)
            for (size_t l = 0; l < ATTENTION_LANES; l++) {
                const uint32_t pair = row[i][l] | (uint32_t)row[i + 1][l] << 16;

                memcpy(q + (r + i) / 2 * ATTENTION_LANES + l, &pair, sizeof pair);
            }
    }
}

#if defined(__x86_64__)
#    include <cpuid.h>
#    include <immintrin.h>
#    include <sys/syscall.h>
#    include <unistd.h>

#    define LANES ATTENTION_LANES
#    define UNROLLED _Pragma("GCC unroll 16")
#    ifdef __clang__
#        define FOR(isa) __attribute__((target(isa)))
#    else
#        define FOR(isa) __attribute__((target(isa), optimize("O3")))
#    endif
#    define DOTS FOR("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
#    define TILES FOR("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16")

/* ---- the softmax ---- */

/* 2^x for x <= 0: a polynomial of the least relative error on [-1/2, 1/2] that is 1 at 0, 3e-6 off
 * at most, a thousandth of what rounding to bf16 does. */
DOTS static inline __attribute__((always_inline)) __m512 power(__m512 x)
{
    const __m512 t = _mm512_roundscale_ps(x, 0), r = _mm512_sub_ps(x, t);
    __m512 p = _mm512_set1_ps(9.582742782e-3f);

    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.590628067e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.402409957e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.931242112e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, t);
}

/* Keys that a lane does not see. */
DOTS static void mask(const struct attention16_tile *t, float *s)
{
    const __m512i low = _mm512_loadu_si512(t->low), high = _mm512_loadu_si512(t->high);

    for (size_t k = 0; k < t->keys; k++) {
        const __m512i key = _mm512_set1_epi32((int32_t)(t->first + k));
        const __mmask16 seen =
            _mm512_cmple_epi32_mask(low, key) & _mm512_cmpgt_epi32_mask(high, key);

        _mm512_storeu_ps(s + k * LANES, _mm512_mask_blend_ps(seen, _mm512_set1_ps(ATTENTION_UNSEEN),
                                                             _mm512_loadu_ps(s + k * LANES)));
    }
}

/* s [keys, to the next multiple of 32][LANES] become weights, those of two keys a word of p; what
 * was summed before shrinks by *factor. */
DOTS static void softmax(const struct attention16_tile *t, float *s, uint32_t *p, float *factor)
{
    const size_t end = (t->keys + 31) / 32 * 32;
    const __m512 before = _mm512_loadu_ps(t->most);
    __m512 m[4] = {before, before, before, before}, most, sum[2], shrink;

    if (t->masked)
        mask(t, s);
    for (size_t k = t->keys; k < end; k++)
        _mm512_storeu_ps(s + k * LANES, _mm512_set1_ps(ATTENTION_UNSEEN));
    for (size_t k = 0; k < end; k += 4)
        UNROLLED
    for (size_t i = 0; i < 4; i++)
        m[i] = _mm512_max_ps(m[i], _mm512_loadu_ps(s + (k + i) * LANES));
    most = _mm512_max_ps(_mm512_max_ps(m[0], m[1]), _mm512_max_ps(m[2], m[3]));
    shrink = power(_mm512_sub_ps(before, most));
    sum[0] = _mm512_mul_ps(shrink, _mm512_loadu_ps(t->sum));
    sum[1] = _mm512_setzero_ps();
    for (size_t k = 0; k < end; k += 2) {
        const __m512 a = power(_mm512_sub_ps(_mm512_loadu_ps(s + k * LANES), most)),
                     b = power(_mm512_sub_ps(_mm512_loadu_ps(s + (k + 1) * LANES), most));
        const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(a)),
                      high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(b));

        sum[0] = _mm512_add_ps(sum[0], a);
        sum[1] = _mm512_add_ps(sum[1], b);
        _mm512_storeu_si512(p + k / 2 * LANES, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
    _mm512_storeu_ps(factor, shrink);
    _mm512_storeu_ps(t->most, most);
    _mm512_storeu_ps(t->sum, _mm512_add_ps(sum[0], sum[1]));
}

/* ---- by dot products of pairs ---- */

enum { GROUP = 12 };

/* y[i][LANES] = sum over r of the pairs b[r][LANES] with those of row a[i], added to factor y where
 * there is one, for `count` i. A sum is one chain in the order of r, whatever the count. */
DOTS static inline __attribute__((always_inline)) void dots(const int count, size_t pairs,
                                                            const uint16_t *a, size_t lda,
                                                            const uint32_t *b, const float *factor,
                                                            float *y)
{
    __m512 sum[GROUP];

    UNROLLED
    for (int i = 0; i < count; i++)
        sum[i] = factor ? _mm512_mul_ps(_mm512_loadu_ps(factor), _mm512_loadu_ps(y + i * LANES))
                        : _mm512_setzero_ps();
    for (size_t r = 0; r < pairs; r++) {
        const __m512bh x = (__m512bh)_mm512_loadu_si512(b + r * LANES);

        UNROLLED
        for (int i = 0; i < count; i++) {
            int32_t pair;

            memcpy(&pair, a + (size_t)i * lda + 2 * r, sizeof pair);
            sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)_mm512_set1_epi32(pair), x);
        }
    }
    UNROLLED
    for (int i = 0; i < count; i++)
        _mm512_storeu_ps(y + i * LANES, sum[i]);
}

/* Of n rows of a, a multiple of 16. */
DOTS static void dot_rows(size_t n, size_t pairs, const uint16_t *a, size_t lda, const uint32_t *b,
                          const float *factor, float *y)
{
    size_t i = 0;

    for (; i + GROUP <= n; i += GROUP)
        dots(GROUP, pairs, a + i * lda, lda, b, factor, y + i * LANES);
    for (; i < n; i += 4)
        dots(4, pairs, a + i * lda, lda, b, factor, y + i * LANES);
}

static void nothing(void)
{
}

/* Room: the scores, the weights, the factors. */
DOTS static void tile_by_dots(const struct attention16_tile *t, float *room)
{
    const size_t hd = attention16_head(t->head_dim);
    uint32_t *p = (uint32_t *)(void *)(room + ATTENTION_KEYS * LANES);
    float *factor = room + (ATTENTION_KEYS + ATTENTION_KEYS / 2) * LANES;

    dot_rows((t->keys + 15) / 16 * 16, hd / 2, t->block, hd, t->q, NULL, room);
    if (t->cap != 0) {
        vec_cap(room, t->keys * LANES, t->cap);
        vec_scale(room, t->keys * LANES, ATTENTION_LOG2_E);
    }
    softmax(t, room, p, factor);
    dot_rows(attention16_values(t->value_dim), (t->keys + 31) / 32 * 16,
             t->block + ATTENTION_KEYS * hd, ATTENTION_KEYS, p, factor, t->x);
}

/* ---- by tiles ---- */

/* All eight as large as they come. Not a local one: compilers see only a part of it as read. */
static const struct {
    uint8_t palette, start, unused[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tile_shapes = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

TILES static void tiles_begin(void)
{
    _tile_loadconfig(&tile_shapes);
}

TILES static void tiles_end(void)
{
    _tile_release();
}

/* y [16 count][LANES] += rows of a, 32 numbers each of `steps` times, with the pairs b. Tiles 0 to
 * count - 1 are the sums; the numbers of tiles are constants. */
#    define STEP(i, to)                                                    \
        do {                                                               \
            _tile_loadd(to, a + (size_t)(16 * i) * lda + 32 * k, 2 * lda); \
            _tile_dpbf16ps(i, to, 4);                                      \
        } while (0)
TILES static void tiles_3(int count, size_t steps, const uint16_t *a, size_t lda, const uint32_t *b,
                          int zero, float *y)
{
    if (zero) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
    } else {
        _tile_loadd(0, y, 64);
        if (count > 1)
            _tile_loadd(1, y + 16 * LANES, 64);
        if (count > 2)
            _tile_loadd(2, y + 32 * LANES, 64);
    }
    for (size_t k = 0; k < steps; k++) {
        _tile_loadd(4, b + k * 16 * LANES, 64);
        STEP(0, 5);
        if (count > 1)
            STEP(1, 6);
        if (count > 2)
            STEP(2, 7);
    }
    _tile_stored(0, y, 64);
    if (count > 1)
        _tile_stored(1, y + 16 * LANES, 64);
    if (count > 2)
        _tile_stored(2, y + 32 * LANES, 64);
}
#    undef STEP

TILES static void tile_rows(size_t tiles, size_t steps, const uint16_t *a, size_t lda,
                            const uint32_t *b, int zero, float *y)
{
    for (size_t i = 0; i < tiles; i += 3)
        tiles_3(tiles - i < 3 ? (int)(tiles - i) : 3, steps, a + 16 * i * lda, lda, b, zero,
                y + 16 * i * LANES);
}

TILES static void tile_by_tiles(const struct attention16_tile *t, float *room)
{
    const size_t hd = attention16_head(t->head_dim), vd = attention16_values(t->value_dim);
    uint32_t *p = (uint32_t *)(void *)(room + ATTENTION_KEYS * LANES);
    float *factor = room + (ATTENTION_KEYS + ATTENTION_KEYS / 2) * LANES;

    tile_rows((t->keys + 15) / 16, hd / 32, t->block, hd, t->q, 1, room);
    if (t->cap != 0) {
        vec_cap(room, t->keys * LANES, t->cap);
        vec_scale(room, t->keys * LANES, ATTENTION_LOG2_E);
    }
    softmax(t, room, p, factor);
    for (size_t i = 0; i < vd; i++)
        _mm512_storeu_ps(t->x + i * LANES,
                         _mm512_mul_ps(_mm512_loadu_ps(factor), _mm512_loadu_ps(t->x + i * LANES)));
    tile_rows(vd / 16, (t->keys + 31) / 32, t->block + ATTENTION_KEYS * hd, ATTENTION_KEYS, p, 0,
              t->x);
}

/* ---- what there is ---- */

static struct attention16 found[3];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Linux gives the registers of tiles to who asks for them. */
static int has_tiles(void)
{
    enum { ASK_FOR = 0x1023, TILE_DATA = 18, BF16_TILES = 1 << 22 | 1 << 24 };
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & BF16_TILES) == BF16_TILES &&
           syscall(SYS_arch_prctl, ASK_FOR, TILE_DATA) == 0;
}

static void find(void)
{
    size_t n = 0;

    if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512dq"))
        return;
    if (has_tiles())
        found[n++] = (struct attention16){"tiles", tiles_begin, tiles_end, tile_by_tiles};
    found[n] = (struct attention16){"dots", nothing, nothing, tile_by_dots};
}

const struct attention16 *attention16_nth(size_t i)
{
    pthread_once(&once, find);
    return i < 2 && found[i].tile ? &found[i] : NULL;
}
#else
const struct attention16 *attention16_nth(size_t i)
{
    (void)i;
    return NULL;
}
#endif
