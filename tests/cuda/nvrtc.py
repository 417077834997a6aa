# SPDX-License-Identifier: MIT
"""Compiles every CUDA kernel with NVRTC for every architecture, without a GPU.

nvrtc.py SOURCE [--arch 52,90] [--file matmul]

Prints a table of what each kernel takes: registers, shared memory, stack,
spilled bytes. Fails if one does not compile, gives a warning, or if a module's
entries are not those of the manifest. Spills are reported and allowed. NVRTC
is that of the package nvidia-cuda-nvrtc-cu11, of the last major version that
compiles for all of sm_52 to sm_90. Exits with 77 where it is not installed.
"""
import argparse
import ctypes
import glob
import importlib.util
import os
import re
import sys

# The package is where M2C_PYTHON has it.
WANTED = os.environ.get("M2C_PYTHON")
if WANTED and os.environ.get("M2C_PYTHON_USED") != WANTED and os.path.exists(WANTED):
    os.environ["M2C_PYTHON_USED"] = WANTED
    os.execv(WANTED, [WANTED, *sys.argv])

ARCHS = (52, 60, 70, 86, 90)
ROW = re.compile(r"^\s*K\((\w+), (\w+), (\w+), (\w+)\)", re.M)
OPTIONS = re.compile(r"^#define M2C_K_OPTIONS (.*)$", re.M)


def find_nvrtc():
    """The library of the package of CUDA 11, or None."""
    try:
        spec = importlib.util.find_spec("nvidia.cuda_nvrtc")
    except ModuleNotFoundError:
        return None
    for folder in spec.submodule_search_locations if spec else ():
        for path in glob.glob(os.path.join(folder, "lib", "libnvrtc.so.11*")):
            # It opens its builtins by name: they must be there already.
            for builtins in glob.glob(os.path.join(folder, "lib", "libnvrtc-builtins.so*")):
                ctypes.CDLL(builtins, mode=ctypes.RTLD_GLOBAL)
            return ctypes.CDLL(path)
    return None


class Nvrtc:
    def __init__(self, library):
        self.lib = library
        self.lib.nvrtcGetErrorString.restype = ctypes.c_char_p

    def check(self, result):
        if result:
            raise RuntimeError(self.lib.nvrtcGetErrorString(result).decode())

    def version(self):
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.check(self.lib.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        return major.value, minor.value

    def compile(self, name, source, headers, options):
        """(log, code of the device or None)"""
        def strings(values):
            return (ctypes.c_char_p * len(values))(*[v.encode() for v in values])
        program = ctypes.c_void_p()
        self.check(self.lib.nvrtcCreateProgram(
            ctypes.byref(program), source.encode(), name.encode(), len(headers),
            strings(list(headers.values())), strings(list(headers))))
        try:
            result = self.lib.nvrtcCompileProgram(program, len(options), strings(options))
            log = self.get(program, "ProgramLog").rstrip(b"\0").decode()
            return log, self.get(program, "CUBIN") if result == 0 else None
        finally:
            self.lib.nvrtcDestroyProgram(ctypes.byref(program))

    def get(self, program, what):
        size = ctypes.c_size_t()
        self.check(getattr(self.lib, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        data = ctypes.create_string_buffer(size.value)
        self.check(getattr(self.lib, f"nvrtcGet{what}")(program, data))
        return data.raw


ENTRY = re.compile(r"Compiling entry function '(\w+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
PARAMS = re.compile(r"(\d+) bytes cmem\[0\]")


def usage(log):
    """{entry: (registers, shared, stack, spilled, bytes of constant bank 0)}"""
    found, entry, stack = {}, None, (0, 0, 0)
    for line in log.split("\n"):
        if ENTRY.search(line):
            entry = ENTRY.search(line).group(1)
        if STACK.search(line):
            stack = [int(v) for v in STACK.search(line).groups()]
        if entry and USED.search(line):
            def number(pattern, text=line):
                return int(pattern.search(text).group(1)) if pattern.search(text) else 0
            found[entry] = (number(USED), number(SHARED), stack[0], stack[1] + stack[2],
                            number(PARAMS))
    return found


def read(folder):
    texts = {}
    for path in glob.glob(os.path.join(folder, "*")):
        with open(path, encoding="utf-8") as f:
            texts[os.path.basename(path)] = f.read()
    return texts


def compile_all(nvrtc, texts, archs, only):
    manifest = texts["manifest.h"]
    options = re.findall(r'"([^"]*)"', OPTIONS.search(manifest).group(1))
    headers = {name: text for name, text in texts.items() if name.endswith(".h")}
    modules = {}
    for entry, file, kind, _ in ROW.findall(manifest):
        modules.setdefault((file, kind), []).append("m2c_" + entry)
    faults = spilled = kernels = 0
    print(f"{'kernel':24}" + "".join(f"{'sm_' + str(a):>22}" for a in archs))
    print(f"{'':24}" + f"{'regs  smem stack spill':>22}" * len(archs))
    for (file, kind), entries in modules.items():
        if only and file != only:
            continue
        rows = {entry: [] for entry in entries}
        for arch in archs:
            log, code = nvrtc.compile(
                file + ".cu", texts[file + ".cu"], headers,
                [*options, f"-DM2C_T={kind}", f"--gpu-architecture=sm_{arch}",
                 "--ptxas-options=-v"])
            if code is None:
                faults += 1
                print(f"{file}.cu of {kind} does not compile for sm_{arch}:\n{log}")
                continue
            warnings = [line for line in log.split("\n") if "warning" in line]
            if warnings:
                faults += 1
                print(f"{file}.cu of {kind} for sm_{arch}:\n" + "\n".join(warnings))
            used = usage(log)
            if set(used) != set(entries):
                faults += 1
                print(f"{file}.cu of {kind} has entries {sorted(used)}, the manifest "
                      f"{sorted(entries)}")
            for entry in used:
                rows.setdefault(entry, []).append(used[entry])
        for entry, row in rows.items():
            kernels += len(row)
            spilled += sum(1 for r in row if r[3])
            print(f"{entry:24}" + "".join(
                f"{r[0]:>6}{r[1]:>6}{r[2]:>5}{r[3]:>5}" for r in row))
    print(f"{kernels} kernels compiled, {faults} faults, {spilled} with spills")
    return faults == 0 and kernels > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--arch", default=",".join(map(str, ARCHS)))
    parser.add_argument("--file")
    args = parser.parse_args()
    library = find_nvrtc()
    if not library:
        print("skipped: the Python package nvidia-cuda-nvrtc-cu11 is not installed")
        return 77
    nvrtc = Nvrtc(library)
    print("NVRTC %d.%d" % nvrtc.version())
    texts = read(os.path.join(args.source, "kernels", "cuda"))
    return 0 if compile_all(nvrtc, texts, [int(a) for a in args.arch.split(",")],
                            args.file) else 1


if __name__ == "__main__":
    sys.exit(main())
