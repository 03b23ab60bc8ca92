/* SPDX-License-Identifier: Apache-2.0 */
/* write_records - what the records of a solution's provenance say that decides how it is stored. */
#ifndef PTQ_WRITE_RECORDS_H
#define PTQ_WRITE_RECORDS_H

#include "../../common/base/json.h"

/* What the forward stage has rounded the inputs of linears to; 0: nothing. */
int records_act_bits(const struct json *prov);

#endif
