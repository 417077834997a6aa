/* SPDX-License-Identifier: MIT */
/* m2c trace: records what the selector wants of every layer while a text is
 * scored. Dense prefill has no wants; every token goes through as in decode. */
#include "infer/score.h"
#include "store/trace.h"
#include "tools/commands.h"
#include "tools/session.h"
#include "tools/trace_synth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Without a config: all neurons that are active, in the paper's classes. */
static const char *const defaults[] = {"selector.kind=oracle", "precision.active=auto",
                                       "precision.ratio=25:25:50"};

/* The same of sets that are drawn. */
static const char *const drawn[] = {"selector.kind=synthetic", "precision.active=auto",
                                    "precision.ratio=25:25:50"};

struct args {
    const char *text, *split, *out, *preset;
    int64_t tokens, layers, neurons;
    bool synthetic;
};

static int record(void *ctx, uint32_t layer, const struct m2c_want *wants, uint32_t n)
{
    return m2c_trace_add(ctx, layer, wants, n);
}

static int new_trace(const struct m2c_session *s, const char *text,
                     struct m2c_trace **out, struct m2c_err *err)
{
    const struct m2c_model_cfg *m = m2c_store_cfg(s->store);
    const struct m2c_layout *layout = m2c_store_layout(s->store);
    uint32_t parts[M2C_LAYOUT_PARTS] = {0};
    for (uint32_t p = 0; p < layout->n_parts; p++)
        parts[p] = m2c_store_record(s->store, p)->bytes;
    if (m2c_trace_new(out, m->layers, m->hidden, layout, parts) < 0)
        return m2c_fail(err, -ENOMEM, "trace: out of memory");
    (*out)->model = m2c_store_model_hash(s->store);
    (*out)->order = m2c_store_order_hash(s->store);
    snprintf((*out)->text, sizeof(*out)->text, "%s", text);
    snprintf((*out)->selector, sizeof(*out)->selector, "%s", s->engine.selector);
    return 0;
}

static int score(struct m2c_session *s, const struct m2c_text *text, struct m2c_trace *t,
                 struct m2c_log *log, struct m2c_err *err)
{
    struct m2c_engine *e = NULL;
    struct m2c_progress *bar = NULL;
    struct m2c_score sc = {0};
    int r = m2c_engine_open(&e, s->store, &s->engine, err);
    if (r == 0)
        r = m2c_progress_open(&bar, log, "tracing", text->tokens, "tokens");
    if (r == 0) {
        m2c_engine_watch_wants(e, record, t);
        r = m2c_score_text(e, NULL, text, m2c_store_cfg(s->store)->bos, bar,
                           m2c_cli_stop(), &sc, err);
    }
    m2c_progress_close(bar);
    m2c_score_free(&sc);
    m2c_engine_close(e);
    return r;
}

static void report(const struct m2c_trace *t, const char *path, struct m2c_log *log)
{
    struct stat st;
    double size = stat(path, &st) == 0 ? (double)st.st_size : 0;
    m2c_log(log, M2C_LOG_INFO,
            "%s: %llu tokens, %u layers of %u neurons, %llu accesses (%.1f %% of all), "
            "%.2f bytes an access",
            path, (unsigned long long)t->tokens, t->layers, t->neurons,
            (unsigned long long)t->n,
            100 * (double)t->n / ((double)t->tokens * t->layers * t->neurons),
            size / (double)t->n);
}

static int trace(struct m2c_session *s, const struct args *a, struct m2c_log *log,
                 struct m2c_err *err)
{
    struct m2c_text text = {0};
    struct m2c_trace *t = NULL;
    int r = m2c_text_load(a->text, a->split, (uint64_t)a->tokens, s->tok, &text, err);
    if (r == 0)
        r = new_trace(s, a->text, &t, err);
    if (r == 0)
        r = score(s, &text, t, log, err);
    if (r == 0)
        r = m2c_trace_write(t, a->out, err);
    if (r == 0)
        report(t, a->out, log);
    m2c_trace_free(t);
    m2c_text_free(&text);
    return r;
}

static int draw(const struct m2c_cli *cli, const struct args *a,
                const struct m2c_session_flags *f, const char *model)
{
    const struct m2c_trace_synth what = {.model = model,
                                         .preset = a->preset,
                                         .layers = a->layers,
                                         .neurons = a->neurons,
                                         .tokens = a->tokens,
                                         .out = a->out};
    if (a->text || a->split || f->rank)
        return m2c_cli_usage(cli, "--synthetic runs no model: no --text, --split, --rank");
    if (!model == !a->preset)
        return m2c_cli_usage(cli, "--synthetic needs MODEL.h5 or --preset NAME");
    if (!a->out || a->tokens == 0)
        return m2c_cli_usage(cli, "--tokens N and -o T.trace.h5 are needed");
    struct m2c_log *log = m2c_cli_log();
    int code = m2c_trace_synthetic(&what, f, drawn, M2C_COUNTOF(drawn), log);
    m2c_log_close(log);
    return code;
}

int m2c_cmd_trace(int argc, char **argv)
{
    struct m2c_session_flags sf = {.defaults = defaults,
                                   .n_defaults = M2C_COUNTOF(defaults)};
    struct args a = {0};
    const struct m2c_flag flags[] = {
        {.name = "--text",
         .kind = M2C_FLAG_STR,
         .dest = &a.text,
         .arg = "FILE",
         .help = "the text to run (needed)"},
        {.name = "--split",
         .kind = M2C_FLAG_STR,
         .dest = &a.split,
         .arg = "STR",
         .help = "start afresh after each STR and strip the pieces"},
        {.name = "--output",
         .letter = 'o',
         .kind = M2C_FLAG_STR,
         .dest = &a.out,
         .arg = "T.trace.h5",
         .help = "the trace (needed)"},
        {.name = "--tokens",
         .kind = M2C_FLAG_INT,
         .dest = &a.tokens,
         .arg = "N",
         .min = 0,
         .max = 1e15,
         .help = "use at most N tokens; 0 (default): all"},
        {.name = "--synthetic", .kind = M2C_FLAG_ON, .dest = &a.synthetic,
         .help = "run nothing: record the sets that selector synthetic or trace draws"},
        {.name = "--preset", .kind = M2C_FLAG_STR, .dest = &a.preset, .arg = "NAME",
         .help = "with --synthetic: of this shape (m2c synth --help), not MODEL.h5's"},
        {.name = "--layers", .kind = M2C_FLAG_INT, .dest = &a.layers, .arg = "N", .min = 1,
         .max = 65536, .help = "with --synthetic: so many layers"},
        {.name = "--neurons", .kind = M2C_FLAG_INT, .dest = &a.neurons, .arg = "N", .min = 1,
         .max = 1 << 24, .help = "with --synthetic: so many neurons a layer"},
        M2C_SESSION_FLAGS(&sf),
    };
    const struct m2c_cli cli = {
        .name = "m2c trace",
        .args = "[MODEL.h5]",
        .brief = "Records which neurons a text wants, for m2c replay",
        .notes = "Without --config: selector oracle, all active neurons, classes "
                 "25:25:50;\n--set applies on top. A model without ReLU needs "
                 "--set precision.active=X.\n\nWith --synthetic no model runs: sets have the "
                 "statistics of [selector] density,\nconcentration, overlap, spread and "
                 "class_change, or with --set selector.trace=FILE those\nof a recorded "
                 "trace, at any shape.",
        .flags = flags,
        .n_flags = M2C_COUNTOF(flags),
        .min_args = 0,
        .max_args = 1};
    const char *model = NULL;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &model, NULL, &code))
        return code;
    if (a.synthetic)
        return draw(&cli, &a, &sf, model);
    if (a.preset || a.layers || a.neurons)
        return m2c_cli_usage(&cli, "--preset, --layers and --neurons go with --synthetic");
    if (!model || !a.text || !a.out)
        return m2c_cli_usage(&cli, "MODEL.h5, --text FILE and -o T.trace.h5 are needed");
    struct m2c_session s;
    struct m2c_err err = {0};
    struct m2c_log *log = m2c_cli_log();
    int r = m2c_session_open_text(&s, model, &sf, &err);
    if (r == 0)
        r = m2c_cli_writable(a.out, &err);
    if (r == 0)
        r = trace(&s, &a, log, &err);
    code = r < 0 ? m2c_session_fail(&s, &err) : M2C_EXIT_OK;
    m2c_session_close(&s);
    m2c_log_close(log);
    return code;
}
