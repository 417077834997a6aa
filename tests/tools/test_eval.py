# SPDX-License-Identifier: MIT
"""m2c eval on the shipped model: log-likelihoods against torch, where there is
one; every kind of question; comparison of two results; bad files."""
import json
import math
import os
import subprocess
import sys
import tempfile

M2C = sys.argv[1]
SOURCE = os.environ["M2C_SOURCE"]
TINY = os.path.join(SOURCE, "data", "tiny")
TASKS = os.path.join(SOURCE, "data", "tasks.jsonl")
LIMIT = 10 if "--sanitized" in sys.argv else 16


def m2c(*args, ok=0):
    run = subprocess.run([M2C, *map(str, args)], capture_output=True, text=True)
    if "no PCRE2" in run.stderr:
        print("skipped: this build has no PCRE2 for the tokenizer")
        sys.exit(77)
    assert run.returncode == ok, f"{args}: exit {run.returncode}: {run.stderr}"
    return run.stdout if ok == 0 else run.stderr


def evaluate(store, task, *args):
    return json.loads(m2c("eval", store, "--task", task, "--json", *args))


def lines(path, records):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r) + "\n" for r in records)
    return path


def near(a, b, tolerance):
    assert abs(a - b) <= tolerance, f"{a} and {b}"


def same(have, want, tolerance):
    for a, b in zip(sum(have, []), sum(want, []), strict=True):
        near(a, b, tolerance)


def questions():
    with open(TASKS, encoding="utf-8") as f:
        return [json.loads(line) for line in f][:LIMIT]


def by_hand(items, lls):
    """acc, acc_norm as lm-evaluation-harness has them."""
    best = [max(range(len(x)), key=lambda k: x[k]) for x in lls]
    norm = [max(range(len(x)), key=lambda k: x[k] / len(i["choices"][k]))
            for x, i in zip(lls, items)]
    right = [[int(k == i["gold"]) for k, i in zip(ks, items)] for ks in (best, norm)]
    return right, [sum(r) / len(items) for r in right]


def choices(store, tmp):
    items = questions()
    task = lines(os.path.join(tmp, "choices.jsonl"), items)
    have = evaluate(store, task)
    right, (acc, norm) = by_hand(items, have["ll"])
    assert have["right"] == right[0] and have["right_norm"] == right[1]
    assert have["kind"] == "choice" and have["n"] == len(items) and have["task"] == "choices"
    near(have["acc"], acc, 1e-12)
    near(have["acc_norm"], norm, 1e-12)
    near(have["acc_err"], math.sqrt(acc * (1 - acc) / len(items)), 1e-12)
    near(have["gold_ll"], sum(x[i["gold"]] for x, i in zip(have["ll"], items)) / len(items), 1e-9)
    near(have["chance"], sum(1 / len(i["choices"]) for i in items) / len(items), 1e-9)
    # in this order no sequence begins as the one before it, so that none goes back
    apart = [(i, k) for k in range(4) for i in range(8) if k < len(items[i]["choices"])]
    again = evaluate(store, lines(os.path.join(tmp, "apart.jsonl"), [
        {**items[i], "choices": [items[i]["choices"][k]], "gold": 0} for i, k in apart]))
    assert [x[0] for x in again["ll"]] == [have["ll"][i][k] for i, k in apart], \
        "going back in a sequence changed numbers"
    dense = evaluate(store, task, "--prefill", "dense")
    same(dense["ll"], have["ll"], 1e-3)
    return items, task, have


def against(store, tmp, task, have):
    """A coarser setting, beside the first result."""
    old = os.path.join(tmp, "old.json")
    with open(old, "w", encoding="utf-8") as f:
        json.dump(have, f)
    new = evaluate(store, task, "--against", old, "--set", "precision.ratio=0:0:1")
    pair, gold = new["against"], new["gold"]
    only = [sum(a > b for a, b in zip(x, y)) for x, y in ((new["right"], have["right"]),
                                                          (have["right"], new["right"]))]
    assert [pair["only_this"], pair["only_that"]] == only
    n = sum(only)
    tail = sum(math.comb(n, k) for k in range(min(only) + 1)) / 2 ** n
    near(pair["p"], min(1, 2 * tail), 1e-9)
    diff = [x[g] - y[g] for x, y, g in zip(new["ll"], have["ll"], gold)]
    mean = sum(diff) / len(diff)
    near(pair["gold_ll_diff"], mean, 1e-9)
    var = sum((d - mean) ** 2 for d in diff) / (len(diff) - 1)
    near(pair["gold_ll_diff_err"], math.sqrt(var / len(diff)), 1e-9)
    assert any(diff), "four bits give the numbers of sixteen"
    other = os.path.join(tmp, "other.jsonl")
    lines(other, questions()[1:])
    assert "of other questions" in m2c("eval", store, "--task", other, "--against", old, ok=1)
    assert "no result of m2c eval" in m2c("eval", store, "--task", task, "--against",
                                          lines(os.path.join(tmp, "x"), [{}]), ok=1)


def other_kinds(store, tmp, items):
    # the same question, turned: which context makes the continuation likeliest
    partial = lines(os.path.join(tmp, "partial.jsonl"), [
        {"context_options": [i["query"], i["query"] + " " + i["choices"][0]],
         "continuation": i["choices"][1], "gold": 0} for i in items[:10]])
    have = evaluate(store, partial)
    assert have["kind"] == "partial" and have["acc_norm"] is None
    want = evaluate(store, TASKS, "--limit", 10)
    same([x[:1] for x in have["ll"]], [x[1:2] for x in want["ll"]], 1e-9)
    # greedy text must be found again, anything else must not
    prompt = items[0]["query"]
    text = m2c("run", store, "-p", prompt, "-n", 4, "--temp", 0)[len(prompt):].rstrip("\n")
    last = lines(os.path.join(tmp, "last.jsonl"), [
        {"context": prompt, "continuation": text.strip()},
        {"context": prompt, "continuation": "zebra xylophone"}])
    have = evaluate(store, last)
    assert have["kind"] == "last" and have["right"] == [1, 0], (have, text)
    near(have["perplexity"], math.exp(-sum(x[0] for x in have["ll"]) / 2), 1e-6)
    code = lines(os.path.join(tmp, "code.jsonl"), [
        {"task_id": f"T/{i}", "prompt": q["query"], "entry_point": "f", "test": ""}
        for i, q in enumerate(items[:2])])
    out = os.path.join(tmp, "completions.jsonl")
    m2c("eval", store, "--task", code, "--out", out, "--max-new", 4)
    with open(out, encoding="utf-8") as f:
        done = [json.loads(line) for line in f]
    assert [x["task_id"] for x in done] == ["T/0", "T/1"]
    assert done[0]["completion"].strip() == text.strip(), (done, text)
    assert "File exists" in m2c("eval", store, "--task", code, "--out", out, ok=1)
    assert "--out FILE is needed" in m2c("eval", store, "--task", code, ok=1)


def bad_files(store, tmp):
    good = {"query": "a", "choices": ["b", "c"], "gold": 0}
    for bad, say in (({**good, "gold": 2}, '"gold"'), ({**good, "gold": -1}, '"gold"'),
                     ({**good, "choices": []}, "0 options"), ({**good, "query": 1}, '"query"'),
                     ({**good, "choices": ["b", ""]}, "expected texts"),
                     ({**good, "choices": ["x"] * 300}, "300 options"),
                     ({"context": "a", "continuation": "b"}, '"query"'), ([], "object")):
        path = lines(os.path.join(tmp, "bad.jsonl"), [good, bad])
        said = m2c("eval", store, "--task", path, ok=1)
        assert f"{path}: line 2" in said and say in said, said
    for text, say in (("{", "line 1"), ("", "no question"), ("{}", "no kind of question"),
                      ("\x1f\x8b", "line 1")):
        path = os.path.join(tmp, "bad.jsonl")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        said = m2c("eval", store, "--task", path, ok=1)
        assert path in said and say in said, said


def torch_agrees(items, have):
    sys.path.insert(0, os.path.join(SOURCE, "data"))
    try:
        import torch
        from train_tiny import BOS, load_folder
    except ImportError as missing:
        print(f"no comparison with torch: {missing}")
        return False
    from pathlib import Path
    model, tok = load_folder(Path(TINY))
    want = []
    for item in items:
        n = len(tok.encode(item["query"]).ids)
        row = []
        for choice in item["choices"]:
            ids = tok.encode(item["query"] + " " + choice).ids
            with torch.no_grad():
                logp = model(torch.tensor([[BOS, *ids]]))[0][0].double().log_softmax(-1)
            row.append(sum(logp[i, ids[i]].item() for i in range(n, len(ids))))
        want.append(row)
    same(have["ll"], want, 5e-3)
    print(f"{len(items)} questions, log-likelihoods as torch's")
    return True


def main():
    wanted = os.environ.get("M2C_PYTHON")
    if wanted and os.environ.get("M2C_PYTHON_USED") != wanted and os.path.exists(wanted):
        os.environ["M2C_PYTHON_USED"] = wanted
        os.execv(wanted, [wanted] + sys.argv)
    with tempfile.TemporaryDirectory() as tmp:
        store = os.path.join(tmp, "tiny.h5")
        m2c("import", TINY, store)
        items, task, have = choices(store, tmp)
        against(store, tmp, task, have)
        other_kinds(store, tmp, items)
        bad_files(store, tmp)
        return 0 if torch_agrees(items, have) else 77


sys.exit(main())
