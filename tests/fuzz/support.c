/* SPDX-License-Identifier: MIT */
/* What targets use, with either driver. */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
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
