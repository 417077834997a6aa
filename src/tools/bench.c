/* SPDX-License-Identifier: MIT */
/* m2c bench: a table of benchmarks and the way to them. */
#include "tools/commands.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*fn)(int argc, char **argv);
    const char *brief;
} benches[] = {
    {"kernels", m2c_cmd_bench_kernels, "the CPU's kernels against its memory"},
    {"copy", m2c_cmd_bench_copy, "copies to a device, small and large, and beside its work"},
    {"mem", m2c_cmd_bench_mem, "how fast this machine reads memory"},
    {"io", m2c_cmd_bench_io, "reads of a file as the DRAM tier makes them"},
};

int m2c_cmd_bench(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    if (word && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
        printf("usage: m2c bench WHAT [flags]\n\n");
        for (size_t i = 0; i < M2C_COUNTOF(benches); i++)
            printf("  %-8s  %s\n", benches[i].name, benches[i].brief);
        printf("\n'm2c bench WHAT --help' has the flags.\n");
        return M2C_EXIT_OK;
    }
    for (size_t i = 0; word && i < M2C_COUNTOF(benches); i++)
        if (strcmp(word, benches[i].name) == 0)
            return benches[i].fn(argc - 1, argv + 1);
    if (word)
        fprintf(stderr, "error: there is no benchmark '%s'; see 'm2c bench --help'\n", word);
    else
        fprintf(stderr, "error: no benchmark given; see 'm2c bench --help'\n");
    return M2C_EXIT_USAGE;
}
