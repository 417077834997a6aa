/* SPDX-License-Identifier: MIT */
/* m2c verify: reads a whole store and compares every checksum. */
#include "tools/commands.h"

#include "store/store.h"

#include <stdio.h>

int m2c_cmd_verify(int argc, char **argv)
{
    static const struct m2c_cli cli = {
        .name = "m2c verify",
        .args = "FILE",
        .brief = "Reads a model store whole and compares every checksum in it",
        .min_args = 1,
        .max_args = 1,
    };
    const char *path;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &path, NULL, &code))
        return code;
    struct m2c_err err = {0};
    struct m2c_store *store = NULL;
    if (m2c_store_open(&store, path, &err))
        return m2c_cli_fail(&err);
    struct m2c_log *log = m2c_cli_log();
    uint64_t bad = 0;
    int rc = m2c_store_verify(store, log, &bad, &err);
    m2c_log_close(log);
    m2c_store_close(store);
    if (rc) {
        code = m2c_cli_fail(&err);
        if (bad > 1)
            fprintf(stderr, "error: %s: %llu blocks are damaged in all\n", path,
                    (unsigned long long)bad);
        return code;
    }
    printf("%s: whole, every checksum agrees\n", path);
    return M2C_EXIT_OK;
}
