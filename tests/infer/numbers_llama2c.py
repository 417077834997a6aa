# SPDX-License-Identifier: MIT
"""The two published llama2.c models: greedy text, NLL and densities as their authors and an
independent float32 computation give them. Skips (77) where ../shared is not there."""
import json
import os
import subprocess
import sys
import tempfile

m2c, shared = sys.argv[1], os.environ["M2C_SHARED"]
if not os.path.isdir(shared):
    print("skipped: no", shared)
    sys.exit(77)
text = ["--text", f"{shared}/text/tinystories_sample.txt", "--split", "<|endoftext|>", "--json"]


def run(*args):
    return subprocess.run([m2c, *args], check=True, capture_output=True).stdout


def near(name, got, want, tol):
    print(f"{name}: {got} (want {want} ± {tol})")
    if not abs(got - want) <= tol:
        sys.exit(f"{name} is off")


with tempfile.TemporaryDirectory() as tmp:
    d = f"{shared}/models/stories260K"
    run("import", f"{d}/model.bin", f"{tmp}/s.h5", "--tokenizer", f"{d}/tokenizer.bin")
    if run("run", f"{tmp}/s.h5", "-n", "200", "--temp", "0") != open(f"{d}/greedy_200.txt", "rb").read():
        sys.exit("stories260K: the greedy text differs")
    got = json.loads(run("ppl", f"{tmp}/s.h5", *text))
    near("stories260K tokens", got["n_tokens"], 1804, 0)
    near("stories260K NLL", got["nll_per_token"], 1.2664, 0.0005)

    d = f"{shared}/models/relu2M"
    run("import", f"{d}/model.bin", f"{tmp}/r.h5", "--tokenizer", f"{d}/tokenizer.bin",
        "--act", "relu", "--act-shift", "0.25", "--input-relu-shift", "1")
    got = json.loads(run("ppl", f"{tmp}/r.h5", *text, "--set", "selector.kind=oracle",
                         "--set", "precision.active=auto"))
    near("relu2M tokens", got["n_tokens"], 913, 0)
    near("relu2M NLL", got["nll_per_token"], 1.5629, 0.0005)
    for layer, want in enumerate([.112, .267, .297, .295, .313, .374]):
        near(f"relu2M density of layer {layer}", got["active_true"][layer], want, 0.005)
