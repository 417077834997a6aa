/* SPDX-License-Identifier: MIT */
/* A store opened with a config from the command line: what run, ppl, rank and
 * plan have in common. */
#ifndef M2C_TOOLS_SESSION_H
#define M2C_TOOLS_SESSION_H

#include "exp/settings.h"
#include "infer/text.h"
#include "tools/cli.h"

/* The flags that all of them take; put them into the tool's table with
 * M2C_SESSION_FLAGS(&flags). */
struct m2c_session_flags {
    const char *config, *rank;
    struct m2c_cli_list set;
    const char *const *defaults; /* [n_defaults] SECTION.KEY=VALUE, on top of the dense */
    size_t n_defaults;           /* ones where there is no --config; no flag sets them */
};

#define M2C_SESSION_FLAGS(f)                                                              \
    {.name = "--config", .kind = M2C_FLAG_STR, .dest = &(f)->config, .arg = "FILE",       \
     .help = "take tiers, precision and selector from a config"},                         \
    {.name = "--set", .kind = M2C_FLAG_LIST, .dest = &(f)->set,                           \
     .arg = "SECTION.KEY=VALUE", .help = "set one key (may be given again)"},             \
    {.name = "--rank", .kind = M2C_FLAG_STR, .dest = &(f)->rank, .arg = "FILE",           \
     .help = "the model's rank file"}

struct m2c_session {
    struct m2c_optset *set;
    struct m2c_settings cfg;
    struct m2c_store *store;
    struct m2c_rank *rank;
    struct m2c_tok *tok; /* NULL: the store has none */
    struct m2c_engine_cfg engine;
    bool config_fault; /* the failure of open lies in config or flags: exit 2 */
};

/* Without --config: every neuron at the widest class, all resident; --set
 * applies on top of that. */
M2C_MUST_USE int m2c_session_open(struct m2c_session *s, const char *model,
                                  const struct m2c_session_flags *f, struct m2c_err *err);
/* The same for tools that read text: -ENOENT where the store has no tokenizer. */
M2C_MUST_USE int m2c_session_open_text(struct m2c_session *s, const char *model,
                                       const struct m2c_session_flags *f,
                                       struct m2c_err *err);
void m2c_session_close(struct m2c_session *s); /* zeroed or half-open is fine */
/* Prints the error; the exit code that fits. */
int m2c_session_fail(const struct m2c_session *s, const struct m2c_err *err);

#endif
