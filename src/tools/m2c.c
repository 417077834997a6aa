/* SPDX-License-Identifier: MIT */
/* The m2c program: a table of subcommands and the way to them. */
#include "m2c_config.h"
#include "tools/commands.h"

#include <stdio.h>
#include <string.h>

static const struct m2c_command {
    const char *name;
    int (*fn)(int argc, char **argv); /* argv[0] is the subcommand; an exit code */
    const char *brief;
} commands[] = {
    {"import", m2c_cmd_import, "convert a model to a store"},
    {"synth", m2c_cmd_synth, "write a store of random weights"},
    {"info", m2c_cmd_info, "show what a store holds"},
    {"verify", m2c_cmd_verify, "compare every checksum of a store"},
    {"run", m2c_cmd_run, "generate text"},
    {"ppl", m2c_cmd_ppl, "score a text"},
    {"eval", m2c_cmd_eval, "answer a file of questions"},
    {"rank", m2c_cmd_rank, "rank neurons by their activity on a text"},
    {"trace", m2c_cmd_trace, "record which neurons a text wants"},
    {"replay", m2c_cmd_replay, "run eviction policies on a trace"},
    {"export", m2c_cmd_export, "convert a trace for other simulators"},
    {"relayout", m2c_cmd_relayout, "write a store in another layout or order"},
    {"plan", m2c_cmd_plan, "say what memory a config takes"},
    {"devices", m2c_cmd_devices, "list devices and what they can do"},
    {"bench", m2c_cmd_bench, "measure kernels, memory and reads"},
    {NULL, NULL, NULL},
};

static void help(void)
{
    printf("usage: m2c COMMAND [flags] ...\n"
           "Runs language models through device memory, DRAM and SSD.\n\n");
    for (const struct m2c_command *c = commands; c->name; c++)
        printf("  %-10s  %s\n", c->name, c->brief);
    printf("\n'm2c COMMAND --help' has the flags; 'm2c --version' the version.\n"
           "Sweeps are run by m2c-exp.\n");
}

static int unknown(const char *word)
{
    const char *names[M2C_COUNTOF(commands)];
    size_t n = 0;
    for (const struct m2c_command *c = commands; c->name; c++)
        names[n++] = c->name;
    names[n] = NULL;
    const char *near = m2c_nearest(word, names);
    fprintf(stderr, "error: unknown command '%s'%s%s%s; see 'm2c --help'\n", word,
            near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
    return M2C_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        fprintf(stderr, "error: no command given; see 'm2c --help'\n");
        return M2C_EXIT_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        help();
        return m2c_cli_finish(M2C_EXIT_OK);
    }
    if (strcmp(word, "--version") == 0) {
        printf("m2c %s\n", M2C_VERSION);
        return m2c_cli_finish(M2C_EXIT_OK);
    }
    for (const struct m2c_command *c = commands; c->name; c++) {
        if (strcmp(c->name, word) == 0)
            return m2c_cli_finish(c->fn(argc - 1, argv + 1));
    }
    return unknown(word);
}
