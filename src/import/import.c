/* SPDX-License-Identifier: MIT */
/* The registry of importers and the calls that everybody uses: choice of the
 * format, the check of every tensor against its file, bounds.
 *
 * After open, each tensor that the config implies is known to lie inside its
 * file as it was then. */
#include "import/import_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The order is that of auto-detection. */
static const struct m2c_import_ops *const registry[] = {
    &m2c_import_gguf,
    &m2c_import_hf,
    &m2c_import_llama2c,
    NULL,
};

const struct m2c_plugin *const *m2c_import_list(void)
{
    /* Each entry begins with its plug-in head. */
    return (const struct m2c_plugin *const *)(const void *)registry;
}

/* Formats that people try, with what to do about it. */
static int foreign(const struct m2c_import_probe *p, struct m2c_err *err)
{
    static const struct {
        size_t at, n;
        const char *magic, *what;
    } known[] = {
        {0, 8, "m2cstore", "a model store already"},
        {0, 8, "\x89HDF\r\n\x1a\n", "an HDF5 file"},
        {0, 4, "PK\x03\x04",
         "a PyTorch checkpoint or zip file; save the model as safetensors"},
        {0, 2, "\x1f\x8b", "a gzip file; unpack it first"},
        {8, 1, "{", "a safetensors file; give the folder that has its config.json"},
    };
    if (p->n_head == 0)
        return m2c_fail(err, -EINVAL, "%s: the file is empty", p->path);
    for (size_t i = 0; i < M2C_COUNTOF(known); i++) {
        if (m2c_range_ok(known[i].at, known[i].n, p->n_head) &&
            memcmp(p->head + known[i].at, known[i].magic, known[i].n) == 0)
            return m2c_fail(err, -EINVAL, "%s: %s", p->path, known[i].what);
    }
    return m2c_fail(err, -EINVAL,
                    "%s: not a model file that m2c knows (GGUF file, llama2.c file, Hugging "
                    "Face folder)",
                    p->path);
}

static int probe(struct m2c_import_probe *p, const char *path, struct m2c_err *err)
{
    struct stat st;
    memset(p, 0, sizeof *p);
    p->path = path;
    if (stat(path, &st))
        return m2c_fail(err, -errno, "%s: %s", path, strerror(errno));
    p->is_dir = S_ISDIR(st.st_mode);
    if (p->is_dir)
        return 0;
    struct m2c_import_file f = {0};
    int rc = m2c_import_file_open(&f, path, err);
    if (rc)
        return rc;
    p->size = f.size;
    p->n_head = (size_t)M2C_MIN(f.size, sizeof p->head);
    rc = m2c_import_file_read(&f, 0, p->head, p->n_head, err);
    m2c_import_file_close(&f);
    return rc;
}

static int choose(const char *path, const char *format, const struct m2c_import_ops **out,
                  struct m2c_err *err)
{
    struct m2c_import_probe p;
    int rc = probe(&p, path, err);
    if (rc)
        return rc;
    if (format && strcmp(format, "auto") != 0) {
        *out = m2c_plugin_find((const void *const *)registry, "format", format, err);
        return *out ? 0 : -EINVAL;
    }
    for (size_t i = 0; registry[i]; i++) {
        if (registry[i]->sniff(&p)) {
            *out = registry[i];
            return 0;
        }
    }
    return foreign(&p, err);
}

static int check_range(const struct m2c_source *s, enum m2c_tensor_kind kind,
                       uint32_t layer, uint64_t off, uint64_t bytes, struct m2c_err *err)
{
    if (m2c_range_ok(off, bytes, s->file->size))
        return 0;
    return m2c_fail(
        err, -EINVAL,
        "%s: %s of layer %u should be bytes %llu to %llu, but the file has %llu",
        s->file->path, m2c_tensor_kind_name(kind), (unsigned)layer,
        (unsigned long long)off, (unsigned long long)(off + bytes),
        (unsigned long long)s->file->size);
}

static int check_tensors(const struct m2c_import *im, struct m2c_err *err)
{
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        uint32_t rows, cols;
        if (!m2c_tensor_shape(&im->cfg, kind, &rows, &cols))
            continue;
        uint64_t n = (uint64_t)rows * cols;
        uint32_t layers = m2c_tensor_kind_per_layer(kind) ? im->cfg.layers : 1;
        for (uint32_t l = 0; l < layers; l++) {
            struct m2c_source s;
            im->ops->find(im, kind, l, &s);
            int rc = check_range(&s, kind, l, s.offset, m2c_source_bytes(&s, 0, n), err);
            if (rc == 0)
                rc = check_range(&s, kind, l, s.scales, m2c_source_scale_bytes(&s, n),
                                 err);
            if (rc)
                return rc;
        }
    }
    return 0;
}

static int apply_opts(struct m2c_import *im, const char *path,
                      const struct m2c_import_opts *opts, struct m2c_err *err)
{
    if (opts->act >= 0)
        im->cfg.act = (enum m2c_act)opts->act;
    im->cfg.act_shift = opts->act_shift;
    im->cfg.input_relu = opts->input_relu;
    im->cfg.input_relu_shift = opts->input_relu ? opts->input_relu_shift : 0;
    int rc = m2c_model_cfg_check(&im->cfg, err);
    return rc ? m2c_fail_in(err, rc, "%s", path) : 0;
}

int m2c_import_open(struct m2c_import **out, const char *path,
                    const struct m2c_import_opts *opts, struct m2c_err *err)
{
    static const struct m2c_import_opts none = {.act = -1};
    if (!opts)
        opts = &none;
    const struct m2c_import_ops *ops;
    int rc = choose(path, opts->format, &ops, err);
    if (rc)
        return rc;
    struct m2c_import *im = calloc(1, sizeof *im);
    if (!im)
        return m2c_fail(err, -ENOMEM, "%s: no memory", path);
    im->ops = ops;
    im->priv = calloc(1, ops->p.priv_size);
    im->chunk = malloc(M2C_IMPORT_CHUNK);
    if (!im->priv || !im->chunk)
        rc = m2c_fail(err, -ENOMEM, "%s: no memory", path);
    if (rc == 0)
        rc = ops->open(im, path, err);
    if (rc == 0)
        rc = apply_opts(im, path, opts, err);
    if (rc == 0)
        rc = check_tensors(im, err);
    if (rc) {
        m2c_import_close(im);
        return rc;
    }
    *out = im;
    return 0;
}

void m2c_import_close(struct m2c_import *im)
{
    if (!im)
        return;
    if (im->priv)
        im->ops->close(im);
    free(im->priv);
    free(im->chunk);
    free(im->tokenizer);
    free(im);
}

const char *m2c_import_format(const struct m2c_import *im)
{
    return im->ops->p.name;
}
const struct m2c_model_cfg *m2c_import_cfg(const struct m2c_import *im)
{
    return &im->cfg;
}
const char *m2c_import_tokenizer(const struct m2c_import *im)
{
    return im->tokenizer;
}

/* Finds a tensor and its shape; false: the model has none. */
static bool locate(const struct m2c_import *im, enum m2c_tensor_kind kind, uint32_t layer,
                   struct m2c_source *s, uint32_t *rows, uint32_t *cols)
{
    uint32_t layers = m2c_tensor_kind_per_layer(kind) ? im->cfg.layers : 1;
    if (layer >= layers || !m2c_tensor_shape(&im->cfg, kind, rows, cols))
        return false;
    im->ops->find(im, kind, layer, s);
    return true;
}

enum m2c_type m2c_import_type(const struct m2c_import *im, enum m2c_tensor_kind kind,
                              uint32_t layer)
{
    struct m2c_source s;
    uint32_t rows, cols;
    bool f16 = locate(im, kind, layer, &s, &rows, &cols) && s.enc == M2C_ENC_F16;
    return f16 ? M2C_F16 : M2C_F32;
}

int m2c_import_rows(struct m2c_import *im, enum m2c_tensor_kind kind, uint32_t layer,
                    uint32_t row, uint32_t n, float *out, struct m2c_err *err)
{
    struct m2c_source s;
    uint32_t rows, cols;
    if (!locate(im, kind, layer, &s, &rows, &cols) || !m2c_range_ok(row, n, rows))
        return m2c_fail(err, -EINVAL, "rows %u to %llu of %s, layer %u: no such rows",
                        (unsigned)row, (unsigned long long)row + n,
                        m2c_tensor_kind_name(kind), (unsigned)layer);
    return m2c_source_read(&s, (uint64_t)row * cols, (uint64_t)n * cols, im->chunk, out,
                           err);
}
