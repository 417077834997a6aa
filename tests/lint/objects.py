# SPDX-License-Identifier: MIT
"""Lints of what the compiler makes: headers alone, symbols, mutable state.

Each is first tried on a sample that it must refuse, compiled here.
"""
import json
import os
import re
import shlex
import subprocess
import tempfile

from tree import read_tree

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def include_flags(build):
    """The include paths and defines that the library is compiled with."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        commands = json.load(f)
    flags = []
    for entry in commands:
        if "src/base/" not in entry["file"]:
            continue
        for word in shlex.split(entry["command"]):
            if word.startswith("-I"):
                flags.append("-I" + os.path.join(entry["directory"], word[2:]))
            elif word.startswith("-D_"):
                flags.append(word)
        return flags
    raise RuntimeError("no source of src/base in compile_commands.json")


def header_faults(compiler, language, flags, header):
    std = {"c": "-std=c11", "c++": "-std=c++17"}[language]
    run = subprocess.run([*compiler, "-x", language, std, *WARNINGS, *flags, "-"],
                         input=f'#include "{header}"\n', text=True, check=False,
                         stderr=subprocess.PIPE)
    return run.stderr if run.returncode else None


def headers(language, compiler, root, build):
    """Every header compiles alone, but for the kernels' insides: *_body.h is the
    text that several sources include, each with definitions of its own before
    it, and simd_*.h needs the instruction set of the source that includes it."""
    flags = include_flags(build)
    with tempfile.TemporaryDirectory() as folder:
        sample = os.path.join(folder, "sample.h")
        with open(sample, "w", encoding="utf-8") as f:
            f.write("static inline size_t f(size_t x) { return x; }\n")
        if not header_faults(compiler, language, flags, sample):
            print("a header that lacks an include was accepted")
            return 1
    names = [p for p in read_tree(root) if p.endswith(".h")
             and p.startswith(("src/", "experiments/"))
             and not re.search(r"_body\.h$|/simd_\w+\.h$", p)]
    bad = 0
    for name in names:
        fault = header_faults(compiler, language, flags, os.path.join(root, name))
        if fault:
            bad += 1
            print(f"{name} does not compile alone as {language}:\n{fault}")
    print(f"{len(names)} headers as {language}, {bad} faults")
    return 1 if bad or not names else 0


def foreign_symbols(archive):
    names = re.findall(r"^\S+ [A-Za-z] (\S+)$", output("nm", "-g", "--defined-only", archive),
                       re.M)
    return len(names), [n for n in names if not n.startswith("m2c_")]


MUTABLE = re.compile(r"^(?:\.(?:data|bss|tdata|tbss)(?!\.rel\.ro)[\w.]*|\*COM\*)$")
SYMBOL = re.compile(r"^[0-9a-f]+ .{7} (\S+)\t([0-9a-f]+)\s+(?:\.hidden )?(\S+)$")
CONSTRUCTORS = re.compile(r"^\s*\d+ (\.(?:init_array|ctors)[\w.]*)\s")


def mutable_state(archive):
    """The number of symbols, and (member, section, symbol) of what can change;
    constructors, which could change it, too."""
    member, n, found = "", 0, []
    for line in output("objdump", "-h", "-t", archive).split("\n"):
        if "file format" in line:
            member = line.split(":")[0]
        constructor = CONSTRUCTORS.match(line)
        if constructor:
            found.append((member, constructor.group(1), "constructor"))
        row = SYMBOL.match(line)
        if row:
            n += 1
            section, size, symbol = row.groups()
            if MUTABLE.match(section) and (int(size, 16) or section == "*COM*"):
                found.append((member, section, symbol))
    return n, found


STATE_SAMPLE = """
int m2c_zero; static int counted(void) { static int n = 7; return n++; }
static const int table[] = {1, 2}; const int *const m2c_table[] = {table, table};
_Thread_local int m2c_local; int foreign(void); int foreign(void) { return counted(); }
__attribute__((constructor)) static void early(void) { m2c_zero = 1; }
"""


def archive_of_sample(compiler, folder):
    source, obj, archive = (os.path.join(folder, n) for n in ("x.c", "x.o", "x.a"))
    with open(source, "w", encoding="utf-8") as f:
        f.write(STATE_SAMPLE)
    subprocess.run([*compiler, "-std=c11", "-fPIC", "-c", source, "-o", obj], check=True)
    subprocess.run(["ar", "rc", archive, obj], check=True)
    return archive


def symbols(compiler, archive):
    """What the library exports carries its prefix."""
    with tempfile.TemporaryDirectory() as folder:
        if foreign_symbols(archive_of_sample(compiler, folder))[1] != ["foreign"]:
            print("the sample's symbol without prefix was not seen")
            return 1
    n, foreign = foreign_symbols(archive)
    for name in foreign:
        print(f"exported without the prefix m2c_: {name}")
    print(f"{n} symbols, {len(foreign)} without prefix")
    return 1 if foreign or not n else 0


def state(compiler, archive):
    """No mutable state at file scope, local statics included."""
    with tempfile.TemporaryDirectory() as folder:
        sample = mutable_state(archive_of_sample(compiler, folder))[1]
    # A local static is called n.0 by gcc, counted.n by clang.
    seen = {symbol.removesuffix(".0").split(".")[-1] for _, _, symbol in sample}
    if seen != {"m2c_zero", "n", "m2c_local", "constructor"}:
        print(f"the sample's mutable state was not seen rightly: {seen}")
        return 1
    n, found = mutable_state(archive)
    for member, section, symbol in found:
        print(f"{member}: {symbol} in {section}")
    print(f"{n} symbols, {len(found)} of mutable state")
    return 1 if found or not n else 0
