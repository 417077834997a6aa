# SPDX-License-Identifier: MIT
"""Lints of the structure: floors, ops tables, who may name what."""
import re

from tree import code, find, is_c, is_library, lint, module

FLOORS = {
    "base": 0,
    "ops": 1, "quant": 1, "sim": 1,
    "dev": 2, "io": 2, "policy": 2, "meter": 2, "import": 2, "token": 2,
    "store": 3,
    "tier": 4, "select": 4,
    "infer": 5,
    "exp": 6,
    "experiments": 7,
    "tools": 8,
}
GENERATED = {"m2c_config.h", "m2c_version.h"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.M)


def include_fault(here, target):
    if target in GENERATED:
        return None
    there = target.split("/")[0] if "/" in target else None
    if target.startswith("kernels/"):  # what kernels and the host that launches them share
        return None if here == "dev" else f'"{target}": only dev launches kernels'
    if there not in FLOORS:
        return f'"{target}": include from src/, as "module/file.h"'
    if there != here and target.endswith("_impl.h"):
        return f'"{target}" is private to {there}'
    if there == here:
        return None
    if FLOORS[there] == FLOORS[here]:
        return f'"{target}": {here} and {there} are on one floor and do not see each other'
    if FLOORS[there] > FLOORS[here]:
        return f'"{target}": {there} is above {here}'
    return None


@lint(bad=[{"src/policy/lru.c": '#include "tier/tier.h"\n'},
           {"src/policy/lru.c": '#include "dev/dev.h"\n'},
           {"src/base/ini.c": '#include "ini.h"\n'},
           {"src/tier/hbm.c": '#include "dev/dev_impl.h"\n'},
           {"src/exp/run.c": '#include "experiments/decode.h"\n'},
           {"src/tier/hbm.c": '#include "kernels/cuda/args.h"\n'},
           {"src/attic/x.c": '#include "base/base.h"\n'}],
      good={"src/dev/cuda.c": '#include "kernels/cuda/args.h"\n',
            "src/tier/hbm.c": '#include "tier/tier.h"\n#include "policy/policy.h"\n'
                              '/* #include "exp/exp.h" */\n#include "tier/tier_impl.h"\n',
            "experiments/decode.c": '#include "exp/exp.h"\n#include "m2c_config.h"\n'})
def floors(files):
    """A file includes its own module and lower floors only."""
    for path, text in files.items():
        if not is_c(path) or not path.startswith(("src/", "experiments/")):
            continue
        here = module(path)
        if here not in FLOORS:
            yield path, 1, f"'{here}' is on no floor: see FLOORS in tests/lint/structure.py"
            continue
        text = code(text, keep_strings=True)
        for match in INCLUDE.finditer(text):
            fault = include_fault(here, match.group(1))
            if fault:
                yield path, text.count("\n", 0, match.start()) + 1, fault


# What other modules include of the store; the rest is its own.
STORE_PUBLIC = {"src/store/store.h", "src/store/rank.h", "src/store/results.h",
                "src/store/trace.h"}


@lint(bad=[{"src/infer/x.c": "#include <hdf5.h>\n"}, {"src/store/rank.h": "H5Dopen(a, b);\n"},
           {"src/exp/x.c": "int f(void) { return H5Fclose(x); }\n"}],
      good={"src/store/x.c": "#include <hdf5.h>\nint x = H5Fclose(y);\n"})
def hdf5(files):
    """libhdf5 is named in src/store only, and in its public headers not at all."""
    for path, text in files.items():
        inside = path.startswith("src/store/") and path not in STORE_PUBLIC
        if is_c(path) and path.startswith(("src/", "experiments/")) and not inside:
            yield from find(r"#\s*include\s*<hdf5|\bH5[A-Z]+\w*\s*\(|\bhid_t\b", path,
                            code(text), "'{}': HDF5 belongs to src/store")


HOOK = re.compile(r"\(\s*\*\s*(\w+)\s*\)\s*\(")
OPS_BODY = re.compile(r"\bstruct\s+m2c_\w+_ops\s*\{(.*?)^\}", re.S | re.M)
DEV_OPS = "struct m2c_dev_ops {\n    int (*copy)(int);\n};\n"


@lint(bad=[{"src/dev/dev.h": DEV_OPS, "src/tier/t.c": "f(dev->ops->copy(1));\n"},
           {"src/dev/dev.h": DEV_OPS, "src/select/s.h": "struct m2c_s_ops {\n  int (*go)(int);\n};",
            "src/select/s.c": "const struct m2c_dev_ops *ops = q;\nops->copy(1);\n"}],
      good={"src/dev/dev.h": DEV_OPS, "src/dev/dev.c": "return d->ops->copy(1);\n"})
def ops_calls(files):
    """Hooks are called by the wrappers of the module that owns the table."""
    hooks = {}
    for path, text in files.items():
        if is_c(path) and path.startswith("src/"):
            for body in OPS_BODY.findall(code(text)):
                hooks.setdefault(module(path), set()).update(HOOK.findall(body))
    for path, text in files.items():
        if not is_c(path) or not path.startswith(("src/", "experiments/")):
            continue
        text = code(text)
        for match in re.finditer(r"\bops\s*->\s*(\w+)\s*\(", text):
            if match.group(1) not in hooks.get(module(path), ()):
                yield path, text.count("\n", 0, match.start()) + 1, (
                    f"calls the hook '{match.group(1)}' of a foreign ops table")


@lint(bad=[{"src/policy/lru.c": "static struct m2c_policy_ops lru = {\n"},
           {"src/policy/lru.c": "struct m2c_policy_ops m2c_lru = {\n"}],
      good={"src/policy/lru.c": "const struct m2c_policy_ops m2c_lru = {\n"
                                "    struct m2c_policy_ops *p = x;\n"})
def const_ops(files):
    """Ops tables are const."""
    for path, text in files.items():
        if is_c(path):
            yield from find(r"^(?:static\s+)?struct\s+m2c_\w+_ops\s+\w+\s*=", path,
                            code(text), "'{}': ops tables are const")


@lint(bad=[{"src/tier/x.c": "if (dev->backend == M2C_CUDA) {}\n"},
           {"src/exp/x.c": 'if (strcmp(cfg->backend, "cuda") == 0) {}\n'},
           {"experiments/x.c": "switch (info.backend) {\n"}],
      good={"src/dev/x.c": "if (backend == CUDA) {}\n",
            "src/tier/x.c": "if (backend == NULL || !backend) f(backend);\n"})
def backend_checks(files):
    """Nothing outside src/dev asks which backend it runs on."""
    for path, text in files.items():
        if is_library(path) and not path.startswith("src/dev/"):
            yield from find(r"(?i)\bbackend\w*\s*[!=]=\s*(?!NULL|0)\S+"
                            r"|\bstrn?cmp\s*\([^;]*\bbackend\b"
                            r"|\bswitch\s*\([^;{]*\bbackend\b",
                            path, code(text), "'{}': only src/dev knows backends")
