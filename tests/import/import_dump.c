/* SPDX-License-Identifier: MIT */
/* Shows what an importer sees, for tests against other readers.
 *
 *   import_dump dump SRC OUT [FORMAT]   the config and a line a tensor on
 *        stdout; OUT: each tensor in this order, f32, by rows and then again
 *        by columns, read in uneven pieces
 *   import_dump try SRC...              a line each: "ok" or the error */
#include "import/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int report(const struct m2c_err *err)
{
    fprintf(stderr, "error: %s\n", err->msg);
    return 1;
}

static void print_cfg(const struct m2c_import *im)
{
    const struct m2c_model_cfg *c = m2c_import_cfg(im);
    const char *tok = m2c_import_tokenizer(im);
    printf("format=%s\nname=%s\narch=%s\ndim=%u\nhidden=%u\nlayers=%u\nheads=%u\n"
           "kv_heads=%u\nhead_dim=%u\nvocab=%u\nctx=%u\nexperts=%u\n",
           m2c_import_format(im), c->name, c->arch, c->dim, c->hidden, c->layers,
           c->heads, c->kv_heads, c->head_dim, c->vocab, c->ctx, c->experts);
    printf("tied_head=%d\nhas_gate=%d\nact=%s\nact_shift=%g\ninput_relu=%d\n"
           "input_relu_shift=%g\nnorm_eps=%.9g\nrope=%s\nrope_theta=%.17g\nbos=%d\n"
           "eos=%d\ntokenizer=%s\n",
           c->tied_head, c->has_gate, m2c_act_name(c->act), (double)c->act_shift,
           c->input_relu, (double)c->input_relu_shift, (double)c->norm_eps,
           c->rope == M2C_ROPE_HALF ? "half" : "interleaved", c->rope_theta, (int)c->bos,
           (int)c->eos, tok ? tok : "");
}

/* Pieces of 1, 2, 3 … up to `max` rows or columns, so that none is special. */
static uint32_t piece(uint32_t i, uint32_t left, uint32_t max)
{
    uint32_t n = i % max + 1;
    return n < left ? n : left;
}

static int dump_tensor(struct m2c_import *im, enum m2c_tensor_kind kind, uint32_t layer,
                       uint32_t rows, uint32_t cols, FILE *out, struct m2c_err *err)
{
    size_t n = (size_t)rows * cols;
    float *x = malloc((n ? n : 1) * sizeof *x);
    struct m2c_import_cols *by_col = NULL;
    int rc = x ? 0 : m2c_fail(err, -1, "no memory");
    for (uint32_t r = 0, i = 0; rc == 0 && r < rows; i++) {
        uint32_t k = piece(i, rows - r, 61);
        rc = m2c_import_rows(im, kind, layer, r, k, x + (size_t)r * cols, err);
        r += k;
    }
    if (rc == 0 && fwrite(x, sizeof *x, n, out) != n)
        rc = m2c_fail(err, -1, "cannot write");
    if (rc == 0)
        rc = m2c_import_cols_open(im, kind, layer, &by_col, err);
    for (uint32_t c = 0, i = 0; rc == 0 && c < cols; i++) {
        uint32_t k = piece(i, cols - c, 37);
        m2c_import_cols_get(by_col, c, k, x + (size_t)c * rows);
        c += k;
    }
    if (rc == 0 && fwrite(x, sizeof *x, n, out) != n)
        rc = m2c_fail(err, -1, "cannot write");
    m2c_import_cols_close(by_col);
    free(x);
    return rc;
}

static int dump(struct m2c_import *im, FILE *out, struct m2c_err *err)
{
    print_cfg(im);
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        enum m2c_tensor_kind kind = (enum m2c_tensor_kind)k;
        uint32_t rows, cols;
        if (!m2c_tensor_shape(m2c_import_cfg(im), kind, &rows, &cols))
            continue;
        uint32_t n = m2c_tensor_kind_per_layer(kind) ? m2c_import_cfg(im)->layers : 1;
        for (uint32_t l = 0; l < n; l++) {
            printf("tensor %s %u %u %u %s\n", m2c_tensor_kind_name(kind), l, rows, cols,
                   m2c_type_name(m2c_import_type(im, kind, l)));
            int rc = dump_tensor(im, kind, l, rows, cols, out, err);
            if (rc)
                return rc;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct m2c_err err = {0};
    struct m2c_import *im = NULL;
    if (argc >= 3 && strcmp(argv[1], "try") == 0) {
        for (int i = 2; i < argc; i++) {
            int rc = m2c_import_open(&im, argv[i], NULL, &err);
            puts(rc ? err.msg : "ok");
            if (rc == 0)
                m2c_import_close(im);
        }
        return 0;
    }
    if (argc < 4 || argc > 5 || strcmp(argv[1], "dump") != 0)
        return 2;
    struct m2c_import_opts opts = {.format = argc > 4 ? argv[4] : "auto", .act = -1};
    if (m2c_import_open(&im, argv[2], &opts, &err))
        return report(&err);
    FILE *out = fopen(argv[3], "wb");
    int rc = out ? dump(im, out, &err) : m2c_fail(&err, -1, "%s: cannot write", argv[3]);
    if (out && fclose(out))
        rc = m2c_fail(&err, -1, "%s: cannot write", argv[3]);
    m2c_import_close(im);
    return rc ? report(&err) : 0;
}
