/* SPDX-License-Identifier: Apache-2.0 */
/* attention_lanes - the loops of attention_tile.c, which includes this once for each width of
 * registers; no guard for that. Before it are defined: NAME(x), the name of a function of this
 * width; TARGET, its attributes; vec and ints, vectors of W floats and of as many int32_t; GROUP,
 * how many sums per vector of lanes fit in the registers; FMA(a, b, c) = a b + c; MAX(a, b), a
 * where it is more than b; ALL(x), a vector of the same number. */
#define PARTS (ATTENTION_LANES / W)
#define LANE_INLINE static inline __attribute__((always_inline)) TARGET

LANE_INLINE vec NAME(load)(const float *x)
{
    vec v;

    memcpy(&v, x, sizeof v);
    return v;
}

LANE_INLINE void NAME(store)(float *x, vec v)
{
    memcpy(x, &v, sizeof v);
}

LANE_INLINE vec NAME(choose)(ints yes, vec a, vec b)
{
    return (vec)((yes & (ints)a) | (~yes & (ints)b));
}

/* 2^x for x <= 0, exactly 0 below -125: Cephes' polynomial (exp2f.c) on [-1/2, 1/2], 2 units of
 * 2^-24 off at most. Adding 1.5 * 2^23 rounds to an integer, which then lies in the low bits. */
LANE_INLINE vec NAME(power)(vec x)
{
    typedef uint32_t bits __attribute__((vector_size(sizeof(ints)))); /* below -125 they wrap */
    const vec magic = ALL(12582912.0f), t = x + magic, r = x - (t - magic);
    vec p = ALL(1.535336188319500e-4f);

    p = FMA(p, r, ALL(1.339887440266574e-3f));
    p = FMA(p, r, ALL(9.618437357674640e-3f));
    p = FMA(p, r, ALL(5.550332471162809e-2f));
    p = FMA(p, r, ALL(2.402264791363012e-1f));
    p = FMA(p, r, ALL(6.931472028550421e-1f));
    p = FMA(p, r, ALL(1.0f));
    return (vec)((ints)((bits)p + ((bits)t << 23)) & (ints)(x > ALL(-125.0f)));
}

/* y[i][LANES] = sum over k of b[k][LANES] a[i][k step], added to factor y where there is one, for
 * `count` i. A sum is one chain in the order of k, whatever the count. */
LANE_INLINE void NAME(products)(const int count, size_t n, const float *const *a, size_t step,
                                const float *b, const float *factor, float *y)
{
    vec sum[GROUP][PARTS];

    UNROLLED
    for (int i = 0; i < count; i++)
        UNROLLED
    for (int j = 0; j < PARTS; j++)
        sum[i][j] = factor
                        ? NAME(load)(factor + j * W) * NAME(load)(y + i * ATTENTION_LANES + j * W)
                        : ALL(0);
    for (size_t k = 0; k < n; k++) {
        vec x[PARTS];

        UNROLLED
        for (int j = 0; j < PARTS; j++)
            x[j] = NAME(load)(b + k * ATTENTION_LANES + j * W);
        UNROLLED
        for (int i = 0; i < count; i++) {
            const vec one = ALL(a[i][k * step]);

            UNROLLED
            for (int j = 0; j < PARTS; j++)
                sum[i][j] = FMA(one, x[j], sum[i][j]);
        }
    }
    UNROLLED
    for (int i = 0; i < count; i++)
        UNROLLED
    for (int j = 0; j < PARTS; j++)
        NAME(store)(y + i * ATTENTION_LANES + j * W, sum[i][j]);
}

TARGET static void NAME(scores)(const struct attention_tile *t, float *s)
{
    const float *row[GROUP];

    for (size_t k = 0; k < t->keys; k += GROUP) {
        for (size_t i = 0; i < GROUP; i++) /* past the last one nobody reads */
            row[i] = t->k + (k + i < t->keys ? k + i : t->keys - 1) * t->ldk;
        NAME(products)(GROUP, t->head_dim, row, 1, t->q, NULL, s + k * ATTENTION_LANES);
    }
}

/* The scores become their powers of 2, less the most of their lane; what was summed before shrinks
 * by *factor. */
TARGET static void NAME(softmax)(const struct attention_tile *t, float *s, float *factor)
{
    for (int j = 0; j < ATTENTION_LANES; j += W) {
        const vec before = NAME(load)(t->most + j);
        vec most = before, sum;
        ints low, high;

        memcpy(&low, t->low + j, sizeof low);
        memcpy(&high, t->high + j, sizeof high);
        for (size_t k = 0; k < t->keys; k++) {
            float *at = s + k * ATTENTION_LANES + j;
            vec x = NAME(load)(at);

            if (t->masked) {
                const int32_t key = (int32_t)(t->first + k);

                x = NAME(choose)((ints)(low <= key) & (ints)(high > key), x, ALL(ATTENTION_UNSEEN));
                NAME(store)(at, x);
            }
            most = MAX(x, most);
        }
        sum = NAME(power)(before - most);
        NAME(store)(factor + j, sum);
        NAME(store)(t->most + j, most);
        sum = sum * NAME(load)(t->sum + j);
        for (size_t k = 0; k < t->keys; k++) {
            float *at = s + k * ATTENTION_LANES + j;
            const vec p = NAME(power)(NAME(load)(at) - most);

            NAME(store)(at, p);
            sum += p;
        }
        NAME(store)(t->sum + j, sum);
    }
}

TARGET static void NAME(values)(const struct attention_tile *t, const float *s, const float *factor)
{
    const float *column[GROUP];
    size_t c = 0;

    for (size_t i = 0; c < t->value_dim; c += i) {
        float *x = t->x + c * ATTENTION_LANES;

        for (i = 0; i < GROUP; i++)
            column[i] = t->v + c + i;
        i = t->value_dim - c;
        if (i >= GROUP)
            NAME(products)((int)(i = GROUP), t->keys, column, t->ldv, s, factor, x);
        else if (i >= 4)
            NAME(products)((int)(i = 4), t->keys, column, t->ldv, s, factor, x);
        else
            NAME(products)((int)(i = 1), t->keys, column, t->ldv, s, factor, x);
    }
}

#undef LANE_INLINE
#undef PARTS

/* The next one sets its own. */
#undef NAME
#undef TARGET
#undef vec
#undef ints
#undef W
#undef GROUP
#undef FMA
#undef MAX
#undef ALL
