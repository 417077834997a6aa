/* SPDX-License-Identifier: MIT */
/* Plug-in look-up and start-up checks. */
#include "base/plugin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAMES = 64 };

static void collect(const void *const *registry, const char **names, size_t max)
{
    size_t n = 0;
    for (; registry[n] && n + 1 < max; n++)
        names[n] = ((const struct m2c_plugin *)registry[n])->name;
    names[n] = NULL;
}

const void *m2c_plugin_find(const void *const *registry, const char *what,
                            const char *name, struct m2c_err *err)
{
    for (const void *const *p = registry; *p; p++) {
        if (strcmp(((const struct m2c_plugin *)*p)->name, name) == 0)
            return *p;
    }
    const char *names[MAX_NAMES];
    char list[256] = "";
    collect(registry, names, MAX_NAMES);
    for (size_t i = 0; names[i]; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = m2c_nearest(name, names);
    m2c_fail(err, -ENOENT, "unknown %s '%s'%s%s%s (have: %s)", what, name,
             near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "", list);
    return NULL;
}

int m2c_plugin_check(const void *const *registry, const char *what, struct m2c_err *err)
{
    for (size_t i = 0; registry[i]; i++) {
        const struct m2c_plugin *p = registry[i];
        if (i + 1 >= MAX_NAMES)
            return m2c_fail(err, -EINVAL, "%s registry: more than %d entries", what,
                            MAX_NAMES - 1);
        if (!p->name || !p->name[0] ||
            p->name[strspn(p->name, "abcdefghijklmnopqrstuvwxyz0123456789-_")])
            return m2c_fail(err, -EINVAL, "%s registry: entry %zu has no proper name",
                            what, i);
        if (!p->desc || !p->desc[0])
            return m2c_fail(err, -EINVAL, "%s '%s': no description", what, p->name);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(((const struct m2c_plugin *)registry[j])->name, p->name) == 0)
                return m2c_fail(err, -EINVAL, "%s '%s': registered twice", what, p->name);
        }
    }
    return 0;
}
