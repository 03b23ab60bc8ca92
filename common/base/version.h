/* SPDX-License-Identifier: Apache-2.0 */
/* version - of the product and of what its numbers depend on. */
#ifndef PTQ_VERSION_H
#define PTQ_VERSION_H

#define PTQ_VERSION "0.2.0"

#endif
