/* SPDX-License-Identifier: MIT */
/* The subcommands of m2c: one file each, one line here, one row in m2c.c.
 * argv[0] is the subcommand's name; the return value is an exit code. */
#ifndef M2C_TOOLS_COMMANDS_H
#define M2C_TOOLS_COMMANDS_H

#include "tools/cli.h"

#ifdef __cplusplus
extern "C" {
#endif

int m2c_cmd_devices(int argc, char **argv);
int m2c_cmd_bench(int argc, char **argv);
int m2c_cmd_bench_io(int argc, char **argv);
int m2c_cmd_bench_kernels(int argc, char **argv);
int m2c_cmd_bench_copy(int argc, char **argv);
int m2c_cmd_bench_mem(int argc, char **argv);
int m2c_cmd_eval(int argc, char **argv);
int m2c_cmd_export(int argc, char **argv);
int m2c_cmd_import(int argc, char **argv);
int m2c_cmd_info(int argc, char **argv);
int m2c_cmd_plan(int argc, char **argv);
int m2c_cmd_ppl(int argc, char **argv);
int m2c_cmd_rank(int argc, char **argv);
int m2c_cmd_relayout(int argc, char **argv);
int m2c_cmd_replay(int argc, char **argv);
int m2c_cmd_run(int argc, char **argv);
int m2c_cmd_synth(int argc, char **argv);
int m2c_cmd_trace(int argc, char **argv);
int m2c_cmd_verify(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
