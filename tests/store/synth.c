/* SPDX-License-Identifier: MIT */
/* Models made on the spot. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "store/synth.h"

#include "base/rng.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libhdf5 loses some memory when it refuses a file; ours is still counted. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

static char folder[64];
void (*synth_on_find)(void);

const char *synth_path(const char *name)
{
    static char paths[4][160];
    static unsigned next;
    if (!folder[0]) {
        strcpy(folder, "/tmp/m2c-store-XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    char *out = paths[next++ % 4];
    snprintf(out, sizeof paths[0], "%s/%s", folder, name);
    return out;
}

static int each_file(const char *part, bool remove)
{
    int n = 0;
    DIR *d = folder[0] ? opendir(folder) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.' || !strstr(e->d_name, part))
            continue;
        n++;
        if (remove)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
    return n;
}

int synth_files(const char *part)
{
    return each_file(part, false);
}

void synth_clean(void)
{
    each_file("", true);
    if (folder[0])
        rmdir(folder);
    folder[0] = 0;
}

struct m2c_model_cfg synth_cfg(uint32_t dim, uint32_t hidden, uint32_t layers,
                               uint32_t vocab)
{
    return (struct m2c_model_cfg){.name = "synthetic",
                                  .arch = "llama",
                                  .dim = dim,
                                  .hidden = hidden,
                                  .layers = layers,
                                  .heads = 2,
                                  .kv_heads = 1,
                                  .head_dim = dim / 2,
                                  .vocab = vocab,
                                  .ctx = 16,
                                  .experts = 1,
                                  .tied_head = true,
                                  .has_gate = true,
                                  .act = M2C_ACT_SILU,
                                  .norm_eps = 1e-5f,
                                  .rope = M2C_ROPE_HALF,
                                  .rope_theta = 10000,
                                  .bos = 1,
                                  .eos = 2};
}

/* ---- the importer ---- */

struct synth {
    struct m2c_import_file file;
    size_t n; /* tensors, kinds by layers */
    uint64_t *offset;
    float **w; /* NULL entries: no such tensor, or sparse */
};

static size_t at(const struct m2c_import *im, enum m2c_tensor_kind kind, uint32_t layer)
{
    return (size_t)kind * im->cfg.layers + layer;
}

static void synth_find(const struct m2c_import *im, enum m2c_tensor_kind kind,
                       uint32_t layer, struct m2c_source *out)
{
    const struct synth *s = im->priv;
    if (synth_on_find)
        synth_on_find();
    *out = (struct m2c_source){
        .file = &s->file, .enc = M2C_ENC_F32, .offset = s->offset[at(im, kind, layer)]};
}

static void synth_close(struct m2c_import *im)
{
    struct synth *s = im->priv;
    m2c_import_file_close(&s->file);
    for (size_t i = 0; i < s->n; i++)
        free(s->w[i]);
    free(s->w);
    free(s->offset);
}

static const struct m2c_import_ops ops = {
    .p = {.name = "synthetic", .desc = "for tests", .priv_size = sizeof(struct synth)},
    .close = synth_close,
    .find = synth_find,
};

static uint64_t make_tensor(struct m2c_import *im, int fd, enum m2c_tensor_kind kind,
                            uint32_t layer, uint64_t off, uint64_t seed, bool sparse)
{
    struct synth *s = im->priv;
    uint32_t rows, cols;
    if (!m2c_tensor_shape(&im->cfg, kind, &rows, &cols))
        return off;
    size_t i = at(im, kind, layer), n = (size_t)rows * cols;
    s->offset[i] = off;
    if (!sparse) {
        struct m2c_rng r;
        m2c_rng_init(&r, seed, i);
        s->w[i] = malloc(n * sizeof(float));
        assert_non_null(s->w[i]);
        for (size_t k = 0; k < n; k++)
            s->w[i][k] = m2c_rng_normal(&r) * 0.1f;
        assert_int_equal(pwrite(fd, s->w[i], n * 4, (off_t)off), n * 4);
    }
    return off + n * 4;
}

struct m2c_import *synth_open(const struct m2c_model_cfg *cfg, uint64_t seed, bool sparse)
{
    struct m2c_import *im = calloc(1, sizeof *im);
    struct synth *s = calloc(1, sizeof *s);
    assert_true(im && s);
    im->ops = &ops;
    im->priv = s;
    im->cfg = *cfg;
    im->chunk = malloc(M2C_IMPORT_CHUNK);
    s->n = (size_t)M2C_N_TENSOR_KINDS * cfg->layers;
    s->offset = calloc(s->n, sizeof *s->offset);
    s->w = calloc(s->n, sizeof *s->w);
    assert_true(im->chunk && s->offset && s->w);
    const char *path = synth_path("source.bin");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    uint64_t off = 0;
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        uint32_t layers = m2c_tensor_kind_per_layer(kind) ? cfg->layers : 1;
        for (uint32_t l = 0; l < layers; l++)
            off = make_tensor(im, fd, kind, l, off, seed, sparse);
    }
    assert_int_equal(ftruncate(fd, (off_t)off), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(m2c_import_file_open(&s->file, path, NULL), 0);
    unlink(path); /* it lives as long as it is open */
    return im;
}

const float *synth_tensor(const struct m2c_import *im, enum m2c_tensor_kind kind,
                          uint32_t layer)
{
    const struct synth *s = im->priv;
    return s->w[at(im, kind, layer)];
}

void synth_poke(struct m2c_import *im, enum m2c_tensor_kind kind, uint32_t layer,
                uint32_t row, uint32_t col, float value)
{
    struct synth *s = im->priv;
    uint32_t rows, cols;
    char path[64];
    assert_true(m2c_tensor_shape(&im->cfg, kind, &rows, &cols));
    size_t i = at(im, kind, layer), k = (size_t)row * cols + col;
    if (s->w[i])
        s->w[i][k] = value;
    snprintf(path, sizeof path, "/proc/self/fd/%d", s->file.fd);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &value, 4, (off_t)(s->offset[i] + k * 4)), 4);
    close(fd);
}

struct m2c_store_write_opts synth_opts(enum m2c_type dense)
{
    return (struct m2c_store_write_opts){
        .layout = "copies", .arrange = "part", .dense = dense};
}

void synth_import(const char *path, struct m2c_import *im, enum m2c_type dense)
{
    struct m2c_store_write_opts o = synth_opts(dense);
    struct m2c_err err = {0};
    o.overwrite = true;
    if (m2c_store_import(path, im, &o, NULL, &err))
        fail_msg("import: %s", err.msg);
}

uint8_t *synth_slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *n = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*n + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *n, f), *n);
    fclose(f);
    return data;
}

void synth_spew(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}
