/* SPDX-License-Identifier: MIT */
/* XXH3 through libxxhash. */
#include "base/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

uint64_t m2c_hash64(const void *data, size_t n) { return XXH3_64bits(data, n); }

static struct m2c_hash128 from_xxh(XXH128_hash_t h)
{
    return (struct m2c_hash128){.hi = h.high64, .lo = h.low64};
}

struct m2c_hash128 m2c_hash128(const void *data, size_t n)
{
    return from_xxh(XXH3_128bits(data, n));
}

bool m2c_hash_equal(struct m2c_hash128 a, struct m2c_hash128 b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

void m2c_hash_hex(struct m2c_hash128 h, char out[33])
{
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, h.hi, h.lo);
}

int m2c_hash_parse(const char *hex, struct m2c_hash128 *out)
{
    if (strlen(hex) != 32 || strspn(hex, "0123456789abcdef") != 32)
        return -EINVAL;
    char half[17] = {0};
    memcpy(half, hex, 16);
    out->hi = strtoull(half, NULL, 16);
    out->lo = strtoull(hex + 16, NULL, 16);
    return 0;
}

struct m2c_hasher {
    XXH3_state_t *state;
};

int m2c_hasher_open(struct m2c_hasher **out)
{
    struct m2c_hasher *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->state = XXH3_createState();
    if (!h->state || XXH3_128bits_reset(h->state) != XXH_OK) {
        m2c_hasher_close(h);
        return -ENOMEM;
    }
    *out = h;
    return 0;
}

void m2c_hasher_close(struct m2c_hasher *h)
{
    if (!h)
        return;
    XXH3_freeState(h->state);
    free(h);
}

void m2c_hasher_add(struct m2c_hasher *h, const void *data, size_t n)
{
    if (n)
        XXH3_128bits_update(h->state, data, n);
}

struct m2c_hash128 m2c_hasher_end(const struct m2c_hasher *h)
{
    return from_xxh(XXH3_128bits_digest(h->state));
}
