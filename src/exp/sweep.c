/* SPDX-License-Identifier: MIT */
/* Expansion of the sweep's axes. */
#include "exp/sweep.h"

#include "exp/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_POINTS = 100000 };

static bool names_point(const struct m2c_opt *row)
{
    if (strcmp(row->section, "output") == 0)
        return false;
    return strcmp(row->section, "experiment") != 0 ||
           (strcmp(row->key, "repeat") != 0 && strcmp(row->key, "name") != 0);
}

static int hash_of(const struct m2c_optset *set, struct m2c_hash128 *out)
{
    struct m2c_hasher *h;
    int r = m2c_hasher_open(&h);
    if (r < 0)
        return r;
    for (size_t i = 0; i < m2c_optset_count(set); i++) {
        const struct m2c_opt *row = m2c_optset_row(set, i);
        const char *piece[] = {row->section, ".", row->key, "=", m2c_optset_text(set, i),
                               "\n"};
        for (size_t k = 0; k < M2C_COUNTOF(piece) && names_point(row); k++)
            m2c_hasher_add(h, piece[k], strlen(piece[k]));
    }
    *out = m2c_hasher_end(h);
    m2c_hasher_close(h);
    return 0;
}

/* Point number `i` of the full cross product. */
static int make_point(const struct m2c_optset *set, uint64_t i, struct m2c_point *out,
                      struct m2c_err *err)
{
    int r = m2c_optset_clone(set, &out->set);
    if (r < 0)
        return m2c_fail(err, r, "sweep: out of memory");
    for (size_t a = m2c_optset_axes(set); a-- > 0 && r == 0;) {
        const struct m2c_opt *row = m2c_optset_axis(set, a);
        size_t len = m2c_optset_axis_len(set, a);
        r = m2c_optset_set(out->set, row->section, row->key,
                           m2c_optset_axis_value(set, a, i % len), "[sweep]", err);
        i /= len;
    }
    if (r == 0)
        r = m2c_settings_normalise(out->set, err);
    struct m2c_settings parsed;
    if (r == 0)
        r = m2c_settings_apply(out->set, &parsed, err);
    if (r == 0)
        r = hash_of(out->set, &out->hash);
    return r;
}

static bool is_new(const struct m2c_sweep *s, struct m2c_hash128 hash)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (m2c_hash_equal(s->point[i].hash, hash))
            return false;
    }
    return true;
}

int m2c_sweep_expand(const struct m2c_optset *set, struct m2c_sweep *out,
                     struct m2c_err *err)
{
    uint64_t total = 1;
    *out = (struct m2c_sweep){0};
    for (size_t a = 0; a < m2c_optset_axes(set); a++) {
        total *= m2c_optset_axis_len(set, a);
        if (total > MAX_POINTS)
            return m2c_fail(err, -E2BIG, "[sweep]: more than %d points", MAX_POINTS);
    }
    out->point = calloc(total, sizeof *out->point);
    int r = out->point ? 0 : m2c_fail(err, -ENOMEM, "sweep: out of memory");
    for (uint64_t i = 0; i < total && r == 0; i++) {
        struct m2c_point p = {0};
        r = make_point(set, i, &p, err);
        if (r == 0 && is_new(out, p.hash)) {
            p.index = out->n;
            out->point[out->n++] = p;
        } else {
            m2c_optset_close(p.set);
        }
    }
    if (r < 0)
        m2c_sweep_free(out);
    return r;
}

void m2c_sweep_free(struct m2c_sweep *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        m2c_optset_close(s->point[i].set);
    free(s->point);
    *s = (struct m2c_sweep){0};
}
