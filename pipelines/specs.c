/* SPDX-License-Identifier: Apache-2.0 */
/* specs - the only list of them. */
#include "specs.h"

#include <string.h>

#include "../ops/tools/check/check_opts.h"
#include "../ops/tools/allocate/allocate_opts.h"
#include "../ops/tools/convert/convert_opts.h"
#include "../ops/tools/families/families_opts.h"
#include "../ops/tools/import/import_opts.h"
#include "../ops/tools/keys/keys_opts.h"
#include "../ops/tools/law/law_opts.h"
#include "../ops/tools/look/cat_opts.h"
#include "../ops/tools/look/diff_opts.h"
#include "../ops/tools/look/inspect_opts.h"
#include "../ops/tools/merge/merge_opts.h"
#include "../ops/tools/metrics/metrics_opts.h"
#include "../ops/tools/report/report_opts.h"
#include "../ops/tools/rotate/rotate_opts.h"
#include "../ops/tools/stream/stream_opts.h"
#include "../stages/eval/eval_opts.h"
#include "../stages/forward/forward_opts.h"
#include "../stages/generate/generate_opts.h"
#include "../stages/importance/importance_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/sample/sample_opts.h"
#include "../stages/slide/slide_opts.h"
#include "../stages/slide/slope_opts.h"
#include "../stages/solve/solve_opts.h"
#include "../stages/write/write_opts.h"
#include "worker_opts.h"

#define PREFIX "ptq-"

static const struct stage_spec *const specs[] = {
    &sample_spec,   &forward_spec, &reduce_spec,     &solve_spec,  &write_spec,    &eval_spec,
    &generate_spec, &cat_spec,     &import_spec,     &rotate_spec, &inspect_spec,  &diff_spec,
    &check_spec,    &convert_spec, &report_spec,     &stream_spec, &families_spec, &law_spec,
    &allocate_spec, &merge_spec,   &importance_spec, &keys_spec,   &slide_spec,    &slope_spec,
    &worker_spec,   &metrics_spec};

const struct stage_spec *specs_at(size_t i)
{
    return i < sizeof specs / sizeof *specs ? specs[i] : NULL;
}

const struct stage_spec *specs_find(const char *program)
{
    const size_t n = strlen(PREFIX);

    if (strncmp(program, PREFIX, n) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        if (strcmp(specs[i]->name, program + n) == 0)
            return specs[i];
    return NULL;
}
