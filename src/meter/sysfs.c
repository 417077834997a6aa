/* SPDX-License-Identifier: MIT */
/* Reading sysfs. */
#include "meter/sysfs.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int m2c_sysfs_line(const char *path, char *out, int size)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    errno = 0;
    int r = fgets(out, size, f) ? 0 : errno ? -errno : -EIO;
    fclose(f);
    if (r == 0)
        out[strcspn(out, "\n")] = 0;
    return r;
}

int m2c_sysfs_u64(const char *path, uint64_t *out)
{
    char text[64], *end;
    int r = m2c_sysfs_line(path, text, sizeof text);
    if (r < 0)
        return r;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno)
        return -EBADMSG;
    *out = v;
    return 0;
}
