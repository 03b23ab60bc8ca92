/* SPDX-License-Identifier: Apache-2.0 */
/* modality - what a calibration row is of: one byte a token, known from the sampler on (tensor
 * "modality" of chunk and acts). The number is the place in the list of names. */
#ifndef PTQ_MODALITY_H
#define PTQ_MODALITY_H

#include <stddef.h>
#include "../base/err.h"
#include "../base/json.h"

enum modality { MODALITY_TEXT, MODALITY_IMAGE, MODALITIES };

/* "text", "image"; m below MODALITIES */
const char *modality_name(size_t m);
/* "text=1,image=0.3" to a ratio for each modality: what is not named is 1, none is negative, not
 * all are 0. ERR_USE names the option ("--mix"). */
int modality_ratios_parse(const char *text, const char *option, double ratio[MODALITIES],
                          struct err *e);
/* {"text": 1, "image": 0.3} of a message and back: all are there, none is negative, not all are 0,
 * else -1; put: -1 is out of memory. */
int modality_ratios_read(const struct json *x, double ratio[MODALITIES]);
int modality_ratios_put(struct json *x, const double ratio[MODALITIES]);

#endif
