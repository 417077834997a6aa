# SPDX-License-Identifier: MIT
"""m2c rank --predictor and the selectors that use it, as a user meets them, on
the shipped model.

test_tool.py M2C"""
import json
import os
import subprocess
import sys
import tempfile

M2C = sys.argv[1]
ROOT = os.environ.get("M2C_SOURCE", ".")


def run(*args, code=0):
    p = subprocess.run([M2C, *args], capture_output=True, text=True)
    if "no PCRE2" in p.stderr:
        print("skipped: this build has no PCRE2 for the tokenizer")
        sys.exit(77)
    assert p.returncode == code, (args, p.returncode, p.stderr)
    return p.stdout if code == 0 else p.stderr


def main(model, text, tmp):
    rank = os.path.join(tmp, "r.rank.h5")
    out = json.loads(run("rank", model, "--text", text, "--tokens", "700", "-o", rank,
                         "--predictor", "gate", "--json", "--active", "0.3"))
    gate = out["predictors"][0]
    assert gate["kind"] == "gate" and gate["type"] == "i4" and gate["width"] == 0
    assert 0 < gate["share_of_ffn"] < 0.11
    for layer in gate["layers"]:
        assert 0.3 < layer["recall"] <= 1 and layer["recall"] > layer["static"] - 0.05
    few = ["--text", text, "--tokens", "60", "--json", "--rank", rank]
    sets = ["--set", "selector.kind=gate", "--set"]
    dense = json.loads(run("ppl", model, *few))
    full = json.loads(run("ppl", model, *few, *sets, "precision.active=1"))
    assert full["nll_per_token"] == dense["nll_per_token"], (full, dense)
    half = json.loads(run("ppl", model, *few, *sets, "precision.active=0.5"))
    assert half["nll_per_token"] != dense["nll_per_token"]
    for kind, words in (("rrr", "holds no predictor rrr"), ("gates", "did you mean 'gate'")):
        why = run("ppl", model, *few, "--set", f"selector.kind={kind}", "--set",
                  "precision.active=0.5", code=1 if kind == "rrr" else 2)
        assert words in why, why
    for args, words in ((["--predictor", "gat"], "did you mean 'gate'"),
                        (["--predictor", "rrr", "--predictor", "rrr"], "given twice"),
                        (["--predictor", "gate", "--lookahead", "1"], "own layer")):
        why = run("rank", model, "--text", text, "-o", rank, *args, code=2)
        assert words in why, why


MODEL, TEXT = sys.argv[2], sys.argv[3]
with tempfile.TemporaryDirectory() as folder:
    store = os.path.join(folder, "m.h5")
    run("import", MODEL, store)
    main(store, TEXT, folder)
