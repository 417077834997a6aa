#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the shipped model in float32 and writes figures.json and greedy_100.txt into its folder.

NLL: the text is split at the separator, each piece stripped; BOS + tokens; every token but BOS is
scored; a piece longer than the context goes in consecutive windows, each starting with BOS.
Tasks: the log-likelihood of " " + choice after BOS + query, summed, and per byte of the choice.
The baseline is an interpolated Kneser-Ney trigram over the same tokens, counted on the training
text, its two discounts tuned on --tune (never on the text that is scored).
"""
import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from train_tiny import BOS, EOS, MARK, load_folder, pieces


def windows(ids, ctx):
    return [[BOS, *ids[i:i + ctx - 1]] for i in range(0, len(ids), ctx - 1)]


@torch.no_grad()
def nll_and_gates(model, tok, texts):
    """Mean NLL, its standard error over pieces, the token count; per layer and neuron, how often
    the gate is active."""
    ctx, per, on, rows = model.c["max_position_embeddings"], [], 0, 0
    for t in texts:
        s = n = 0
        for w in windows(tok.encode(t).ids, ctx):
            ids = torch.tensor([w])
            logits, gates = model(ids)
            s += F.cross_entropy(logits[0, :-1], ids[0, 1:], reduction="sum").item()
            n += len(w) - 1
            on = on + torch.stack([(g[0] > 0).double().sum(0) for g in gates])
            rows += len(w)
        per.append((s, n))
    s, n = np.array(per).T
    mean = s.sum() / n.sum()
    err = math.sqrt(((s - mean * n) ** 2).sum()) / n.sum()
    return mean, err, int(n.sum()), on / rows


@torch.no_grad()
def score_tasks(model, tok, items):
    """Right answers by summed and by length-normalised log-likelihood, and the chance level."""
    right = np.zeros(2, int)
    for t in items:
        q = [BOS, *tok.encode(t["query"]).ids]
        ends = [tok.encode(" " + c).ids for c in t["choices"]]
        ids = torch.full((len(ends), len(q) + max(map(len, ends))), EOS)
        for row, e in zip(ids, ends):
            row[:len(q) + len(e)] = torch.tensor(q + e)
        logp = model(ids)[0].log_softmax(-1)[:, len(q) - 1:-1]
        lls = [logp[i, range(len(e)), e].sum().item() for i, e in enumerate(ends)]
        norm = [x / (len(c.encode()) + 1) for x, c in zip(lls, t["choices"])]
        right += [np.argmax(lls) == t["gold"], np.argmax(norm) == t["gold"]]
    return right, sum(1 / len(t["choices"]) for t in items) / len(items)


@torch.no_grad()
def greedy(model, ids, n):
    """ids and up to n more, to EOS; and the least lead of a chosen logit over the next."""
    ids, lead = list(ids), math.inf
    for _ in range(n):
        best, at = model(torch.tensor([ids]))[0][0, -1].topk(2)
        lead = min(lead, (best[0] - best[1]).item())
        ids.append(int(at[0]))
        if ids[-1] == EOS:
            break
    return ids, lead


class KneserNey:
    """Interpolated Kneser-Ney over token triples; counts as sorted integer keys."""

    def __init__(self, docs, vocab):
        self.v = v = vocab
        a, b, c = map(np.concatenate, zip(*(self.triples(d) for d in docs)))
        self.k3, self.c3 = np.unique((a * v + b) * v + c, return_counts=True)
        self.ctx3, self.tot3, self.kinds3 = self.contexts(self.k3, self.c3)
        self.k2, self.c2 = np.unique(self.k3 % (v * v), return_counts=True)   # continuations
        self.ctx2, self.tot2, self.kinds2 = self.contexts(self.k2, self.c2)
        self.c1 = np.bincount(self.k2 % v, minlength=v)

    @staticmethod
    def triples(d):
        d = np.array([BOS, BOS, *d], np.int64)       # d itself has no BOS
        return d[:-2], d[1:-1], d[2:]

    def contexts(self, keys, counts):
        ctx, first = np.unique(keys // self.v, return_index=True)
        return ctx, np.add.reduceat(counts, first), np.diff(np.append(first, len(keys)))

    @staticmethod
    def look(keys, values, want):
        i = np.minimum(np.searchsorted(keys, want), len(keys) - 1)
        return np.where(keys[i] == want, values[i], 0)

    def nll(self, docs, d3, d2):
        v = self.v
        a, b, c = map(np.concatenate, zip(*(self.triples(d) for d in docs)))
        p = 0.5 / v + 0.5 * self.c1[c] / self.c1.sum() if self.c1.min() == 0 else \
            self.c1[c] / self.c1.sum()
        for keys, counts, ctx, tot, kinds, d, k in (
                (self.k2, self.c2, self.ctx2, self.tot2, self.kinds2, d2, b),
                (self.k3, self.c3, self.ctx3, self.tot3, self.kinds3, d3, a * v + b)):
            n = self.look(ctx, tot, k)
            seen = np.maximum(self.look(keys, counts, k * v + c) - d, 0) / np.maximum(n, 1)
            p = np.where(n > 0, seen + d * self.look(ctx, kinds, k) / np.maximum(n, 1) * p, p)
        return -np.log(p).mean(), len(p)


def trigram(tok, train, tune, held):
    def encode(path):
        return [e.ids for e in tok.encode_batch([p.replace(MARK, "") for p in pieces(path)])]
    # The end of a document is no scored token, here as in the model's figure.
    kn, dev, test = KneserNey(encode(train), tok.get_vocab_size()), encode(tune), encode(held)
    grid = [(x, y) for x in (.05, .1, .2, .3, .5, .7, .9) for y in (.1, .3, .5, .7, .8, .9, .95)]
    d3, d2 = min(grid, key=lambda g: kn.nll(dev, *g)[0])
    nll, n = kn.nll(test, d3, d2)
    return {"nll": round(nll, 4), "perplexity": round(math.exp(nll), 3), "tokens": n,
            "discounts": [d3, d2]}


def against_transformers(folder, model, texts, tok):
    """Largest difference of the logits from AutoModelForCausalLM in float32, and same token ids."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    hf = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    hf_tok, worst = AutoTokenizer.from_pretrained(folder), 0.0
    for t in texts:
        ids = tok.encode(t).ids
        assert hf_tok(t, add_special_tokens=False)["input_ids"] == ids
        ids = torch.tensor([[BOS, *ids][:512]])
        with torch.no_grad():
            worst = max(worst, (hf(ids).logits - model(ids)[0]).abs().max().item())
    return worst


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    here = Path(__file__).parent
    ap.add_argument("--model", type=Path, default=here / "tiny", help="the folder (default: tiny)")
    ap.add_argument("--text", type=Path, default=here / "sample.txt", help="held-out text")
    ap.add_argument("--tasks", type=Path, default=here / "tasks.jsonl")
    ap.add_argument("--train", type=Path, help="training text, for the trigram baseline")
    ap.add_argument("--tune", type=Path, default=here / "calib.txt", help="text of its discounts")
    ap.add_argument("--transformers", action="store_true", help="compare with transformers")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--dry", action="store_true", help="print only, write nothing")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    start = time.time()

    model, tok = load_folder(a.model)
    texts = pieces(a.text)
    nll, err, n, on = nll_and_gates(model, tok, texts)
    items = [json.loads(x) for x in a.tasks.read_text().splitlines()]
    right, chance = score_tasks(model, tok, items)
    def rate(k):
        p = k / len(items)
        return {"accuracy": round(p, 4), "error": round(math.sqrt(p * (1 - p) / len(items)), 4)}
    first = texts[0][:texts[0].rindex(". ", 0, len(texts[0]) * 2 // 3) + 1]
    ids = [BOS, *tok.encode(first).ids]
    free, lead = greedy(model, [BOS], 100)
    text = tok.decode(free[1:], skip_special_tokens=True)
    out = {
        "text": a.text.name, "tokens": n, "nll": round(nll, 4), "nll_error": round(err, 4),
        "perplexity": round(math.exp(nll), 3),
        "inactive_by_layer": [round(x, 4) for x in (1 - on.mean(1)).tolist()],
        "inactive": round(1 - on.mean().item(), 4),
        "never_active_by_layer": (on == 0).sum(1).tolist(),
        "active_above_half_by_layer": (on > 0.5).sum(1).tolist(),
        "tasks": {"n": len(items), "chance": round(chance, 4), "sum": rate(right[0]),
                  "per_byte": rate(right[1])},
        "greedy": {"prompt": first, "text": tok.decode(greedy(model, ids, 60)[0][len(ids):])},
        "greedy_100": {"tokens": len(free) - 1, "least_lead": round(lead, 4)},
        "torch": torch.__version__,
    }
    if a.train:
        out["trigram"] = trigram(tok, a.train, a.tune, a.text)
    if a.transformers:
        out["max_abs_diff_transformers"] = against_transformers(a.model, model, texts[:50], tok)
    print(json.dumps(out, indent=2), f"\n{time.time() - start:.0f} s")
    print("greedy from BOS:", text)
    if not a.dry:
        (a.model / "figures.json").write_text(json.dumps(out, indent=2) + "\n")
        (a.model / "greedy_100.txt").write_text(text)


if __name__ == "__main__":
    main()
