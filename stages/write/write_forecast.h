/* SPDX-License-Identifier: Apache-2.0 */
/* write_forecast - what ptq-write takes, known before there is a solution. The bytes that it
 * writes are the format's business (format_bytes). */
#ifndef PTQ_WRITE_FORECAST_H
#define PTQ_WRITE_FORECAST_H

#include "../../common/run/forecast.h"

/* Peak resident bytes, beyond its program. */
uint64_t write_forecast_memory(const struct forecast *f);

#endif
