/* SPDX-License-Identifier: Apache-2.0 */
/* modality - see modality.h. */
#include "modality.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[MODALITIES] = {"text", "image"};

const char *modality_name(size_t m)
{
    return names[m];
}

/* The modality whose name the text begins with, *end behind "NAME=R"; -1: none. */
static int parse_one(const char *text, double *ratio, const char **end)
{
    char *last;

    for (int m = 0; m < MODALITIES; m++) {
        const size_t n = strlen(names[m]);
        const char *number = text + n + 1;

        if (strncmp(text, names[m], n) != 0 || text[n] != '=' ||
            (!isdigit((unsigned char)*number) && *number != '.'))
            continue;
        *ratio = strtod(number, &last);
        *end = last;
        return last > number && *ratio < 1e30 && (!*last || *last == ',') ? m : -1;
    }
    return -1;
}

int modality_ratios_parse(const char *text, const char *option, double ratio[MODALITIES],
                          struct err *e)
{
    int named[MODALITIES] = {0}, some = 0;

    for (size_t m = 0; m < MODALITIES; m++)
        ratio[m] = 1;
    for (const char *at = text, *end = NULL;; at = end + 1) {
        double value = 0;
        int m = parse_one(at, &value, &end);

        if (m < 0 || named[m]++)
            return err_set(e, ERR_USE,
                           "%s '%s': text=R, image=R, or both with a comma between them, each R "
                           "from 0 up",
                           option, text);
        ratio[m] = value;
        if (!*end)
            break;
    }
    for (size_t m = 0; m < MODALITIES; m++)
        some |= ratio[m] > 0;
    return some ? 0 : err_set(e, ERR_USE, "%s '%s': nothing is left to count", option, text);
}

int modality_ratios_read(const struct json *x, double ratio[MODALITIES])
{
    int some = 0;

    for (size_t m = 0; m < MODALITIES; m++) {
        if (json_as_real(json_get(x, names[m]), &ratio[m]) || !isfinite(ratio[m]) || ratio[m] < 0)
            return -1;
        some |= ratio[m] > 0;
    }
    return some ? 0 : -1;
}

int modality_ratios_put(struct json *x, const double ratio[MODALITIES])
{
    int bad = 0;

    for (size_t m = 0; m < MODALITIES; m++)
        bad |= json_set_real(x, names[m], ratio[m]);
    return bad ? -1 : 0;
}
