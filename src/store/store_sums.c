/* SPDX-License-Identifier: MIT */
/* Payload against its sums: what was read, and everything at once. */
#include "store/store_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What verify reads at once; a block never exceeds it by more than one
 * record. */
enum { READ_BYTES = 4 << 20 };

int m2c_store_check_block(const struct m2c_store *s, const struct m2c_dset *d, uint64_t i,
                          const void *bytes, struct m2c_err *err)
{
    uint64_t at, n = m2c_plan_summed(&s->plan, d, i, &at);
    if (m2c_hash64(bytes, (size_t)n) == s->sums[d->first_sum + i])
        return 0;
    char path[M2C_STORE_PATH], what[64] = "block";
    m2c_dset_path(&s->plan, d, path);
    if (d->role == M2C_DSET_FFN)
        snprintf(what, sizeof what, d->block_sums > 1 ? "%s of record" : "record",
                 s->plan.layout.part[i % d->block_sums].name);
    return m2c_fail(err, -EIO,
                    "%s: damaged: %s %s %" PRIu64 " (%" PRIu64 " bytes at offset %" PRIu64
                    ") does not have its sum",
                    s->path, path, what, i / d->block_sums, n, d->offset + at);
}

int m2c_store_check(const struct m2c_store *s, uint32_t layer, uint32_t extent,
                    uint32_t first, uint32_t n, const void *records, struct m2c_err *err)
{
    const struct m2c_dset *d = &s->plan.dset[m2c_plan_extent(&s->plan, layer, extent)];
    uint64_t rows = d->n_sums / d->block_sums;
    if (!m2c_range_ok(first, n, rows))
        return m2c_fail(err, -EINVAL, "%s: records %u to %" PRIu64 " of %" PRIu64,
                        s->path, first, (uint64_t)first + n, rows);
    if (!m2c_store_has_weights(s))
        return m2c_store_no_weights(s, err);
    const unsigned char *p = records;
    for (uint64_t i = 0; i < (uint64_t)n * d->block_sums; i++) {
        uint64_t at;
        (void)m2c_plan_summed(&s->plan, d, i, &at);
        int rc = m2c_store_check_block(s, d, (uint64_t)first * d->block_sums + i, p + at, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int read_checked(const struct m2c_store *s, const struct m2c_dset *d, void *dst,
                        struct m2c_err *err)
{
    unsigned char *p = dst;
    for (uint64_t i = 0; i < d->n_sums; i++) {
        uint64_t at;
        size_t n = (size_t)m2c_plan_summed(&s->plan, d, i, &at);
        int rc = m2c_pread_all(s->fd, s->path, p, n, d->offset + at, err);
        if (!rc)
            rc = m2c_store_check_block(s, d, i, p, err);
        if (rc)
            return rc;
        p += n;
    }
    return 0;
}

int m2c_store_read_dense(const struct m2c_store *s, enum m2c_tensor_kind kind,
                         uint32_t layer, void *codes, void *scales, struct m2c_err *err)
{
    size_t i;
    if (!m2c_plan_dense(&s->plan, kind, layer, &i) || s->plan.dset[2 * i].rows == 0)
        return m2c_fail(err, -ENOENT, "%s: has no tensor '%s' in layer %u", s->path,
                        m2c_tensor_kind_name(kind), layer);
    const struct m2c_dset *d = &s->plan.dset[2 * i];
    if (!m2c_store_has_weights(s))
        return m2c_store_no_weights(s, err);
    int rc = read_checked(s, d, codes, err);
    if (!rc && d[1].bytes)
        rc = read_checked(s, d + 1, scales, err);
    return rc;
}

/* ---- verify ---- */

struct verify {
    const struct m2c_store *s;
    struct m2c_progress *progress;
    unsigned char *buf;
    size_t size;
    uint64_t done, bad;
    struct m2c_err *err; /* the first damage */
};

/* Counts one damaged thing; the first keeps its words. */
static void found(struct verify *v, const struct m2c_err *e)
{
    if (v->bad++ == 0 && v->err)
        *v->err = *e;
}

static int verify_dset(struct verify *v, const struct m2c_dset *d)
{
    uint64_t blocks = (d->bytes + d->block - 1) / d->block;
    uint64_t per_read = M2C_MAX(v->size / d->block, (uint64_t)1);
    for (uint64_t b = 0; b < blocks; b += per_read) {
        uint64_t at = b * d->block, end = M2C_MIN(b + per_read, blocks);
        size_t bytes = (size_t)M2C_MIN(end * d->block, d->bytes) - (size_t)at;
        int rc =
            m2c_pread_all(v->s->fd, v->s->path, v->buf, bytes, d->offset + at, v->err);
        if (rc)
            return rc;
        for (uint64_t i = b * d->block_sums; i < end * d->block_sums; i++) {
            uint64_t off;
            struct m2c_err e = {0};
            (void)m2c_plan_summed(&v->s->plan, d, i, &off);
            if (m2c_store_check_block(v->s, d, i, v->buf + (off - at), &e))
                found(v, &e);
        }
        v->done += bytes;
        m2c_progress_set(v->progress, v->done);
    }
    return 0;
}

/* Bytes between datasets are zero: nothing in the file is unguarded. */
static int verify_gap(struct verify *v, uint64_t from, uint64_t to)
{
    const struct m2c_store *s = v->s;
    while (from < to) {
        size_t n = (size_t)M2C_MIN((uint64_t)v->size, to - from);
        int rc = m2c_pread_all(s->fd, s->path, v->buf, n, from, v->err);
        if (rc)
            return rc;
        size_t i = 0;
        while (i < n && v->buf[i] == 0)
            i++;
        if (i < n) {
            struct m2c_err e = {0};
            m2c_fail(&e, -EIO,
                     "%s: damaged: the padding at offset %" PRIu64 " is not zero",
                     s->path, from + i);
            found(v, &e);
            return 0;
        }
        from += n;
    }
    return 0;
}

static int verify_payload(struct verify *v, const struct m2c_dset **list, size_t n)
{
    uint64_t at = v->s->head.head_bytes;
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        rc = verify_gap(v, at, list[i]->offset);
        if (!rc)
            rc = verify_dset(v, list[i]);
        at = list[i]->offset + list[i]->bytes;
    }
    return rc ? rc : verify_gap(v, at, v->s->head.file_bytes);
}

/* The file may have changed since it was opened. */
static int verify_head(struct verify *v)
{
    const struct m2c_store *s = v->s;
    struct m2c_userblock now;
    struct m2c_err e = {0};
    int rc = m2c_userblock_check(s->fd, s->path, &m2c_kind_store, &now, &e);
    if (rc && rc != -EINVAL) {
        if (v->err)
            *v->err = e;
        return rc;
    }
    if (!rc && (now.file_bytes != s->head.file_bytes ||
                !m2c_hash_equal(now.digest, s->head.digest)))
        rc = m2c_fail(&e, -EINVAL, "%s: was changed after it was opened", s->path);
    if (rc) {
        e.code = -EIO;
        found(v, &e);
    }
    return 0;
}

int m2c_store_verify(const struct m2c_store *s, struct m2c_log *log, uint64_t *bad,
                     struct m2c_err *err)
{
    struct verify v = {.s = s, .size = READ_BYTES, .err = err};
    for (uint32_t e = 0; e < s->plan.n_extents; e++)
        v.size = M2C_MAX(v.size, (size_t)s->plan.dset[m2c_plan_extent(&s->plan, 0, e)].cols);
    size_t n;
    const struct m2c_dset **list = m2c_plan_by_offset(&s->plan, &n);
    v.buf = malloc(v.size);
    int rc =
        list && v.buf ? 0 : m2c_fail(err, -ENOMEM, "%s: no memory to verify", s->path);
    if (!rc)
        rc = m2c_progress_open(&v.progress, log, "verify",
                               s->plan.dense_bytes + s->plan.ffn_bytes, "B");
    if (!rc)
        rc = verify_head(&v);
    if (!rc)
        rc = verify_payload(&v, list, n);
    m2c_progress_close(v.progress);
    free(v.buf);
    free(list);
    *bad = v.bad;
    if (rc)
        return rc;
    return v.bad ? -EIO : 0;
}
