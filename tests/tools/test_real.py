# SPDX-License-Identifier: MIT
"""The real models of ../shared, from their files to text and perplexity, with
the figures that come with them."""
import json
import os
import subprocess
import sys
import tempfile

M2C = sys.argv[1]
SHARED = os.environ["M2C_SHARED"]
TEXT = os.path.join(SHARED, "text", "tinystories_sample.txt")
# name, flags, tokens, NLL; the tolerance is for FFN weights in f16.
MODELS = [("stories260K", [], 1804, 1.2664),
          ("relu2M", ["--act", "relu", "--act-shift", "0.25", "--input-relu-shift", "1"], 913,
           1.5629)]


def m2c(*args):
    run = subprocess.run([M2C, *args], capture_output=True)
    assert run.returncode == 0, f"{args}: exit {run.returncode}: {run.stderr.decode()}"
    return run.stdout


def main():
    if not os.path.exists(TEXT):
        print(f"skipped: no {TEXT}")
        return 77
    with tempfile.TemporaryDirectory() as tmp:
        for name, flags, tokens, nll in MODELS:
            folder, store = os.path.join(SHARED, "models", name), os.path.join(tmp, name)
            m2c("import", os.path.join(folder, "model.bin"), store, *flags)
            m2c("verify", store)
            have = json.loads(m2c("ppl", store, "--text", TEXT, "--split", "<|endoftext|>",
                                  "--json"))
            print(name, have)
            assert have["n_tokens"] == tokens
            assert abs(have["nll_per_token"] - nll) <= 0.0005
            if name == "stories260K":
                want = open(os.path.join(folder, "greedy_200.txt"), "rb").read()
                assert m2c("run", store, "-n", "200", "--temp", "0") == want
    return 0


sys.exit(main())
