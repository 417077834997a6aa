# SPDX-License-Identifier: MIT
"""Runs a command where the ICD loader finds Intel's CPU runtime beside the
drivers of the system; exit 77 where the PyPI packages intel-opencl-rt and
intel-cmplr-lib-rt are not installed for M2C_PYTHON."""
import glob
import os
import subprocess
import sys
import tempfile

SYSTEM = "/etc/OpenCL/vendors"
PREFIX = "import sys; print(sys.prefix)"


def library():
    """Path of the runtime's library, or None."""
    python = os.environ.get("M2C_PYTHON", sys.executable)
    prefix = subprocess.run([python, "-c", PREFIX], check=True, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    found = glob.glob(os.path.join(prefix, "lib", "libintelocl.so"))
    return found[0] if found else None


def environment(folder, lib):
    """With every driver of the system, and Intel's, in `folder`."""
    for path in glob.glob(os.path.join(SYSTEM, "*.icd")):
        os.symlink(path, os.path.join(folder, os.path.basename(path)))
    with open(os.path.join(folder, "zz-intel.icd"), "w", encoding="ascii") as f:
        f.write(lib + "\n")
    return {**os.environ, "OCL_ICD_VENDORS": folder}


def main():
    lib = library()
    if not lib:
        print("skipped: M2C_PYTHON has no intel-opencl-rt")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(subprocess.run(sys.argv[1:], env=environment(folder, lib),
                                check=False).returncode)


if __name__ == "__main__":
    main()
