/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-slope - the gradients of a window, for ptq-slide. The core is slope.c, its links are in
 * slope_io.c. */
#include "slope_io.h"
#include "slope_opts.h"

int main(int argc, char **argv)
{
    return stage_main(&slope_spec, slope_io_run, argc, argv);
}
