# SPDX-License-Identifier: MIT
"""Perplexity with the 16-bit class of planes against f16 of copies, on the shipped model and,
where ../shared is there, on the two published ones: within 0.05 %. The same after neurons
were put in their hot order, and with the calibrated quantiser; what 4 bits cost with each."""
import json
import os
import subprocess
import sys
import tempfile

m2c, shared, source = sys.argv[1], os.environ["M2C_SHARED"], os.environ["M2C_SOURCE"]
split = ["--split", "<|endoftext|>", "--json"]
relu = ["--act", "relu", "--act-shift", "0.25", "--input-relu-shift", "1"]
sample, stories = f"{source}/data/sample.txt", f"{shared}/text/tinystories_sample.txt"
models = [("shipped", f"{source}/data/tiny", [], sample, "1500")]
if os.path.isdir(shared):
    for name, flags in ("stories260K", []), ("relu2M", relu):
        d = f"{shared}/models/{name}"
        models.append((name, f"{d}/model.bin", ["--tokenizer", f"{d}/tokenizer.bin", *flags],
                       stories, "0"))


def run(*args):
    done = subprocess.run([m2c, *args], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{args}: {done.stderr}")
    return done.stdout


def ppl(store, text, tokens, *args):
    return json.loads(run("ppl", store, "--text", text, "--tokens", tokens, *split, *args))["ppl"]


with tempfile.TemporaryDirectory() as tmp:
    for name, src, flags, text, tokens in models:
        def made(file, *args):
            run("import", src, f"{tmp}/{file}", *flags, "--overwrite", *args)
            return ppl(f"{tmp}/{file}", text, tokens)

        f16 = made("c.h5")
        i16 = made("p.h5", "--layout", "planes", "--arrange", "neuron")
        part = made("q.h5", "--layout", "planes")
        if part != i16:
            sys.exit(f"{name}: {part} by part, {i16} by neuron")
        moment = made("m.h5", "--layout", "planes", "--quant", "moment", "--text", text,
                      "--tokens", "1000")
        run("rank", f"{tmp}/p.h5", "--text", text, "--tokens", "300", "-o", f"{tmp}/r.h5",
            *([] if name == "relu2M" else ["--active", "0.3"]))
        run("relayout", f"{tmp}/p.h5", f"{tmp}/h.h5", "--order", f"{tmp}/r.h5", "--overwrite")
        hot = ppl(f"{tmp}/h.h5", text, tokens)
        low = {k: ppl(f"{tmp}/{k}.h5", text, tokens, "--set", "precision.ratio=0:0:100")
               for k in "cpm"}
        print(f"{name}: f16 {f16:.5f}, i16 {i16 / f16 - 1:+.6%}, moment {moment / f16 - 1:+.6%},"
              f" hot order {hot / i16 - 1:+.1e}; at 4 bits copies {low['c'] / f16 - 1:+.2%},"
              f" planes {low['p'] / f16 - 1:+.2%}, planes by moment {low['m'] / f16 - 1:+.2%}")
        for what, got in ("i16", i16), ("moment", moment):
            if not abs(got / f16 - 1) <= 0.0005:
                sys.exit(f"{name}: {what} has perplexity {got}, f16 {f16}")
        if not abs(hot / i16 - 1) <= 1e-5:
            sys.exit(f"{name}: {hot} in hot order, {i16} before")
        run("relayout", f"{tmp}/h.h5", f"{tmp}/b.h5", "--layout", "copies", "--overwrite")
        if not abs(ppl(f"{tmp}/b.h5", text, tokens) / f16 - 1) <= 0.0005:
            sys.exit(f"{name}: copies made of planes are off")
