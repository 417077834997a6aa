/* SPDX-License-Identifier: MIT */
/* Traces, ours and oracleGeneral: whatever lies behind a header that vouches
 * for it, reading ends in a trace that can be replayed, or in one line that
 * names the file. The first byte says which of the two; ours is then the index,
 * a NUL, and the rest of the file from OFFSET on, under sums made anew. */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exp/replay.h"

enum { BLOCK = FUZZ_BLOCK, OFFSET = 8192, LAYERS = 2, N = 9, TOKENS = 3 };

static struct m2c_trace *make_trace(void)
{
    struct m2c_layout layout;
    const uint32_t parts[M2C_LAYOUT_PARTS] = {40, 20, 10};
    struct m2c_trace *t = NULL;
    FUZZ_CHECK(m2c_layout_find("copies", &layout, NULL) == 0);
    FUZZ_CHECK(m2c_trace_new(&t, LAYERS, N, &layout, parts) == 0);
    for (uint32_t i = 0; i < TOKENS * LAYERS; i++) {
        struct m2c_want w[4];
        for (uint32_t k = 0; k < 4; k++)
            w[k] = (struct m2c_want){.id = 2 * k + i % 2, .score = 1, .cls = k % 3};
        FUZZ_CHECK(m2c_trace_add(t, i % LAYERS, w, 4) == 0);
    }
    return t;
}

static uint8_t *seed_of(int which, size_t *size)
{
    char path[64];
    size_t n;
    struct m2c_trace *t = make_trace();
    snprintf(path, sizeof path, "/tmp/fuzz-trace-%ld", (long)getpid());
    if (which == 0) {
        FUZZ_CHECK(m2c_trace_write(t, path, NULL) == 0);
    } else {
        FILE *f = fopen(path, "wb");
        FUZZ_CHECK(f && m2c_trace_oracle(t, true, f, path, NULL) == 0 && fclose(f) == 0);
    }
    m2c_trace_free(t);
    uint8_t *file = fuzz_read(path, &n), *seed = calloc(1, n + 2);
    unlink(path);
    FUZZ_CHECK(seed != NULL);
    seed[0] = (uint8_t)which;
    if (which) {
        memcpy(seed + 1, file, n);
        *size = n + 1;
    } else {
        size_t index_n = (size_t)fuzz_u64(file + 48);
        FUZZ_CHECK(memcmp(file + OFFSET, "\x89HDF", 4) == 0);
        memcpy(seed + 1, file + BLOCK, index_n);
        memcpy(seed + index_n + 2, file + OFFSET, n - OFFSET);
        *size = index_n + 2 + n - OFFSET;
    }
    free(file);
    return seed;
}

bool fuzz_seed(size_t i, const uint8_t **data, size_t *n)
{
    static uint8_t *seeds[2];
    static size_t sizes[2];
    if (i >= 2)
        return false;
    if (!seeds[i])
        seeds[i] = seed_of((int)i, &sizes[i]);
    *data = seeds[i];
    *n = sizes[i];
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
    fuzz_seal(b, *file_n, "m2ctrace", 1, *file_n, index_n);
    return b;
}

/* Nothing that a reader lets through may surprise a replay. */
static void replay(const struct m2c_trace *t)
{
    for (uint64_t i = 0; i < t->n; i++)
        FUZZ_CHECK(t->id[i] < t->neurons && t->of_class[i] < t->n_classes);
    FUZZ_CHECK(t->begin[t->tokens * t->layers] == t->n);
    if ((uint64_t)t->layers * t->neurons > 4096)
        return;
    for (int k = 0; k < 4; k++) {
        struct m2c_replay_cfg cfg = {
            .trace = t, .sized = k & 1, .seq = k & 2, .threads = 1};
        struct m2c_replay_row rows[] = {{.policy = "arc", .capacity = 3},
                                        {.policy = "gdsf", .capacity = 60},
                                        {.policy = "belady", .capacity = 5}};
        struct m2c_err err = {0};
        FUZZ_CHECK(m2c_replay(&cfg, rows, M2C_COUNTOF(rows), &err) == 0);
        FUZZ_CHECK(rows[0].accesses == t->n && rows[0].hits + rows[0].misses == t->n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1)
        return 0;
    size_t file_n = n - 1;
    uint8_t *file = data[0] & 1 ? NULL : assemble(data + 1, n - 1, &file_n);
    const char *path = fuzz_file(file ? file : data + 1, file_n);
    struct m2c_trace *t = NULL;
    struct m2c_err err = {0};
    int r = file ? m2c_trace_read(&t, path, &err) : m2c_trace_read_oracle(&t, path, &err);
    if (r == 0) {
        replay(t);
        m2c_trace_free(t);
    } else {
        FUZZ_CHECK(t == NULL && err.code < 0 && err.code != -ENOMEM);
        FUZZ_CHECK(strstr(err.msg, path) != NULL && strchr(err.msg, '\n') == NULL);
    }
    free(file);
    return 0;
}
