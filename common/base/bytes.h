/* SPDX-License-Identifier: Apache-2.0 */
/* bytes - sizes as people read them, in the unit that fits. */
#ifndef PTQ_BYTES_H
#define PTQ_BYTES_H

#define BYTES_TEXT 24

/* Three digits: "0 bytes", "12.3 MiB", "1.5 TiB". v is not below zero, or no number: "–".
 * Returns out. */
const char *bytes_text(double v, char out[BYTES_TEXT]);

#endif
