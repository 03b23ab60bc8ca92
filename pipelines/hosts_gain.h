/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_gain - a worker that joins while the run goes on, and could take part, makes it begin again
 * where that gains.
 *
 * In lanes for which one process runs the model: most is what one holds now, and of that a share is
 * still to be done; with the new ones each would hold fewer, of which all is to be done anew, for
 * all tokens pass through the committed blocks once more. Sums are not made again, so that it gains
 * more than is reckoned. */
#ifndef PTQ_HOSTS_GAIN_H
#define PTQ_HOSTS_GAIN_H

#include "supervise_state.h"

/* Looks whether it does now; hosts_lost() says so then. */
void hosts_gain_tick(struct supervise *s);

#endif
