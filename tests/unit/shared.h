/* SPDX-License-Identifier: Apache-2.0 */
/* shared - where test data lies. PTQ_SHARED (default ../shared) holds goldens that are not ours
 * to ship; a test that needs them calls shared_or_skip() and is reported as skipped where they
 * are missing. Data in the repo: tests/golden. Tests run in the repo's root. */
#ifndef PTQ_TEST_SHARED_H
#define PTQ_TEST_SHARED_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Path of a file below the shared folder in a static buffer, or NULL when it is not there. */
static inline const char *shared_path(const char *name)
{
    static char path[8][1024];
    static unsigned turn;
    const char *root = getenv("PTQ_SHARED");
    char *out = path[turn++ % 8];

    snprintf(out, sizeof path[0], "%s/%s", root && *root ? root : "../shared", name);
    return access(out, R_OK) == 0 ? out : NULL;
}

#define shared_or_skip(var, name)                                              \
    const char *var = shared_path(name);                                       \
    if (!var) {                                                                \
        print_message("skip: %s is not on this machine (PTQ_SHARED)\n", name); \
        skip();                                                                \
    }

#endif
