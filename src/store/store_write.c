/* SPDX-License-Identifier: MIT */
/* Importing: a whole model into a new store, or nothing.
 *
 * The store grows under a temporary name beside its final one. Its user
 * block, without which nobody takes it for a store, is written last; then
 * comes fsync, then the final name. */
#define _GNU_SOURCE /* renameat2 */
#include "store/write_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int m2c_writer_stopped(const struct m2c_writer *w, struct m2c_err *err)
{
    if (!w->opts->stop || !*w->opts->stop)
        return 0;
    return m2c_fail(err, -EINTR, "%s: interrupted, nothing was written", w->path);
}

int m2c_writer_sums(struct m2c_writer *w, const struct m2c_dset *d, uint64_t first,
                    const uint64_t *sums, size_t n, struct m2c_err *err)
{
    return m2c_pwrite_all(w->fd, w->path, sums, n * sizeof *sums,
                          w->at.sums + (d->first_sum + first) * sizeof *sums, err);
}

int m2c_writer_payload(struct m2c_writer *w, struct m2c_err *err)
{
    const struct m2c_plan *p = &w->plan;
    int rc = 0;
    for (size_t i = 0; !rc && i < p->n_global; i++)
        rc = m2c_writer_dense(w, i, err);
    for (uint32_t l = 0; !rc && l < p->cfg.layers; l++) {
        for (size_t k = 0; !rc && k < p->n_layer; k++)
            rc = m2c_writer_dense(w, p->n_global + (size_t)l * p->n_layer + k, err);
        if (!rc)
            rc = m2c_writer_ffn(w, l, err);
    }
    return rc;
}

/* ---- before anything is created ---- */

static int check_opts(const char *path, const struct m2c_store_write_opts *o,
                      const struct m2c_model_cfg *cfg, struct m2c_store_config *c,
                      struct m2c_err *err)
{
    memset(c, 0, sizeof *c);
    c->cfg = *cfg;
    int rc = m2c_model_cfg_check(cfg, err);
    if (rc)
        return m2c_fail_in(err, rc, "%s: the model", path);
    m2c_index_text(c->cfg.name); /* it may come from a file's name: any bytes */
    rc = m2c_layout_find(o->layout, &c->layout, err);
    if (rc)
        return rc;
    rc = m2c_arrange_parse(o->arrange, &c->arrange, err);
    const struct m2c_quant *quant = rc ? NULL : m2c_quant_find(o->quant ? o->quant : "rtn", err);
    if (!quant)
        return rc ? rc : -ENOENT;
    snprintf(c->quant, sizeof c->quant, "%s", quant->p.name);
    if (quant->calibrated && !o->moments)
        return m2c_fail(err, -EINVAL, "%s: quantiser '%s' has no moments to go by", path,
                        c->quant);
    if (!m2c_dense_type_ok(o->dense))
        return m2c_fail(err, -EINVAL,
                        "dense tensors cannot be %s (known: f32, f16, i8, i4)",
                        m2c_type_name(o->dense));
    if (cfg->experts != 1)
        return m2c_fail(err, -EINVAL, "%s: a model with %u experts, this m2c stores 1",
                        path, cfg->experts);
    if (o->tok_kind && (strlen(o->tok_kind) >= M2C_TOK_KIND || o->tok_n == 0))
        return m2c_fail(err, -EINVAL, "%s: a tokenizer of kind '%s' with %zu bytes", path,
                        o->tok_kind, o->tok_n);
    return 0;
}

static int check_target(const char *path, bool overwrite, struct m2c_err *err)
{
    struct stat st;
    if (lstat(path, &st)) {
        int e = errno;
        return e == ENOENT ? 0 : m2c_fail(err, -e, "%s: %s", path, strerror(e));
    }
    if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
        return m2c_fail(err, -EEXIST, "%s: exists and is not a file", path);
    if (!overwrite)
        return m2c_fail(err, -EEXIST, "%s: exists (--overwrite replaces it)", path);
    return 0;
}

static uint64_t available(const char *path)
{
    char dir[PATH_MAX];
    struct statvfs v;
    m2c_folder_of(path, dir);
    if (statvfs(dir, &v) || v.f_blocks == 0) /* some file systems do not say */
        return UINT64_MAX;
    return (uint64_t)v.f_bavail * v.f_frsize;
}

static int no_space(const char *path, uint64_t need, uint64_t have, struct m2c_err *err)
{
    return m2c_fail(err, -ENOSPC,
                    "%s: needs %" PRIu64 " bytes, the file system has %" PRIu64
                    " available",
                    path, need, have);
}

/* A write beyond the limit would raise SIGXFSZ, whose default is death. */
static int check_space(const char *path, uint64_t need, struct m2c_err *err)
{
    struct rlimit lim;
    if (need > INT64_MAX)
        return m2c_fail(err, -EFBIG, "%s: %" PRIu64 " bytes are too many", path, need);
    if (getrlimit(RLIMIT_FSIZE, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY &&
        need > lim.rlim_cur)
        return m2c_fail(err, -EFBIG,
                        "%s: needs %" PRIu64
                        " bytes, this process may write files of %" PRIu64 " (ulimit -f)",
                        path, need, (uint64_t)lim.rlim_cur);
    uint64_t have = available(path);
    return need > have ? no_space(path, need, have, err) : 0;
}

/* ---- the file ---- */

static int reserve(struct m2c_writer *w, struct m2c_err *err)
{
    /* What is already allocated counts: only the rest must still be found. */
    int e = posix_fallocate(w->fd, 0, (off_t)w->file_bytes);
    while (e == EINTR)
        e = posix_fallocate(w->fd, 0, (off_t)w->file_bytes);
    if (e == 0 || e == EOPNOTSUPP || e == EINVAL) /* cannot be reserved there */
        return 0;
    if (e == ENOSPC)
        return no_space(w->path, w->file_bytes, available(w->path), err);
    return m2c_fail(err, -e, "%s: %" PRIu64 " bytes cannot be reserved: %s", w->path,
                    w->file_bytes, strerror(e));
}

static int find_hashes(const struct m2c_writer *w, struct m2c_hash128 *model,
                       struct m2c_hash128 *order)
{
    const struct m2c_model_cfg *cfg = &w->plan.cfg;
    if (w->bank) /* what they are made of names them, whatever the layout */
        m2c_model_hash_tensor(w->hash,
                              m2c_hash128(cfg->synthetic, strlen(cfg->synthetic)));
    *model = w->from ? w->from->model : m2c_model_hash_end(w->hash);
    if (!w->from)
        return m2c_identity_order(cfg, order);
    *order = w->from->order;
    return w->order ? m2c_order_hash(cfg, w->order, *order, order) : 0;
}

/* The hashes are known once all tensors have passed. */
static int set_hashes(struct m2c_writer *w, struct m2c_hash128 model,
                      struct m2c_hash128 order, struct m2c_err *err)
{
    hid_t fapl = m2c_writer_access(false), f = -1;
    if (fapl >= 0) {
        f = H5Fopen(w->tmp, H5F_ACC_RDWR, fapl);
        m2c_h5_close(fapl);
    }
    if (f < 0)
        return m2c_h5_fail(err, -EIO, "%s: cannot reopen %s", w->path, w->tmp);
    int rc = m2c_config_set_hashes(w->path, f, model, order, err);
    if (H5Fclose(f) < 0 && !rc)
        rc = m2c_h5_fail(err, -EIO, "%s: cannot write the metadata", w->path);
    struct stat st;
    if (!rc && (fstat(w->fd, &st) || (uint64_t)st.st_size != w->file_bytes))
        rc = m2c_fail(err, -EIO, "%s: libhdf5 changed the file's length", w->path);
    return rc;
}

/* Everything but the payload; the header is the last that is written. */
static int describe(struct m2c_writer *w, struct m2c_err *err)
{
    struct m2c_hash128 model, order = {0, 0};
    if (find_hashes(w, &model, &order))
        return m2c_fail(err, -ENOMEM, "%s: no memory for a hash", w->path);
    int rc = set_hashes(w, model, order, err);
    if (rc)
        return rc;
    json_t *index = m2c_store_index(&w->plan, model, order, &w->at);
    rc = m2c_index_write(w->fd, w->path, &m2c_kind_store, index, w->userblock,
                         w->file_bytes, w->head_bytes, err);
    json_decref(index);
    return rc;
}

static int publish(const struct m2c_writer *w, struct m2c_err *err)
{
    unsigned flags = w->opts->overwrite ? 0 : RENAME_NOREPLACE;
    int rc = renameat2(AT_FDCWD, w->tmp, AT_FDCWD, w->path, flags);
    if (rc && flags && (errno == EINVAL || errno == ENOSYS)) {
        rc = check_target(w->path, false, err);
        if (rc)
            return rc;
        rc = rename(w->tmp, w->path);
    }
    if (!rc)
        return 0;
    int e = errno;
    return m2c_fail(err, -e, "%s: %s", w->path, strerror(e));
}

static int fill_file(struct m2c_writer *w, struct m2c_err *err)
{
    w->fd = open(w->tmp, O_RDWR | O_CLOEXEC);
    if (w->fd < 0) {
        int e = errno;
        return m2c_fail(err, -e, "%s: %s", w->tmp, strerror(e));
    }
    int rc = reserve(w, err);
    if (!rc)
        rc = m2c_writer_payload(w, err);
    if (!rc && w->opts->tok_kind)
        rc = m2c_pwrite_all(w->fd, w->path, w->opts->tok_bytes, w->opts->tok_n, w->at.tok,
                            err);
    if (!rc)
        rc = describe(w, err);
    if (!rc && fsync(w->fd)) {
        int e = errno;
        rc = m2c_fail(err, -e, "%s: fsync: %s", w->path, strerror(e));
    }
    return rc ? rc : m2c_writer_stopped(w, err);
}

bool m2c_writer_norm(enum m2c_tensor_kind kind)
{
    return kind == M2C_T_FINAL_NORM || kind == M2C_T_ATTN_NORM || kind == M2C_T_FFN_NORM;
}

static enum m2c_type dense_type(enum m2c_tensor_kind kind, enum m2c_type matrices)
{
    return m2c_writer_norm(kind) ? M2C_F32 : matrices;
}

/* The plan of what will be written, with all sizes, and room for its index. */
static int plan_store(struct m2c_writer *w, const struct m2c_store_config *c,
                      struct m2c_err *err)
{
    int rc = m2c_plan_init(&w->plan, &c->cfg, &c->layout, c->arrange, c->quant, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < w->plan.n_dense; i++)
        m2c_plan_set_type(&w->plan, i,
                          w->from ? w->from->plan.dset[2 * i].type
                                  : dense_type(w->plan.dset[2 * i].kind, w->opts->dense));
    rc = m2c_plan_sizes(&w->plan, err);
    if (rc)
        return m2c_fail_in(err, rc, "%s", w->path);
    for (size_t i = 0; i < w->plan.n_dsets; i++)
        w->plan.dset[i].offset = M2C_INDEX_NOWHERE;
    w->at = (struct m2c_head_places){M2C_INDEX_NOWHERE, M2C_INDEX_NOWHERE, w->opts->tok_n,
                                     w->opts->tok_kind};
    json_t *index = m2c_store_index(&w->plan, c->model, c->order, &w->at);
    rc = m2c_index_room(w->path, index, &w->userblock, err);
    json_decref(index);
    return rc;
}

/* From a checked plan to the final name; whatever fails, the temporary file
 * goes. */
static int write_store(struct m2c_writer *w, const struct m2c_store_config *c,
                       struct m2c_log *log, struct m2c_err *err)
{
    struct m2c_h5_quiet quiet;
    if (m2c_model_hash_open(&w->hash, &c->cfg))
        return m2c_fail(err, -ENOMEM, "%s: no memory for a hash", w->path);
    int rc = m2c_pool_open(&w->pool, 0, err);
    if (!rc)
        rc = m2c_progress_open(&w->progress, log, w->bank ? "synth" : "import",
                               w->plan.dense_bytes + w->plan.ffn_bytes, "B");
    if (rc)
        return rc;
    m2c_h5_quiet_begin(&quiet);
    rc = m2c_writer_create(w, c, err);
    if (!rc)
        rc = fill_file(w, err);
    m2c_h5_quiet_end(&quiet);
    if (w->fd >= 0 && close(w->fd) && !rc) {
        int e = errno;
        rc = m2c_fail(err, -e, "%s: close: %s", w->path, strerror(e));
    }
    if (!rc)
        rc = publish(w, err);
    if (rc)
        unlink(w->tmp);
    else
        rc = m2c_sync_folder(w->path, err);
    return rc;
}

/* A writer whose source is set, to its end. */
static int convert(struct m2c_writer *w, const struct m2c_model_cfg *cfg,
                   struct m2c_log *log, struct m2c_err *err)
{
    char tmp[PATH_MAX];
    struct m2c_store_config c;
    w->tmp = tmp;
    w->fd = -1;
    int rc = m2c_part_name(w->path, tmp, err);
    if (!rc)
        rc = check_opts(w->path, w->opts, cfg, &c, err);
    if (!rc && w->from && strcmp(w->from->plan.layout.name, c.layout.name) == 0)
        memcpy(c.quant, w->from->plan.quant, sizeof c.quant);
    if (!rc)
        rc = check_target(w->path, w->opts->overwrite, err);
    if (!rc)
        rc = plan_store(w, &c, err);
    if (!rc)
        rc = check_space(w->path, m2c_writer_estimate(w), err);
    if (!rc)
        rc = write_store(w, &c, log, err);
    m2c_progress_close(w->progress);
    m2c_pool_close(w->pool);
    m2c_model_hash_close(w->hash);
    m2c_plan_fini(&w->plan);
    return rc;
}

int m2c_store_import(const char *path, struct m2c_import *src,
                     const struct m2c_store_write_opts *opts, struct m2c_log *log,
                     struct m2c_err *err)
{
    struct m2c_writer w = {.path = path, .src = src, .opts = opts};
    return convert(&w, m2c_import_cfg(src), log, err);
}

int m2c_store_relayout(const char *path, const struct m2c_store *src,
                       const struct m2c_store_write_opts *opts, const uint32_t *order,
                       struct m2c_log *log, struct m2c_err *err)
{
    struct m2c_store_write_opts o = *opts;
    struct m2c_writer w = {.path = path, .from = src, .opts = &o, .order = order};
    o.dense = M2C_F32; /* not looked at */
    o.tok_kind = src->has_tok ? src->tok_kind : NULL;
    o.tok_bytes = src->tok;
    o.tok_n = src->tok_n;
    int rc = order ? m2c_check_order(&src->plan.cfg, order, err) : 0;
    return rc ? rc : convert(&w, &src->plan.cfg, log, err);
}

int m2c_store_synth(const char *path, const struct m2c_model_cfg *cfg, uint64_t seed,
                    const struct m2c_store_write_opts *opts, struct m2c_log *log,
                    struct m2c_err *err)
{
    struct m2c_writer w = {.path = path, .opts = opts};
    struct m2c_model_cfg c = *cfg;
    struct m2c_layout layout;
    struct m2c_bank *bank = NULL;
    snprintf(c.synthetic, sizeof c.synthetic, "random weights, seed %" PRIu64, seed);
    int rc = m2c_model_cfg_check(&c, err);
    if (!rc)
        rc = m2c_layout_find(opts->layout, &layout, err);
    if (!rc)
        rc = m2c_bank_open(&bank, &c, &layout, opts->dense, seed, err);
    w.bank = bank;
    if (!rc)
        rc = convert(&w, &c, log, err);
    m2c_bank_close(bank);
    return rc;
}
