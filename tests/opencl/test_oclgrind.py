# SPDX-License-Identifier: MIT
"""Every kernel on small shapes under Oclgrind, which interprets kernels and
sees what a device does not: races between work-items, reads and writes outside
a buffer, barriers that not all reach. Exit 77 where it is not installed."""
import os
import shutil
import subprocess
import sys
import tempfile

# Where one shape's work-group is one work-item, races have no room: both.
RUNS = (["--isa", "team", "--cases", "3"], ["--isa", "vector", "--cases", "2"])


def main(kernels):
    tool = shutil.which("oclgrind")
    if not tool:
        print("skipped: oclgrind is not installed")
        return 77
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        for flags in RUNS:
            p = subprocess.run([tool, "--data-races", "--max-errors", "20", "--log", log, kernels,
                                "--backend", "opencl", "--platform", "oclgrind", "--small",
                                *flags], check=False)
            with open(log, encoding="utf-8", errors="replace") as f:
                said = f.read()
            print(said, end="")
            bad += p.returncode != 0 or bool(said.strip())
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
