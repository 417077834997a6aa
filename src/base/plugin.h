/* SPDX-License-Identifier: MIT */
/* The head that every ops table begins with, and look-up by name.
 *
 * A registry is an explicit, NULL-terminated array of pointers to const
 * ops tables, in the module's own .c file. The framework allocates and
 * frees an instance's private bytes. */
#ifndef M2C_BASE_PLUGIN_H
#define M2C_BASE_PLUGIN_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct m2c_plugin {
    const char *name; /* as in the config: lower case, digits, '-' */
    const char *desc; /* one line for listings */
    size_t priv_size; /* bytes of an instance's state, zeroed by the framework */
};

/* Finds `name` in `registry`, an array of pointers to structs whose first
 * member is struct m2c_plugin, ended by NULL. Returns the entry, or NULL
 * with `err` naming the choices and the nearest. `what` is the noun for the
 * message ("policy"). */
const void *m2c_plugin_find(const void *const *registry, const char *what,
                            const char *name, struct m2c_err *err);

/* Start-up check: every entry has a unique well-formed name and a
 * description. -EINVAL with detail. Modules check their own mandatory hooks
 * beside their registry. */
M2C_MUST_USE int m2c_plugin_check(const void *const *registry, const char *what,
                                  struct m2c_err *err);

#ifdef __cplusplus
}
#endif
#endif
