/* SPDX-License-Identifier: Apache-2.0 */
/* near - the distance of Damerau and Levenshtein, where neighbours may swap. */
#include "near.h"

#include <string.h>

#define LENGTH 64 /* names beyond it are near to nothing */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t steps_between(const char *a, size_t n, const char *b, size_t m)
{
    size_t row[3][LENGTH + 1];

    for (size_t k = 0; k <= m; k++)
        row[0][k] = k;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

        now[0] = i;
        for (size_t k = 1; k <= m; k++) {
            now[k] = least(least(last[k], now[k - 1]) + 1, last[k - 1] + (a[i - 1] != b[k - 1]));
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                now[k] = least(now[k], before[k - 2] + 1);
        }
    }
    return row[n % 3][m];
}

struct near near_start(const char *typed, size_t n)
{
    /* a third of the letters may be wrong: else any short name is near to any other */
    return (struct near){.typed = typed, .n = n, .steps = n > 3 ? n / 3 + 1 : 1};
}

/* The typed word is the name and something behind it: "gptqq". */
static int goes_on(const struct near *x, const char *name, size_t m)
{
    return m < x->n && memcmp(x->typed, name, m) == 0;
}

void near_try(struct near *x, const char *name)
{
    const size_t m = strlen(name);
    size_t steps;

    if (x->n > LENGTH || m > LENGTH)
        return;
    steps = m > x->n + 2 && memcmp(x->typed, name, x->n) == 0 && x->n > 2
                ? 1 /* its beginning */
                : steps_between(x->typed, x->n, name, m);
    if (steps > x->steps || (steps == x->steps && x->name && !goes_on(x, name, m)))
        return;
    x->steps = steps;
    x->name = name;
}
