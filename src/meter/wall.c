/* SPDX-License-Identifier: MIT */
/* A wall meter, read by somebody else into a CSV file (wall_csv.h) that is merged
 * by time when a window is over. Readings are times alone. The logger's clock is
 * taken to agree with this machine's; one that was set while the window ran makes
 * it unavailable. */
#include "meter/meter_impl.h"
#include "meter/wall_csv.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

/* The wall's clock may be slewed by 500 ppm, and stepped by less than this. */
#define STEP_S 0.05
#define SLEW 1e-3

static int open_wall(struct m2c_meter *m, struct m2c_err *err)
{
    struct m2c_wall_sum sum;
    const char *path = m->cfg.wall_csv;
    if (!path || !path[0])
        return m2c_fail(err, -ENODEV, "wall: no file is named (meter.wall_csv)");
    struct m2c_err why = {0};
    int r = m2c_wall_csv(path, 0, 0, &sum, &why);
    if (r < 0 && r != -ENODATA) /* an empty file may be a logger's that has just begun */
        return m2c_fail(err, r == -EACCES ? r : -EINVAL, "wall: %s", why.msg);
    snprintf(m->source, sizeof m->source, "wall meter, %.200s", path);
    return 0;
}

static int read_wall(struct m2c_meter *m, const struct m2c_load *load,
                     struct m2c_reading *out, struct m2c_err *err)
{
    (void)m;
    (void)load;
    (void)err;
    out->how[M2C_WALL] = M2C_MEASURED;
    return 0;
}

static int span_wall(struct m2c_meter *m, const struct m2c_reading *a,
                     const struct m2c_reading *b, struct m2c_energy *out,
                     struct m2c_err *err)
{
    double moved = ((double)b->wall_ns - (double)a->wall_ns) * 1e-9;
    if (!(fabs(moved - out->seconds) <= STEP_S + SLEW * out->seconds))
        return m2c_fail(err, -EIO,
                        "the clock was set: it moved %.3g s in a window of %.3g s", moved,
                        out->seconds);
    const struct timespec nap = {0, 50000000};
    uint64_t until = m2c_now_ns() + (uint64_t)(m->cfg.wall_wait_s * 1e9);
    struct m2c_wall_sum sum;
    int r = m2c_wall_csv(m->cfg.wall_csv, a->wall_ns, b->wall_ns, &sum, err);
    while (r == -ENODATA && m2c_now_ns() < until) {
        nanosleep(&nap, NULL);
        r = m2c_wall_csv(m->cfg.wall_csv, a->wall_ns, b->wall_ns, &sum, err);
    }
    if (r < 0)
        return r;
    if (!(sum.joules > 0))
        return m2c_fail(err, -EIO, "%s: 0 J in the window, which is no reading",
                        m->cfg.wall_csv);
    out->how[M2C_WALL] = M2C_MEASURED;
    out->joules[M2C_WALL] = sum.joules;
    out->err_j[M2C_WALL] = sum.err_j;
    return 0;
}

const struct m2c_meter_ops m2c_meter_wall = {
    .p = {.name = "wall", .desc = "a wall meter's CSV file, merged by time"},
    .how = M2C_MEASURED,
    .open = open_wall,
    .read = read_wall,
    .span = span_wall,
};
