/* SPDX-License-Identifier: Apache-2.0 */
/* bytes - see bytes.h. */
#include "bytes.h"

#include <math.h>
#include <stdio.h>

const char *bytes_text(double v, char out[BYTES_TEXT])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t i = 0;

    if (!isfinite(v)) {
        snprintf(out, BYTES_TEXT, "–");
        return out;
    }
    while (v >= 999.5 && i + 1 < sizeof units / sizeof *units) {
        v /= 1024;
        i++;
    }
    snprintf(out, BYTES_TEXT, "%.3g %s", v, units[i]);
    return out;
}
