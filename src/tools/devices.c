/* SPDX-License-Identifier: MIT */
/* m2c devices: what there is to compute on, and what it can do. */
#include "dev/dev.h"
#include "tools/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static json_t *describe(struct m2c_dev *dev, const char *fault)
{
    const struct m2c_dev_info *i = m2c_dev_info(dev);
    json_t *ops = json_object();
    for (int op = 0; op < M2C_N_OPS; op++) {
        json_t *types = json_array();
        for (int t = 0; t < M2C_N_TYPES; t++) {
            if (m2c_dev_supports(dev, (enum m2c_op)op, (enum m2c_type)t))
                json_array_append_new(types, json_string(m2c_type_name((enum m2c_type)t)));
        }
        json_object_set_new(ops, m2c_op_name((enum m2c_op)op), types);
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:i, s:b, s:o, s:o}", "backend", i->backend,
                     "name", i->name, "isa", i->isa, "memory_bytes",
                     (json_int_t)i->mem_bytes, "max_alloc_bytes", (json_int_t)i->max_alloc,
                     "threads", (int)i->threads, "unified", i->unified, "fault",
                     fault ? json_string(fault) : json_null(), "ops", ops);
}

static void print(const json_t *list)
{
    size_t k;
    json_t *d, *types;
    const char *op;
    json_array_foreach(list, k, d) {
        const json_t *fault = json_object_get(d, "fault");
        printf("%s: %s\n", json_string_value(json_object_get(d, "backend")),
               json_string_value(json_object_get(d, "name")));
        if (json_is_string(fault))
            printf("  not usable: %s\n", json_string_value(fault));
        if (!json_object_get(d, "ops"))
            continue;
        printf("  memory %.1f GiB, largest allocation %.1f GiB, %" JSON_INTEGER_FORMAT
               " threads, kernels %s%s\n",
               (double)json_integer_value(json_object_get(d, "memory_bytes")) / (1 << 30),
               (double)json_integer_value(json_object_get(d, "max_alloc_bytes")) / (1 << 30),
               json_integer_value(json_object_get(d, "threads")),
               json_string_value(json_object_get(d, "isa")),
               json_is_true(json_object_get(d, "unified")) ? ", computes from host memory"
                                                           : "");
        json_object_foreach(json_object_get(d, "ops"), op, types) {
            printf("  %-10s", op);
            for (size_t i = 0; i < json_array_size(types); i++)
                printf(" %s", json_string_value(json_array_get(types, i)));
            putchar('\n');
        }
    }
}

int m2c_cmd_devices(int argc, char **argv)
{
    bool json = false;
    const struct m2c_flag flags[] = {
        {.name = "--json", .kind = M2C_FLAG_ON, .dest = &json,
         .help = "one JSON object on stdout"},
    };
    const struct m2c_cli cli = {.name = "m2c devices",
                                .args = "",
                                .brief = "Lists devices, their limits and what they can do",
                                .flags = flags,
                                .n_flags = M2C_COUNTOF(flags)};
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, NULL, NULL, &code))
        return code;
    json_t *list = json_array();
    code = M2C_EXIT_OK;
    for (const struct m2c_plugin *const *b = m2c_dev_backends(); *b; b++) {
        struct m2c_err err = {0};
        struct m2c_dev *dev = NULL;
        struct m2c_dev_cfg cfg = {.backend = (*b)->name, .isa = "auto"};
        if (m2c_dev_open(&dev, &cfg, &err) < 0) {
            json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "backend", (*b)->name,
                                                  "name", (*b)->desc, "fault", err.msg));
            continue;
        }
        json_array_append_new(list, describe(dev, NULL));
        m2c_dev_close(dev);
    }
    if (json)
        return m2c_cli_json(json_pack("{s:o}", "devices", list));
    print(list);
    json_decref(list);
    return code;
}
