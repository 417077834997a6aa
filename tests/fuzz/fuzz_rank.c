/* SPDX-License-Identifier: MIT */
/* Rank files: whatever lies behind a header that vouches for it, reading ends
 * in a ranking whose every value is possible, or in one line that names the
 * file. The header's sums are made anew for each input, which is the index, a
 * NUL, and the rest of the file from OFFSET on. */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/rank.h"

enum { BLOCK = 4096, OFFSET = 8192, LAYERS = 2, N = 6 };

static const struct m2c_hash128 model = {1, 2};

static uint64_t u64_at(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
    return x;
}

static uint8_t *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    FUZZ_CHECK(f && fseek(f, 0, SEEK_END) == 0);
    *n = (size_t)ftell(f);
    uint8_t *data = malloc(*n);
    rewind(f);
    FUZZ_CHECK(data && fread(data, 1, *n, f) == *n);
    fclose(f);
    return data;
}

bool fuzz_seed(size_t i, const uint8_t **data, size_t *n)
{
    static uint8_t *seed;
    static size_t size;
    if (i > 0)
        return false;
    if (!seed) {
        char path[64];
        struct m2c_rank *r = NULL;
        size_t file_n;
        snprintf(path, sizeof path, "/tmp/fuzz-rank-%ld.h5", (long)getpid());
        FUZZ_CHECK(m2c_rank_new(&r, LAYERS, N) == 0);
        r->model = model;
        snprintf(r->text, sizeof r->text, "a text");
        FUZZ_CHECK(m2c_rank_sort(r) == 0 && m2c_rank_write(r, path, NULL) == 0);
        m2c_rank_free(r);
        uint8_t *file = read_all(path, &file_n);
        unlink(path);
        size_t index_n = (size_t)u64_at(file + 48);
        FUZZ_CHECK(memcmp(file + OFFSET, "\x89HDF", 4) == 0);
        size = index_n + 1 + file_n - OFFSET;
        seed = malloc(size);
        FUZZ_CHECK(seed != NULL);
        memcpy(seed, file + BLOCK, index_n);
        seed[index_n] = 0;
        memcpy(seed + index_n + 1, file + OFFSET, file_n - OFFSET);
        free(file);
    }
    *data = seed;
    *n = size;
    return true;
}

static uint8_t *assemble(const uint8_t *data, size_t n, size_t *file_n)
{
    const uint32_t version = 2;
    const uint64_t index_n = strnlen((const char *)data, n);
    size_t rest = index_n < n ? n - (size_t)index_n - 1 : 0;
    size_t at = M2C_MAX((size_t)OFFSET, BLOCK + (size_t)index_n);
    *file_n = at + rest;
    uint8_t *b = calloc(1, *file_n);
    FUZZ_CHECK(b != NULL);
    memcpy(b + BLOCK, data, (size_t)index_n);
    memcpy(b + at, data + n - rest, rest);
    memcpy(b, "m2crank", 8);
    memcpy(b + 8, &version, 4);
    memcpy(b + 16, &(uint64_t){*file_n}, 8);
    memcpy(b + 24, &(uint64_t){*file_n}, 8);
    struct m2c_hash128 d = m2c_hash128(b + BLOCK, *file_n - BLOCK);
    memcpy(b + 32, &d.hi, 8);
    memcpy(b + 40, &d.lo, 8);
    memcpy(b + 48, &index_n, 8);
    memcpy(b + BLOCK - 8, &(uint64_t){m2c_hash64(b, BLOCK - 8)}, 8);
    return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t file_n;
    uint8_t *file = assemble(data, n, &file_n);
    const char *path = fuzz_file(file, file_n);
    struct m2c_rank *r = NULL;
    struct m2c_err err = {0};
    if (m2c_rank_read(&r, path, model, LAYERS, N, &err) == 0) {
        for (uint32_t l = 0; l < LAYERS; l++) {
            for (uint32_t i = 0; i < N; i++)
                FUZZ_CHECK(r->layer[l].order[i] < N && r->layer[l].freq[i] <= 1);
        }
        FUZZ_CHECK(strlen(r->text) < sizeof r->text);
        m2c_rank_free(r);
    } else {
        FUZZ_CHECK(r == NULL && err.code < 0 && err.code != -ENOMEM);
        FUZZ_CHECK(strstr(err.msg, path) != NULL && strchr(err.msg, '\n') == NULL);
    }
    free(file);
    return 0;
}
