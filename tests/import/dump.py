# SPDX-License-Identifier: MIT
"""What the tests of importers share: finding the right Python, files of
random models, and reading what import_dump writes."""
import os
import subprocess
import sys


def need(*modules):
    """Runs on M2C_PYTHON where it is set; exit 77 without the modules."""
    wanted = os.environ.get("M2C_PYTHON")
    if wanted and os.environ.get("M2C_PYTHON_USED") != wanted and os.path.exists(wanted):
        os.environ["M2C_PYTHON_USED"] = wanted
        os.execv(wanted, [wanted] + sys.argv)
    for name in modules:
        try:
            __import__(name)
        except ImportError:
            print(f"skipped: this Python has no {name} (set M2C_PYTHON)")
            sys.exit(77)


def shared(*parts):
    return os.path.join(os.environ["M2C_SHARED"], *parts)


def dump(tool, src, out, fmt="auto"):
    """(config, {(kind, layer): (type, by rows, by columns)}) as numpy arrays."""
    import numpy as np
    run = subprocess.run([tool, "dump", src, out, fmt], capture_output=True, text=True)
    if run.returncode:
        raise AssertionError(f"import_dump {src}: {run.stderr}")
    data = np.memmap(out, dtype="<f4", mode="r")
    cfg, tensors, at = {}, {}, 0
    for line in run.stdout.splitlines():
        if not line.startswith("tensor "):
            key, value = line.split("=", 1)
            cfg[key] = value
            continue
        _, kind, layer, rows, cols, typ = line.split()
        rows, cols = int(rows), int(cols)
        by_rows = data[at:at + rows * cols].reshape(rows, cols)
        at += rows * cols
        by_cols = data[at:at + rows * cols].reshape(cols, rows)
        at += rows * cols
        tensors[kind, int(layer)] = typ, by_rows, by_cols
    assert at == len(data), "import_dump wrote more than it listed"
    return cfg, tensors


def check(tensors, kind, layer, want, typ):
    """Bit for bit, by rows and by columns."""
    import numpy as np
    have_type, by_rows, by_cols = tensors.pop((kind, layer))
    want = np.ascontiguousarray(want, dtype="<f4")
    if want.ndim == 1:
        want = want[None]
    assert have_type == typ, f"{kind} {layer}: type {have_type}, expected {typ}"
    assert by_rows.shape == want.shape, f"{kind} {layer}: {by_rows.shape} {want.shape}"
    same = np.array_equal(by_rows.view("<u4"), want.view("<u4"))
    assert same, f"{kind} {layer}: rows differ"
    by_cols = np.ascontiguousarray(by_cols.T)
    same = np.array_equal(by_cols.view("<u4"), want.view("<u4"))
    assert same, f"{kind} {layer}: columns differ"


def expect(cfg, **want):
    for key, value in want.items():
        assert cfg[key] == str(value), f"{key}: {cfg[key]}, expected {value}"
