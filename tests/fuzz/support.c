/* SPDX-License-Identifier: MIT */
/* What targets use, with either driver. */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_check(bool holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

const char *fuzz_file(const uint8_t *data, size_t n)
{
    static int fd = -1;
    static char path[40];
    if (fd >= 0)
        close(fd);
    fd = memfd_create("fuzz", 0);
    FUZZ_CHECK(fd >= 0);
    for (size_t done = 0; done < n;) {
        ssize_t got = write(fd, data + done, n - done);
        FUZZ_CHECK(got > 0);
        done += (size_t)got;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

uint8_t *fuzz_read(const char *path, size_t *n)
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

uint64_t fuzz_u64(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
    return x;
}

void fuzz_seal(uint8_t *file, size_t n, const char *magic, uint32_t version, uint64_t head,
               uint64_t index_n)
{
    const uint64_t bytes = n;
    memset(file, 0, FUZZ_BLOCK);
    memcpy(file, magic, strlen(magic));
    memcpy(file + 8, &version, 4);
    memcpy(file + 16, &bytes, 8);
    memcpy(file + 24, &head, 8);
    struct m2c_hash128 d = m2c_hash128(file + FUZZ_BLOCK, (size_t)head - FUZZ_BLOCK);
    memcpy(file + 32, &d.hi, 8);
    memcpy(file + 40, &d.lo, 8);
    memcpy(file + 48, &index_n, 8);
    const uint64_t sum = m2c_hash64(file, FUZZ_BLOCK - 8);
    memcpy(file + FUZZ_BLOCK - 8, &sum, 8);
}
