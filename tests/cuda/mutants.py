# SPDX-License-Identifier: MIT
"""Kernels broken on purpose, which the kernel program must catch.

mutants.py list                  a line "NUMBER FILE TYPE" each
mutants.py source SOURCE NUMBER  the C++ source of one, like modules.py's
mutants.py check PROGRAM...      runs the programs, in the order of the list

A mutant is one module with one place of its source changed. The build links
it with the kernel program in front of the emulation's library, whose own
object of that module then stays out.
"""
import os
import re
import subprocess
import sys

# file, type, what it is, text, its replacement, the kernel program's op
MUTANTS = [
    ("ffn_down", "any", "an off-by-one: the last neuron of a batch is left out",
     "for (; i < n; i++) {\n        loaded l;", "for (; i + 1 < n; i++) {\n        loaded l;",
     "ffn_down"),
    ("norm", "any", "a missing barrier: sums are read before all are written",
     "warps[warp_id()] = v;\n    __syncthreads();", "warps[warp_id()] = v;", "norm"),
    ("ffn_up", "any", "a missing barrier: x is read before it is there",
     "stage_x<R>(xs, a.x, row, a.rows, dim, at);\n                __syncthreads();",
     "stage_x<R>(xs, a.x, row, a.rows, dim, at);", "ffn_up"),
    ("attention", "f16", "a wrong reduction: one step of a tree is missing",
     "for (m2c_u32 mask = lanes / 2; mask; mask /= 2)\n            dot",
     "for (m2c_u32 mask = lanes / 4; mask; mask /= 2)\n            dot", "attention"),
    ("gemm", "i8", "an off-by-one: a read beyond the last row of w",
     "exists = out < a.outs", "exists = out <= a.outs", "matmul"),
    ("ffn_up", "any", "sums that depend on what is beside: no row of its own",
     "if (lane_id() == (m2c_u32)r) {", "if (lane_id() <= (m2c_u32)r) {", "ffn_up"),
    ("ffn_down", "any", "a plane that is not read: a P16 loaded as if it were a P8",
     "case M2C_K_P16: load_typed<M2C_K_P16>", "case M2C_K_P16: load_typed<M2C_K_P8>",
     "ffn_down"),
]


def source(root, number):
    file, kind, _, old, new, _ = MUTANTS[number]
    with open(os.path.join(root, "kernels", "cuda", file + ".cu"), encoding="utf-8") as f:
        text = f.read()
    if text.count(old) != 1:
        sys.exit(f"{file}.cu has the place of mutant {number} {text.count(old)} times")
    print(f"#define M2C_CUDA_EMU 1\n#define M2C_T {kind}\n{text.replace(old, new)}", end="")


def check(programs):
    missed = 0
    for (file, _, what, _, _, op), program in zip(MUTANTS, programs, strict=True):
        result = subprocess.run([program, "--op", op, "--cases", "5"], text=True, check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        faults = re.findall(r"^(?:FAIL|device:).*", result.stdout, re.M)
        caught = result.returncode == 1 and faults
        missed += not caught
        print(f"{'caught' if caught else 'MISSED'}: {file}.cu: {what}")
        print("    " + (faults[0] if faults else result.stdout))
    print(f"{len(MUTANTS)} mutants, {missed} missed")
    return 1 if missed else 0


def main(command, *rest):
    if command == "list":
        for number, row in enumerate(MUTANTS):
            print(number, row[0], row[1])
    elif command == "source":
        source(rest[0], int(rest[1]))
    else:
        return check(rest)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
