/* SPDX-License-Identifier: MIT */
/* m2c devices: what there is to compute on, what it can do, and whether it
 * does it right. A device that computes wrong numbers makes the exit code 4;
 * one that is not there is a line, not a failure. */
#include "dev/dev.h"
#include "tools/commands.h"

#include <errno.h>
#include <stdio.h>

static json_t *ops_of(const struct m2c_dev *dev)
{
    json_t *ops = json_object();
    for (int op = 0; op < M2C_N_OPS; op++) {
        json_t *types = json_array();
        for (int t = 0; t < M2C_N_TYPES; t++) {
            if (m2c_dev_supports(dev, (enum m2c_op)op, (enum m2c_type)t))
                json_array_append_new(types,
                                      json_string(m2c_type_name((enum m2c_type)t)));
        }
        json_object_set_new(ops, m2c_op_name((enum m2c_op)op), types);
    }
    return ops;
}

/* `test`: what the self-test returned, with err. */
static json_t *describe(const struct m2c_dev *dev, int index, int test,
                        const struct m2c_err *err)
{
    const struct m2c_dev_info *i = m2c_dev_info(dev);
    const char *word = test == 0 ? "passed" : test == -ENOTSUP ? "none" : "failed";
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:b, s:b, s:s, s:s?, s:o}",
                     "backend", i->backend, "index", index, "name", i->name, "driver",
                     i->driver, "isa", i->isa, "memory_bytes", (json_int_t)i->mem_bytes,
                     "max_alloc_bytes", (json_int_t)i->max_alloc, "piece_bytes",
                     (json_int_t)i->piece_bytes, "threads", (int)i->threads, "unified",
                     i->unified, "processor", i->processor, "self_test", word, "fault",
                     test < 0 ? err->msg : NULL, "ops", ops_of(dev));
}

/* Appends every device of a backend; its first is named even if it is not
 * there, with the reason. */
static void list_backend(const struct m2c_plugin *b, const char *library, json_t *list,
                         int *code)
{
    for (int index = 0;; index++) {
        struct m2c_err err = {0};
        struct m2c_dev *dev = NULL;
        const struct m2c_dev_cfg cfg = {
            .backend = b->name, .index = index, .isa = "auto", .library = library};
        int r = m2c_dev_open(&dev, &cfg, &err);
        if (r == -ENODEV && index > 0)
            return;
        if (r < 0) {
            json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:s}", "backend",
                                                  b->name, "index", index, "name",
                                                  b->desc, "fault", err.msg));
            if (r != -ENOTSUP) /* it is there, but cannot be used: are there more? */
                return;
            continue;
        }
        r = m2c_dev_selftest(dev, &err);
        if (r < 0 && r != -ENOTSUP)
            *code = M2C_EXIT_SELFTEST;
        json_array_append_new(list, describe(dev, index, r, &err));
        m2c_dev_close(dev);
    }
}

static const char *text_of(const json_t *d, const char *key)
{
    return json_string_value(json_object_get(d, key));
}

static void print_limits(const json_t *d)
{
    const double gib = 1 << 30;
    const json_int_t piece = json_integer_value(json_object_get(d, "piece_bytes"));
    printf("  memory %.1f GiB, largest buffer %.1f GiB",
           (double)json_integer_value(json_object_get(d, "memory_bytes")) / gib,
           (double)json_integer_value(json_object_get(d, "max_alloc_bytes")) / gib);
    if (piece)
        printf(" (above %.1f GiB in pieces)", (double)piece / gib);
    printf(", threads %" JSON_INTEGER_FORMAT,
           json_integer_value(json_object_get(d, "threads")));
    if (text_of(d, "isa")[0])
        printf(", kernels %s", text_of(d, "isa"));
    if (text_of(d, "driver")[0])
        printf(", driver %s", text_of(d, "driver"));
    printf("%s\n", json_is_true(json_object_get(d, "unified"))
                       ? ", computes from host memory too"
                       : "");
}

static void print(const json_t *list)
{
    size_t k;
    json_t *d, *types;
    const char *op;
    json_array_foreach(list, k, d)
    {
        printf("%s %" JSON_INTEGER_FORMAT ": %s\n", text_of(d, "backend"),
               json_integer_value(json_object_get(d, "index")), text_of(d, "name"));
        if (!json_object_get(d, "ops")) {
            printf("  not usable: %s\n", text_of(d, "fault"));
            continue;
        }
        print_limits(d);
        printf("  %s\n", text_of(d, "fault") ? text_of(d, "fault") : "self-test: passed");
        json_object_foreach(json_object_get(d, "ops"), op, types)
        {
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
    const char *library = NULL;
    const struct m2c_flag flags[] = {
        {.name = "--library",
         .kind = M2C_FLAG_STR,
         .dest = &library,
         .arg = "DIR",
         .help = "where the CUDA libraries are looked for first, as device.library"},
        {.name = "--json",
         .kind = M2C_FLAG_ON,
         .dest = &json,
         .help = "one JSON object on stdout"},
    };
    const struct m2c_cli cli = {.name = "m2c devices",
                                .args = "",
                                .brief =
                                    "Lists devices, their limits and what they can do",
                                .flags = flags,
                                .n_flags = M2C_COUNTOF(flags)};
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, NULL, NULL, &code))
        return code;
    json_t *list = json_array();
    code = M2C_EXIT_OK;
    for (const struct m2c_plugin *const *b = m2c_dev_backends(); *b; b++)
        list_backend(*b, library, list, &code);
    if (json) {
        int r = m2c_cli_json(json_pack("{s:o}", "devices", list));
        return r == M2C_EXIT_OK ? code : r;
    }
    print(list);
    json_decref(list);
    return code;
}
