/* SPDX-License-Identifier: Apache-2.0 */
/* forward_check - whether a model can be run as it is asked for: known from its config, before
 * anything starts. */
#ifndef PTQ_FORWARD_CHECK_H
#define PTQ_FORWARD_CHECK_H

#include "../../common/model/model.h"
#include "forward_types.h"

/* s: the sites of a model of config c. -1, ERR_USE. */
int forward_check(const struct forward_opts *o, const struct config *c, const struct sites *s,
                  struct err *e);

#endif
