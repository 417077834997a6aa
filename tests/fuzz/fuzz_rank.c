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

enum { BLOCK = FUZZ_BLOCK, OFFSET = 8192, LAYERS = 2, N = 6 };

static const struct m2c_hash128 model = {1, 2};

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
        uint8_t *file = fuzz_read(path, &file_n);
        unlink(path);
        size_t index_n = (size_t)fuzz_u64(file + 48);
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
    const uint64_t index_n = strnlen((const char *)data, n);
    size_t rest = index_n < n ? n - (size_t)index_n - 1 : 0;
    size_t at = M2C_MAX((size_t)OFFSET, BLOCK + (size_t)index_n);
    *file_n = at + rest;
    uint8_t *b = calloc(1, *file_n);
    FUZZ_CHECK(b != NULL);
    memcpy(b + BLOCK, data, (size_t)index_n);
    memcpy(b + at, data + n - rest, rest);
    fuzz_seal(b, *file_n, "m2crank", 2, *file_n, index_n);
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
