/* SPDX-License-Identifier: MIT */
/* Knows nothing, so that everything above can be run without a figure; its
 * Nth reading fails on request. */
#include "meter/meter_impl.h"

#include <errno.h>
#include <stdio.h>

struct null {
    unsigned n;
};

static int open_null(struct m2c_meter *m, struct m2c_err *err)
{
    (void)err;
    snprintf(m->source, sizeof m->source, "no meter");
    return 0;
}

static int read_null(struct m2c_meter *m, const struct m2c_load *load,
                     struct m2c_reading *out, struct m2c_err *err)
{
    struct null *s = m->priv;
    (void)load;
    (void)out;
    if (++s->n == m->cfg.fail_nth)
        return m2c_fail(err, -EIO, "null meter: reading %u fails as asked for", s->n);
    return 0;
}

const struct m2c_meter_ops m2c_meter_null = {
    .p = {.name = "null",
          .desc = "no figures; fails on request, for tests",
          .priv_size = sizeof(struct null)},
    .how = M2C_UNAVAILABLE,
    .open = open_null,
    .read = read_null,
};
