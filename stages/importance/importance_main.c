/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-importance - weighs the tokens of chunks by gradients, between the sampler and the forward
 * stage. The core is importance.c, its links are in importance_io.c. */
#include "importance_io.h"
#include "importance_opts.h"

int main(int argc, char **argv)
{
    return stage_main(&importance_spec, importance_io_run, argc, argv);
}
