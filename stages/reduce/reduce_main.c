/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-reduce - adds up the calibration rows of each site and emits problems. The core is
 * reduce.c, its links are in reduce_io.c. */
#include "reduce_io.h"
#include "reduce_opts.h"

int main(int argc, char **argv)
{
    return stage_main(&reduce_spec, reduce_io_run, argc, argv);
}
