/* SPDX-License-Identifier: Apache-2.0 */
/* library - dlopen and dlsym with words for what is missing. */
#include <dlfcn.h>
#include <string.h>
#include "library.h"

int library_load(const char *library, const struct library_symbol *symbols, size_t n, struct err *e)
{
    void *handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);

    if (!handle)
        return err_set(e, ERR_SYS, "cannot load a library: %s", dlerror());
    for (size_t i = 0; i < n; i++) {
        void *found = dlsym(handle, symbols[i].name);

        if (!found && !symbols[i].optional)
            return err_set(e, ERR_SYS,
                           "%s has no function '%s': is it the one this was built with?", library,
                           symbols[i].name);
        memcpy(symbols[i].at, &found, sizeof found); /* ISO C has no cast to a function */
    }
    return 0;
}
