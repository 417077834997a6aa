/* SPDX-License-Identifier: MIT */
/* The m2c-exp program: sweeps from a config. */
#include "experiments/experiments.h"
#include "m2c_config.h"
#include "tools/cli.h"
#include "tools/exp_selftest.h"
#include "tools/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct args {
    const char *dir, *shard, *timeline;
    struct m2c_cli_list set;
    bool dry_run, list, resume, keys;
};

static int parse_shard(const char *text, uint32_t *i, uint32_t *n, struct m2c_err *err)
{
    char *end;
    *i = 0;
    *n = 1;
    if (!text)
        return 0;
    unsigned long a = strtoul(text, &end, 10), b = 0;
    bool ok = end != text && *end == '/';
    const char *second = end + 1;
    if (ok) {
        b = strtoul(second, &end, 10);
        ok = end != second && *end == 0 && b >= 1 && b <= 100000 && a < b;
    }
    if (!ok)
        return m2c_fail(err, -EINVAL, "--shard %s: expected I/N with 0 <= I < N, such as 0/4",
                        text);
    *i = (uint32_t)a;
    *n = (uint32_t)b;
    return 0;
}

static void list_all(void)
{
    printf("experiments (experiment.kinds):\n");
    for (size_t i = 0; m2c_experiments[i]; i++)
        printf("  %-10s %s\n", m2c_experiments[i]->p.name, m2c_experiments[i]->p.desc);
    printf("\nfigures of a record:\n");
    for (size_t i = 0; i < m2c_figures_n; i++)
        printf("  %-22s %-9s %s%s\n", m2c_figures[i].name, m2c_figures[i].unit,
               m2c_figures[i].help, m2c_figures[i].per ? " (also by class, layer or part)"
                                                       : "");
}

static int dry_run(const struct m2c_optset *set, struct m2c_err *err)
{
    struct m2c_sweep sweep;
    int r = m2c_sweep_expand(set, &sweep, err);
    if (r < 0)
        return r;
    printf("%u points", sweep.n);
    for (size_t x = 0; x < m2c_optset_axes(set); x++)
        printf("%s%s.%s", x ? ", " : " over ", m2c_optset_axis(set, x)->section,
               m2c_optset_axis(set, x)->key);
    printf(", %s repetitions\n", m2c_optset_get(set, "experiment", "repeat"));
    for (uint32_t i = 0; i < sweep.n; i++) {
        char hex[33];
        m2c_hash_hex(sweep.point[i].hash, hex);
        printf("%5u  %.12s", i, hex);
        for (size_t x = 0; x < m2c_optset_axes(set); x++) {
            const struct m2c_opt *row = m2c_optset_axis(set, x);
            printf("  %s.%s=%s", row->section, row->key,
                   m2c_optset_get(sweep.point[i].set, row->section, row->key));
        }
        putchar('\n');
    }
    m2c_sweep_free(&sweep);
    return 0;
}

/* config name -> results/NAME when neither -o nor output.dir says. */
static void default_dir(const char *config, char *out, size_t n)
{
    const char *base = strrchr(config, '/');
    base = base ? base + 1 : config;
    size_t len = strcspn(base, ".");
    snprintf(out, n, "results/%.*s", (int)M2C_MIN(len, (size_t)128), base);
}

static int run(const struct m2c_optset *set, const struct args *a, const char *dir,
               struct m2c_log *log, struct m2c_exp_result *result, struct m2c_err *err)
{
    struct m2c_exp_cfg cfg = {.registry = m2c_experiments,
                              .dir = dir,
                              .resume = a->resume,
                              .stop = m2c_cli_stop(),
                              .log = log};
    int r = parse_shard(a->shard, &cfg.shard, &cfg.shards, err);
    const char *timeline = a->timeline ? a->timeline : m2c_optset_get(set, "output", "timeline");
    if (r == 0 && timeline[0])
        r = m2c_timeline_open(&cfg.timeline, timeline, err);
    if (r == 0)
        r = m2c_exp_sweep(set, &cfg, result, err);
    int late = m2c_timeline_close(cfg.timeline, r == 0 ? err : NULL);
    r = r < 0 ? r : late;
    if (r == 0 && result->dropped_bytes)
        m2c_log(log, M2C_LOG_WARN, "%s: a torn last record of %llu bytes was dropped", dir,
                (unsigned long long)result->dropped_bytes);
    return r;
}

static int load(struct m2c_optset **set, const char *config, const struct args *a,
                struct m2c_err *err)
{
    int r = m2c_optset_open(set, m2c_settings_table, m2c_settings_rows);
    if (r < 0)
        return m2c_fail(err, r, "out of memory");
    r = m2c_optset_load(*set, config, err);
    for (unsigned i = 0; i < a->set.n && r == 0; i++)
        r = m2c_optset_assign(*set, a->set.v[i], "--set", err);
    if (r == 0)
        r = m2c_exp_check_kinds(m2c_experiments, m2c_optset_get(*set, "experiment", "kinds"),
                                err);
    return r;
}

static int merge(int argc, char **argv)
{
    const char *out = NULL;
    const struct m2c_flag flags[] = {
        {.name = "--output", .letter = 'o', .kind = M2C_FLAG_STR, .dest = &out,
         .arg = "DIR", .help = "the folder to make (needed)"},
    };
    const struct m2c_cli cli = {.name = "m2c-exp merge",
                                .args = "DIR...",
                                .brief = "Joins the results of shards",
                                .flags = flags,
                                .n_flags = M2C_COUNTOF(flags),
                                .min_args = 1,
                                .max_args = 64};
    const char *dirs[64];
    unsigned n;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, dirs, &n, &code))
        return code;
    if (!out)
        return m2c_cli_usage(&cli, "-o DIR is needed");
    struct m2c_err err = {0};
    int r = m2c_exp_merge(dirs, n, out, &err);
    return r < 0 ? m2c_cli_fail(&err) : M2C_EXIT_OK;
}

/* A failure before the first point ran is the config's or the folder's. */
static int finish(int r, const struct m2c_exp_result *res, const char *dir,
                  const struct m2c_err *err)
{
    if (r < 0)
        return r == -EINTR || res->ran || r == -EIO || r == -ENOSPC || r == -ENOMEM
                   ? m2c_cli_fail(err)
                   : m2c_cli_fail_config(err);
    struct m2c_err table = {0};
    if (m2c_table_print(dir, stdout, &table) < 0)
        return m2c_cli_fail(&table);
    return res->failed ? M2C_EXIT_PARTIAL : M2C_EXIT_OK;
}

static int sweep(int argc, char **argv)
{
    struct args a = {0};
    const struct m2c_flag flags[] = {
        {.name = "--output", .letter = 'o', .kind = M2C_FLAG_STR, .dest = &a.dir,
         .arg = "DIR", .help = "results folder; default output.dir, else results/CONFIG"},
        {.name = "--set", .kind = M2C_FLAG_LIST, .dest = &a.set, .arg = "SECTION.KEY=VALUE",
         .help = "set one key, or an axis by sweep.SECTION.KEY=A|B (may be given again)"},
        {.name = "--dry-run", .kind = M2C_FLAG_ON, .dest = &a.dry_run,
         .help = "print the points and stop"},
        {.name = "--list", .kind = M2C_FLAG_ON, .dest = &a.list,
         .help = "print experiments and figures and stop"},
        {.name = "--keys", .kind = M2C_FLAG_ON, .dest = &a.keys,
         .help = "print every config key and stop"},
        {.name = "--resume", .kind = M2C_FLAG_ON, .dest = &a.resume,
         .help = "go on with a folder: points that have a record, failed ones too, are skipped"},
        {.name = "--shard", .kind = M2C_FLAG_STR, .dest = &a.shard, .arg = "I/N",
         .help = "run every N-th point from the I-th on (from 0); see m2c-exp merge"},
        {.name = "--timeline", .kind = M2C_FLAG_STR, .dest = &a.timeline, .arg = "FILE",
         .help = "what happened when, as trace events for ui.perfetto.dev"},
    };
    const struct m2c_cli cli = {
        .name = "m2c-exp",
        .args = "CONFIG.ini",
        .brief = "Runs a sweep of experiments",
        .notes = "m2c-exp merge DIR... -o DIR  joins the results of shards.\n"
                 "Exit codes: 0 ok, 1 failed, 2 usage or config, 3 some points failed, "
                 "4 the device computes\nwrong numbers, 130 interrupted.",
        .flags = flags,
        .n_flags = M2C_COUNTOF(flags),
        .min_args = 0,
        .max_args = 1};
    const char *config = NULL;
    unsigned n = 0;
    int code;
    if (!m2c_cli_parse(&cli, argc, argv, &config, &n, &code))
        return code;
    if (a.list || a.keys) {
        if (a.list)
            list_all();
        int k = a.keys ? m2c_opt_help(m2c_settings_table, m2c_settings_rows, stdout) : 0;
        return k < 0 ? M2C_EXIT_FAILED : M2C_EXIT_OK;
    }
    if (n == 0)
        return m2c_cli_usage(&cli, "CONFIG.ini is needed");
    struct m2c_optset *set = NULL;
    struct m2c_err err = {0};
    struct m2c_exp_result res = {0};
    struct m2c_log *log = m2c_cli_log();
    char dir[256] = "";
    int r = load(&set, config, &a, &err);
    if (r < 0) {
        code = m2c_cli_fail_config(&err);
    } else if (a.dry_run) {
        r = dry_run(set, &err);
        code = r < 0 ? m2c_cli_fail_config(&err) : M2C_EXIT_OK;
    } else {
        const char *named = m2c_optset_get(set, "output", "dir");
        default_dir(config, dir, sizeof dir);
        const char *to = a.dir ? a.dir : named[0] ? named : dir;
        bool wrong = false;
        r = m2c_exp_selftest(set, log, &wrong, &err);
        if (wrong) {
            m2c_log(log, M2C_LOG_ERROR, "device self-test: %s", err.msg);
            code = M2C_EXIT_SELFTEST;
        } else if (r < 0) {
            code = m2c_cli_fail_config(&err);
        } else {
            r = run(set, &a, to, log, &res, &err);
            code = finish(r, &res, to, &err);
        }
    }
    m2c_optset_close(set);
    m2c_log_close(log);
    return code;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("m2c-exp %s\n", M2C_VERSION);
        return m2c_cli_finish(M2C_EXIT_OK);
    }
    if (argc > 1 && strcmp(argv[1], "merge") == 0)
        return m2c_cli_finish(merge(argc - 1, argv + 1));
    return m2c_cli_finish(sweep(argc, argv));
}
