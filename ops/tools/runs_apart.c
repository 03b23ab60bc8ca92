/* SPDX-License-Identifier: Apache-2.0 */
/* runs_apart - see runs_apart.h. */
#include "runs_apart.h"

#include <stdlib.h>
#include "../../common/base/apart.h"
#include "../../common/base/fs.h"
#include "../../common/run/journal.h"

int runs_apart(const char *option, const char *out, const char *const *run, size_t n, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        char *journal = fs_join(run[i], ".ptqflow/" JOURNAL_NAME, e);
        const struct apart_file f[] = {{option, out, OPT_WRITES},
                                       {"the run", run[i], OPT_READS},
                                       {"the journal", journal, OPT_READS}};

        rc = journal ? apart_check(f, 3, e) : -1;
        free(journal);
    }
    return rc;
}
