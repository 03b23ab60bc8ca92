/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-forward - runs a model block by block over the chunks it is given and emits the inputs of
 * every site. The core is forward.c, its links are in forward_io.c. */
#include "forward_io.h"
#include "forward_opts.h"

int main(int argc, char **argv)
{
    return stage_main(&forward_spec, forward_io_run, argc, argv);
}
