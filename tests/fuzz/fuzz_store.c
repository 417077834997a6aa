/* SPDX-License-Identifier: MIT */
/* Model stores: whatever lies behind a header that vouches for it, opening
 * ends in a store or in one line that names the file, and a store that opened
 * can be read, checked and verified to the last byte. All sums of the header
 * are made anew for each input, since they would refuse every mutation.
 *
 * An input: pages of the head, pages of the user block (a byte each), the
 * index, a NUL, and what follows the user block. */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "import/import.h"
#include "store/store.h"

enum { BLOCK = FUZZ_BLOCK, N_SEEDS = 2 };

static void must(int rc, const struct m2c_err *err)
{
    if (rc)
        fprintf(stderr, "seed: %s\n", err->msg);
    FUZZ_CHECK(rc == 0);
}

/* Two llama2.c models of zeros, one with a head of its own. */
static void make_source(const char *path, int which)
{
    enum { DIM = 8, HIDDEN = 3, LAYERS = 1, VOCAB = 5, CTX = 2 };
    const int32_t fields[7] = {DIM, HIDDEN, LAYERS, 2, 1, which ? -VOCAB : VOCAB, CTX};
    const size_t n =
        (size_t)(VOCAB * DIM * (1 + which) + (2 * LAYERS + 1) * DIM +
                 LAYERS * (3 * DIM * DIM + 3 * DIM * HIDDEN) + CTX * DIM / 2);
    static const float zeros[1024];
    FILE *f = fopen(path, "wb");
    FUZZ_CHECK(f && n <= 1024 && fwrite(fields, sizeof fields, 1, f) == 1);
    FUZZ_CHECK(fwrite(zeros, sizeof(float), n, f) == n && fclose(f) == 0);
}

static uint8_t *make_seed(int which, size_t *n)
{
    char source[64], dest[64];
    struct m2c_err err = {0};
    struct m2c_import *im = NULL;
    struct m2c_store_write_opts opts = {.layout = "copies",
                                        .arrange = "part",
                                        .dense = which ? M2C_I8 : M2C_F32,
                                        .overwrite = true};
    if (which) {
        opts.tok_kind = "none";
        opts.tok_bytes = "tokens";
        opts.tok_n = 6;
    }
    snprintf(source, sizeof source, "/tmp/fuzz-store-%ld.bin", (long)getpid());
    snprintf(dest, sizeof dest, "/tmp/fuzz-store-%ld.h5", (long)getpid());
    make_source(source, which);
    must(m2c_import_open(&im, source, NULL, &err), &err);
    must(m2c_store_import(dest, im, &opts, NULL, &err), &err);
    m2c_import_close(im);
    uint8_t *data = fuzz_read(dest, n);
    unlink(source);
    unlink(dest);
    return data;
}

/* From a file to the input that makes it. */
bool fuzz_seed(size_t i, const uint8_t **data, size_t *n)
{
    static uint8_t *seeds[N_SEEDS];
    static size_t sizes[N_SEEDS];
    if (i >= N_SEEDS)
        return false;
    if (!seeds[i]) {
        size_t file_n, at = BLOCK;
        uint8_t *file = make_seed((int)i, &file_n);
        size_t index_n = (size_t)fuzz_u64(file + 48);
        while (memcmp(file + at, "\x89HDF", 4) != 0)
            at += BLOCK;
        sizes[i] = 2 + index_n + 1 + file_n - at;
        uint8_t *p = seeds[i] = malloc(sizes[i]);
        FUZZ_CHECK(p != NULL);
        p[0] = (uint8_t)(fuzz_u64(file + 24) / BLOCK);
        p[1] = (uint8_t)(at / BLOCK);
        memcpy(p + 2, file + BLOCK, index_n);
        p[2 + index_n] = 0;
        memcpy(p + 2 + index_n + 1, file + at, file_n - at);
        free(file);
    }
    *data = seeds[i];
    *n = sizes[i];
    return true;
}

/* Reads everything that the store says it has. */
static void use(const struct m2c_store *s, const uint8_t *file, size_t n)
{
    const struct m2c_model_cfg *c = m2c_store_cfg(s);
    struct m2c_err err = {0};
    struct m2c_store_dense d;
    const char *kind;
    const void *tok;
    size_t tok_n;
    uint64_t bad = 0;
    for (int k = 0; k < M2C_N_TENSOR_KINDS; k++) {
        if (!m2c_store_dense(s, (enum m2c_tensor_kind)k, 0, &d))
            continue;
        FUZZ_CHECK(d.code_bytes <= n && d.scale_bytes <= n);
        void *codes = malloc(d.code_bytes), *scales = malloc(d.scale_bytes + 1);
        FUZZ_CHECK(codes && scales);
        int rc = m2c_store_read_dense(s, (enum m2c_tensor_kind)k, 0, codes, scales, &err);
        FUZZ_CHECK(rc == 0 || rc == -EIO);
        free(scales);
        free(codes);
    }
    for (uint32_t l = 0; l < c->layers; l++) {
        for (uint32_t q = 0; q < m2c_store_extents(s); q++) {
            struct m2c_store_range r;
            m2c_store_extent(s, l, q, &r);
            FUZZ_CHECK(r.offset % BLOCK == 0 && m2c_range_ok(r.offset, r.bytes, n));
            int rc = m2c_store_check(s, l, q, 0, c->hidden, file + r.offset, &err);
            FUZZ_CHECK(rc == 0 || rc == -EIO);
        }
    }
    if (m2c_store_tokenizer(s, &kind, &tok, &tok_n))
        FUZZ_CHECK(tok_n <= n && strlen(kind) < 32);
    int rc = m2c_store_verify(s, NULL, &bad, &err);
    FUZZ_CHECK(rc == (bad ? -EIO : 0));
}

/* The file of an input. */
static uint8_t *assemble(const uint8_t *data, size_t n, size_t *file_n)
{
    size_t index_n = strnlen((const char *)data + 2, n - 2);
    size_t rest = 2 + index_n < n ? n - 2 - index_n - 1 : 0;
    size_t at = (2 * BLOCK + index_n) / BLOCK * BLOCK;
    at = M2C_MAX(at, (size_t)data[1] * BLOCK);
    *file_n = at + rest;
    uint8_t *file = calloc(1, *file_n);
    FUZZ_CHECK(file != NULL);
    memcpy(file + BLOCK, data + 2, index_n);
    if (rest)
        memcpy(file + at, data + n - rest, rest);
    uint64_t head = (uint64_t)data[0] * BLOCK;
    fuzz_seal(file, *file_n, "m2cstore", 2, head <= BLOCK || head > *file_n ? at : head,
              index_n);
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    size_t file_n;
    uint8_t *file = assemble(data, n, &file_n);
    const char *path = fuzz_file(file, file_n);
    struct m2c_store *s = NULL;
    struct m2c_err err = {0};
    if (m2c_store_open(&s, path, &err) == 0) {
        use(s, file, file_n);
        m2c_store_close(s);
    } else {
        FUZZ_CHECK(s == NULL && err.code < 0 && err.code != -ENOMEM);
        FUZZ_CHECK(strstr(err.msg, path) != NULL && strchr(err.msg, '\n') == NULL);
    }
    free(file);
    return 0;
}
