/* SPDX-License-Identifier: MIT */
/* A wall meter's CSV: no bytes crash the reader, a refusal names the file, and
 * what is accepted is an energy that is finite and not below 0. */
#define _GNU_SOURCE /* fmemopen */
#include "fuzz.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "meter/wall_csv.h"

static const char *const seeds[] = {
    "time,watts\n90,5\n91,6\n92,7\n93,5\n94,5\n95,4\n96,5\n97,5\n98,6\n99,5\n100,5\n101,"
    "9\n",
    "# a plug\n\nnote;kWh;Unix_ms\na;0.5;90000\nb;0.6;91000.5\n;0.7;120000\n",
    "timestamp\tpower\r\n\"1970-01-01T00:01:30.5Z\"\t5\r\n1970-01-01 "
    "01:02:31+01:00\t6e2\r\n",
    "time,wh\n1,1\n2,1.5\n3,9\n1999-12-31T23:59:60-23:59,1e9\n",
};

bool fuzz_seed(size_t i, const uint8_t **data, size_t *n)
{
    if (i >= M2C_COUNTOF(seeds))
        return false;
    *data = (const uint8_t *)seeds[i];
    *n = strlen(seeds[i]);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint64_t ends[][2] = {
        {0, 0}, {91500000000, 100500000000}, {1, UINT64_MAX}};
    for (size_t i = 0; i < M2C_COUNTOF(ends); i++) {
        struct m2c_wall_sum sum;
        struct m2c_err err = {0};
        FILE *f = fmemopen((void *)(uintptr_t)data, n ? n : 1, "rb");
        FUZZ_CHECK(f != NULL);
        int r = m2c_wall_csv_read(f, "w.csv", ends[i][0], ends[i][1], &sum, &err);
        fclose(f);
        if (r < 0)
            FUZZ_CHECK(err.code == r && strncmp(err.msg, "w.csv:", 6) == 0);
        else
            FUZZ_CHECK(isfinite(sum.joules) && sum.joules >= 0);
    }
    return 0;
}
