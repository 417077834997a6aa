/* SPDX-License-Identifier: MIT */
/* HDF5's own checksums of object headers (format specification, IV.A.1.b),
 * so that tests can forge headers that libhdf5 takes for whole. */
#ifndef M2C_TESTS_STORE_H5SUM_H
#define M2C_TESTS_STORE_H5SUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* hashlittle of Bob Jenkins' lookup3.c (public domain), initial value 0. */
static inline uint32_t h5sum_lookup3(const uint8_t *k, size_t n)
{
#define ROT(x, b) (((x) << (b)) | ((x) >> (32 - (b))))
    uint32_t v[3], w[3];
    v[0] = v[1] = v[2] = 0xdeadbeefu + (uint32_t)n;
    while (n > 12) {
        memcpy(w, k, 12);
        static const int mix[6] = {4, 6, 8, 16, 19, 4};
        for (int i = 0; i < 3; i++)
            v[i] += w[i];
        for (int i = 0; i < 6; i++) {
            int a = i % 3, b = (i + 1) % 3, c = (i + 2) % 3;
            v[a] -= v[c];
            v[a] ^= ROT(v[c], mix[i]);
            v[c] += v[b];
        }
        k += 12;
        n -= 12;
    }
    if (n == 0)
        return v[2];
    memset(w, 0, sizeof w);
    memcpy(w, k, n);
    for (int i = 0; i < 3; i++)
        v[i] += w[i];
    static const int last[7] = {14, 11, 25, 16, 4, 14, 24};
    for (int i = 0; i < 7; i++) {
        int c = (i + 2) % 3, b = (i + 1) % 3; /* c ^= b, a ^= c, b ^= a, … */
        v[c] ^= v[b];
        v[c] -= ROT(v[b], last[i]);
    }
    return v[2];
#undef ROT
}

/* Where the checksum of the object header at `at` lies, or 0: there is none. */
static inline size_t h5sum_at(const uint8_t *data, size_t n, size_t at)
{
    if (n < 16 || at > n - 16 || memcmp(data + at, "OHDR\2", 5) != 0)
        return 0;
    unsigned flags = data[at + 5], width = 1u << (flags & 3);
    size_t p = at + 6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0);
    uint64_t size = 0;
    if (p + width > n)
        return 0;
    memcpy(&size, data + p, width);
    p += width;
    return size <= n && p <= n - size && n - p - size >= 4 ? p + (size_t)size : 0;
}

/* Makes the checksums of all object headers right; returns how many headers. */
static inline size_t h5sum_fix(uint8_t *data, size_t n)
{
    size_t found = 0;
    for (size_t at = 0; at < n; at++) {
        size_t end = h5sum_at(data, n, at);
        if (!end)
            continue;
        uint32_t sum = h5sum_lookup3(data + at, end - at);
        memcpy(data + end, &sum, 4);
        found++;
    }
    return found;
}

#endif
