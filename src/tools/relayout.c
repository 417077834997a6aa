/* SPDX-License-Identifier: MIT */
/* m2c relayout: a store becomes another of the same model. */
#include "tools/commands.h"

#include "store/rank.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char notes[] =
    "What is not named stays as it is. Neurons keep their bits where the layout stays;\n"
    "else they are encoded again, round to nearest, from the widest class of SRC.h5,\n"
    "which a fresh import does without that rounding. With --order the neurons of each\n"
    "layer lie in the rank file's hot order: the same model, whose sums run in another\n"
    "order, and which needs a ranking of its own.";

struct settings {
    const char *layout, *arrange, *rank;
    bool overwrite;
};

/* The hot order of all layers, for the caller to free. */
static int read_order(const struct m2c_store *s, const char *path, uint32_t **out,
                      struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(s);
    struct m2c_rank *rank = NULL;
    int r = m2c_rank_read(&rank, path, m2c_store_model_hash(s), m->layers, m->hidden, err);
    if (r < 0)
        return r;
    uint32_t *order = calloc((size_t)m->layers * m->hidden, sizeof *order);
    if (!order)
        r = m2c_fail(err, -ENOMEM, "no memory for the order of %u layers", m->layers);
    else if (!m2c_hash_equal(rank->order, m2c_store_order_hash(s)))
        r = m2c_fail(err, -EINVAL, "%s: is of this model with its neurons in another order",
                     path);
    for (uint32_t l = 0; l < m->layers && r == 0; l++)
        memcpy(order + (size_t)l * m->hidden, rank->layer[l].order,
               m->hidden * sizeof *order);
    m2c_rank_free(rank);
    if (r < 0)
        free(order);
    else
        *out = order;
    return r;
}

static int convert(const struct settings *s, const char *src, const char *dst,
                   struct m2c_log *log, struct m2c_err *err)
{
    struct m2c_store *store = NULL;
    uint32_t *order = NULL;
    int r = m2c_cli_overwrites(dst, s->overwrite, err);
    if (r == 0)
        r = m2c_store_open(&store, src, err);
    if (r == 0 && s->rank)
        r = read_order(store, s->rank, &order, err);
    if (r == 0) {
        struct m2c_store_write_opts opts = {
            .layout = s->layout ? s->layout : m2c_store_layout(store)->name,
            .arrange = s->arrange ? s->arrange : m2c_arrange_name(m2c_store_arrange(store)),
            .overwrite = s->overwrite,
            .stop = m2c_cli_stop()};
        r = m2c_store_relayout(dst, store, &opts, order, log, err);
    }
    free(order);
    m2c_store_close(store);
    return r;
}

int m2c_cmd_relayout(int argc, char **argv)
{
    struct settings s = {0};
    const struct m2c_flag flags[] = {
        {"--layout", 0, M2C_FLAG_STR, &s.layout, "NAME",
         .help = "how precision classes are stored: copies, planes"},
        {"--arrange", 0, M2C_FLAG_STR, &s.arrange, "NAME",
         .help = "FFN records by part, or by neuron: part, neuron"},
        {"--order", 0, M2C_FLAG_STR, &s.rank, "RANK.h5",
         .help = "neurons in the hot order of this ranking of SRC.h5"},
        {"--overwrite", 0, M2C_FLAG_ON, &s.overwrite, .help = "replace DST.h5"},
    };
    const struct m2c_cli cli = {.name = "m2c relayout",
                                .args = "SRC.h5 DST.h5",
                                .brief = "Writes a store in another layout or order",
                                .notes = notes,
                                .flags = flags,
                                .n_flags = M2C_COUNTOF(flags),
                                .min_args = 2,
                                .max_args = 2};
    const char *args[2];
    struct m2c_err err = {0};
    struct m2c_layout layout;
    enum m2c_arrange arrange;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, args, NULL, &code))
        return code;
    if (s.layout && m2c_layout_find(s.layout, &layout, &err))
        return m2c_cli_usage(&cli, "--layout: %s", err.msg);
    if (s.arrange && m2c_arrange_parse(s.arrange, &arrange, &err))
        return m2c_cli_usage(&cli, "--arrange: %s", err.msg);
    struct m2c_log *log = m2c_cli_log();
    int r = convert(&s, args[0], args[1], log, &err);
    m2c_log_close(log);
    return r < 0 ? m2c_cli_fail(&err) : M2C_EXIT_OK;
}
