/* SPDX-License-Identifier: Apache-2.0 */
/* write_forecast - see write_forecast.h. The constants were measured on models of 10M and 135M
 * weights, what stays mapped on a block of 1B. */
#include "write_forecast.h"

#include <math.h>
#include "../../common/wire/share.h"

#define OWN (3.8 * FORECAST_MIB)
#define OF_WEIGHT 2.7 /* bytes: its code, as it came and packed, and what is in work */
#define OTHERS 0.3    /* and those of a block's other sites, which stay mapped */

uint64_t write_forecast_memory(const struct forecast *f)
{
    return (uint64_t)(OWN + OF_WEIGHT * f->weights + fmin(OTHERS * f->weights, SHARE_MAPPED));
}
