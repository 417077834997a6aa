/* SPDX-License-Identifier: MIT */
/* llama2.c files: no bytes crash the importer, a refusal is one line that
 * names the file, and what was accepted can be read to the last element. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz_import.h"

enum { N_SEEDS = 4, MAX_BYTES = 4096 };

/* Three versions of one small model with a tied head, and one with a head. */
static size_t make(int which, uint8_t *out)
{
    enum { DIM = 8, HIDDEN = 6, LAYERS = 2, HEADS = 2, KV = 1, VOCAB = 5, CTX = 3 };
    const int32_t head = which == 3 ? -VOCAB : VOCAB;
    const int32_t fields[7] = {DIM, HIDDEN, LAYERS, HEADS, KV, head, CTX};
    const size_t norms = (2 * LAYERS + 1) * DIM, embed = VOCAB * DIM;
    const size_t layers =
        LAYERS * (DIM * (2 * DIM + 2 * DIM / HEADS * KV) + 3 * DIM * HIDDEN);
    size_t n = 0;
    if (which == 1 || which == 2) {
        const uint32_t magic[2] = {0x616b3432, (uint32_t)which};
        const int32_t group = 4;
        memcpy(out, magic, sizeof magic);
        memcpy(out + sizeof magic, fields, sizeof fields);
        out[36] = 1;
        if (which == 2)
            memcpy(out + 37, &group, sizeof group);
        n = 256;
    } else {
        memcpy(out, fields, sizeof fields);
        n = sizeof fields + 4 * CTX * DIM / HEADS + (which == 3 ? 4 * embed : 0);
    }
    n += 4 * norms + (which == 2 ? 2 : 4) * (embed + layers);
    FUZZ_CHECK(n <= MAX_BYTES);
    return n;
}

bool fuzz_seed(size_t i, const uint8_t **data, size_t *n)
{
    static uint8_t seeds[N_SEEDS][MAX_BYTES];
    if (i >= N_SEEDS)
        return false;
    *n = make((int)i, seeds[i]);
    *data = seeds[i];
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *path = fuzz_file(data, n);
    fuzz_import(path, path);
    return 0;
}
