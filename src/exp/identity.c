/* SPDX-License-Identifier: MIT */
/* Reading what the machine says about itself. */
#define _GNU_SOURCE /* mincore */
#include "exp/identity.h"

#include "m2c_config.h"
#include "m2c_version.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* "key : value" of a /proc file; the rest of the line after the colon. */
static bool proc_line(const char *path, const char *key, char *out, size_t n)
{
    FILE *f = fopen(path, "re");
    char line[512];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, key, strlen(key)) != 0)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(out, n, "%s", colon + 1 + strspn(colon + 1, " \t"));
        found = true;
    }
    if (f)
        fclose(f);
    return found;
}

json_t *m2c_identity(void)
{
    struct utsname u;
    char cpu[256] = "unknown";
    if (uname(&u) < 0)
        memset(&u, 0, sizeof u);
    proc_line("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:i}", "version",
                     M2C_VERSION, "commit", M2C_COMMIT, "compiler", M2C_COMPILER, "build",
                     M2C_BUILD, "host", u.nodename, "kernel", u.release, "machine",
                     u.machine, "cpu", cpu, "memory_bytes", (json_int_t)(pages * page),
                     "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN));
}

double m2c_page_cache_share(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return NAN;
    double share = NAN;
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
        size_t n = (size_t)st.st_size, page = (size_t)sysconf(_SC_PAGE_SIZE);
        size_t pages = (n + page - 1) / page, in = 0;
        unsigned char *vec = malloc(pages);
        void *map = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
        if (vec && map != MAP_FAILED && mincore(map, n, vec) == 0) {
            for (size_t i = 0; i < pages; i++)
                in += vec[i] & 1;
            share = (double)in / (double)pages;
        }
        if (map != MAP_FAILED)
            munmap(map, n);
        free(vec);
    }
    close(fd);
    return share;
}

uint64_t m2c_rss_peak(void)
{
    char text[64];
    return proc_line("/proc/self/status", "VmHWM", text, sizeof text)
               ? strtoull(text, NULL, 10) * 1024
               : 0;
}

void m2c_rss_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "we");
    if (!f)
        return; /* then the peak is since the process began, never too small */
    fputs("5\n", f);
    fclose(f);
}
