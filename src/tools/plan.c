/* SPDX-License-Identifier: MIT */
/* m2c plan: what a config comes to for a model, before anything is run. */
#include "tools/commands.h"
#include "tools/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void line(const char *what, uint64_t bytes)
{
    printf("  %-34s %14" PRIu64 "  %10.2f MiB\n", what, bytes, (double)bytes / (1 << 20));
}

static void print(const struct m2c_session *s, const struct m2c_engine_plan *p)
{
    const struct m2c_layout *layout = m2c_store_layout(s->store);
    const struct m2c_model_cfg *m = m2c_store_cfg(s->store);
    printf("device memory\n");
    line("dense weights", p->dense_bytes);
    line("KV cache", p->kv_bytes);
    line("neuron units", p->tier.hbm_bytes);
    line("scratch, at most", p->scratch_bytes);
    if (p->predictor_bytes)
        line("predictor", p->predictor_bytes);
    line("in all", p->device_bytes);
    printf("host memory\n");
    line("layer blocks", p->tier.dram_bytes);
    line("shadow (informed selectors only)", p->shadow_bytes);
    printf("\na unit of a layer (%u neurons) has", m->hidden);
    for (uint32_t c = 0; c < layout->n_classes; c++)
        printf("%s %u slots of %s", c ? "," : "", p->tier.slots[c], layout->cls[c].name);
    printf("\nDRAM holds %u of %u layers, %u of them fixed\n", p->tier.blocks, m->layers,
           p->tier.fixed);
    printf("the smallest budgets that would do: hbm.bytes = %" PRIu64
           ", dram.bytes = %" PRIu64 "\n",
           p->tier.hbm_min, p->tier.dram_min);
}

static int print_json(const struct m2c_session *s, const struct m2c_engine_plan *p)
{
    json_t *slots = json_object();
    const struct m2c_layout *layout = m2c_store_layout(s->store);
    for (uint32_t c = 0; c < layout->n_classes; c++)
        json_object_set_new(slots, layout->cls[c].name, json_integer(p->tier.slots[c]));
    return m2c_cli_json(json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:o}", "device_bytes",
        (json_int_t)p->device_bytes, "dense_bytes", (json_int_t)p->dense_bytes, "kv_bytes",
        (json_int_t)p->kv_bytes, "hbm_bytes", (json_int_t)p->tier.hbm_bytes,
        "scratch_bytes", (json_int_t)p->scratch_bytes, "dram_bytes",
        (json_int_t)p->tier.dram_bytes, "shadow_bytes", (json_int_t)p->shadow_bytes,
        "hbm_min", (json_int_t)p->tier.hbm_min, "dram_min", (json_int_t)p->tier.dram_min,
        "dram_layers", (int)p->tier.blocks, "fixed_layers", (int)p->tier.fixed, "slots",
        slots));
}

int m2c_cmd_plan(int argc, char **argv)
{
    struct m2c_session_flags sf = {0};
    bool json = false;
    const struct m2c_flag flags[] = {
        {.name = "--json", .kind = M2C_FLAG_ON, .dest = &json,
         .help = "one JSON object on stdout"},
        M2C_SESSION_FLAGS(&sf),
    };
    const struct m2c_cli cli = {
        .name = "m2c plan",
        .args = "MODEL.h5",
        .brief = "Says what memory a config takes, and the least that would do",
        .flags = flags,
        .n_flags = M2C_COUNTOF(flags),
        .min_args = 1,
        .max_args = 1};
    const char *model;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &model, NULL, &code))
        return code;
    struct m2c_session s;
    struct m2c_engine_plan plan;
    struct m2c_err err = {0};
    int r = m2c_session_open(&s, model, &sf, &err);
    if (r == 0)
        r = m2c_engine_plan(s.store, &s.engine, &plan, &err);
    if (r < 0)
        code = m2c_session_fail(&s, &err);
    else if (json)
        code = print_json(&s, &plan);
    else
        print(&s, &plan);
    m2c_session_close(&s);
    return code;
}
