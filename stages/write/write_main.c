/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-write - makes solutions durable, broadcasts them as commits, and writes the checkpoint.
 * The core is write.c, its links are in write_io.c. */
#include "write_io.h"
#include "write_opts.h"

int main(int argc, char **argv)
{
    return stage_main(&write_spec, write_io_run, argc, argv);
}
