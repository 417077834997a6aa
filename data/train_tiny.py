#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains the shipped model: a byte-level BPE tokenizer and a small Llama with a ReGLU FFN.

The FFN is down(relu(gate x) * (up x)). A penalty on the positive gate values, scaled per layer by
a controller, holds the fraction of active neurons near --density. The result is a Hugging Face
folder (f16 safetensors, tensor names of LlamaForCausalLM), written anew every --save-every steps,
so a run that is cut off leaves a usable model.

Invariant: the same text, arguments, torch version, thread count and CPU give the same model.
"""
import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

SEP, MARK = "<|endoftext|>", "\x01"         # as make_text.py writes them
BOS, EOS = 0, 1
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "relu",
    "vocab_size": 1024, "hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 6,
    "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 32, "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5, "max_position_embeddings": 512, "tie_word_embeddings": True,
    "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0,
    "initializer_range": 0.02, "pretraining_tp": 1, "use_cache": True,
    "bos_token_id": BOS, "eos_token_id": EOS, "torch_dtype": "float16",
}


class Norm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        y = F.rms_norm(x, x.shape[-1:], self.weight, self.eps)
        # Rounded once here, not once in each product that reads it (the residual stays float32).
        return y.bfloat16() if torch.is_autocast_enabled("cpu") else y


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        dim, self.hd = c["hidden_size"], c["head_dim"]
        self.nh, self.nkv = c["num_attention_heads"], c["num_key_value_heads"]
        self.q_proj = nn.Linear(dim, self.nh * self.hd, bias=False)
        self.k_proj = nn.Linear(dim, self.nkv * self.hd, bias=False)
        self.v_proj = nn.Linear(dim, self.nkv * self.hd, bias=False)
        self.o_proj = nn.Linear(self.nh * self.hd, dim, bias=False)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        def heads(y, n):
            return y.view(b, t, n, self.hd).transpose(1, 2)
        def rope(y):        # half-split pairs (i, i + hd/2)
            lo, hi = y.chunk(2, -1)
            return y * cos + torch.cat((-hi, lo), -1) * sin
        q, k = rope(heads(self.q_proj(x), self.nh)), rope(heads(self.k_proj(x), self.nkv))
        v, g = heads(self.v_proj(x), self.nkv), self.nh // self.nkv
        k, v = k.repeat_interleave(g, 1), v.repeat_interleave(g, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, -1))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        dim, hidden = c["hidden_size"], c["intermediate_size"]
        self.gate_proj = nn.Linear(dim, hidden, bias=False)
        self.up_proj = nn.Linear(dim, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        g = self.gate_proj(x)
        return self.down_proj(F.relu(g) * self.up_proj(x)), g


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = Norm(c["hidden_size"], c["rms_norm_eps"])
        self.self_attn = Attention(c)
        self.post_attention_layernorm = Norm(c["hidden_size"], c["rms_norm_eps"])
        self.mlp = MLP(c)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        y, g = self.mlp(self.post_attention_layernorm(x))
        return x + y, g


class Llama(nn.Module):
    """ids [B, T] -> logits [B, T, V] and the gate values of each layer [B, T, hidden]."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.model.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.model.norm = Norm(c["hidden_size"], c["rms_norm_eps"])
        hd = c["head_dim"]
        freq = c["rope_theta"] ** (-torch.arange(0, hd, 2).double() / hd)
        angle = torch.arange(c["max_position_embeddings"]).double()[:, None] * freq
        self.rope = torch.cat((angle, angle), -1).cos().float(), \
            torch.cat((angle, angle), -1).sin().float()
        for name, p in self.named_parameters():
            if p.dim() == 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                # What a block adds at first stays small beside the embedding.
                nn.init.normal_(p, std=0.004 if last else 0.05)
        self.induction()

    @torch.no_grad()
    def induction(self):
        """Begins with the look-up "… A B … A → B" in place (induction heads; Elhage et al. 2021,
        A Mathematical Framework for Transformer Circuits), which gradients find only after many more
        tokens than are spent here. All of it is trained like the rest.

        Layer 0, kv head 0: one embedding dimension is the same for all tokens; from it keys get a
        constant and query heads the same turned by d = 1, 2, 3 positions, so that they look d
        tokens back; they write a projection of what is there into directions of their own.
        Layer 1, kv head 0: keys read those directions, queries the same projection of the token
        itself, and what is found is added to the stream as the head's own embedding."""
        c, hd = self.c, self.c["head_dim"]
        first, second = self.model.layers[0].self_attn, self.model.layers[1].self_attn
        bias, sharp, loud, gain = 0.25, 2.0, 0.3, 0.05
        emb = self.model.embed_tokens.weight
        emb[:, 0] = bias
        rms = emb.square().mean().sqrt().item()
        x0, unit = bias / rms, 0.05 / rms
        amp = math.sqrt(8 * math.sqrt(hd)) / x0     # a logit of 8 from each of four frequencies
        def heads(w, n):
            return w.view(n, hd, -1)
        basis = torch.linalg.qr(torch.randn(c["hidden_size"] - 1, 5 * hd))[0].T
        look = torch.zeros(5, hd, c["hidden_size"])         # five sets of orthonormal directions
        look[:, :, 1:] = basis.view(5, hd, -1)
        what, copied, wrote = look[0], look[1], look[2:]
        slow = torch.arange(hd // 2) >= 6            # pairs that turn little over a document
        what = what * torch.cat((slow, slow))[:, None]
        q, k = heads(first.q_proj.weight, c["num_attention_heads"]), heads(first.k_proj.weight, 2)
        k[0], q[:3] = 0, 0
        for i in range(4):
            turn = c["rope_theta"] ** (-2 * i / hd)
            k[0, i, 0] = amp
            for d in (1, 2, 3):
                q[d - 1, i, 0] = amp * math.cos(d * turn)
                q[d - 1, i + hd // 2, 0] = -amp * math.sin(d * turn)
        heads(first.v_proj.weight, 2)[0] = what / unit
        q, k = heads(second.q_proj.weight, c["num_attention_heads"]), heads(second.k_proj.weight, 2)
        for d in range(3):
            first.o_proj.weight[:, d * hd:(d + 1) * hd] = gain * wrote[d].T
            q[d] = sharp * what
        k[0] = sharp * wrote[0]
        heads(second.v_proj.weight, 2)[0] = copied
        second.o_proj.weight[:, :hd] = loud * copied.T
        for d in (1, 2):
            second.o_proj.weight[:, d * hd:(d + 1) * hd] *= 0.1

    def forward(self, ids):
        x = self.model.embed_tokens(ids)
        low = torch.bfloat16 if torch.is_autocast_enabled("cpu") else x.dtype
        cos, sin = (r[:ids.shape[1]].to(low) for r in self.rope)
        gates = []
        for layer in self.model.layers:
            x, g = layer(x, cos, sin)
            gates.append(g)
        return F.linear(self.model.norm(x), self.model.embed_tokens.weight), gates


def pieces(path):
    """The documents of a text: split at the separator, stripped, empty ones dropped."""
    return [p for p in (p.strip() for p in Path(path).read_text().split(SEP)) if p]


def train_tokenizer(texts, vocab):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator((t.replace(MARK, "") for t in texts), trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=["<s>", "</s>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    return tok


def save_folder(out, model, tok):
    out.mkdir(parents=True, exist_ok=True)
    tensors = {k: p.detach().half().contiguous() for k, p in model.named_parameters()}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    tok.save(str(out / "tokenizer.json"))
    for name, what in (("config.json", model.c),
                       ("generation_config.json", {"bos_token_id": BOS, "eos_token_id": EOS}),
                       ("tokenizer_config.json", {
                           "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>",
                           "eos_token": "</s>", "add_bos_token": False, "add_eos_token": False,
                           "clean_up_tokenization_spaces": False, "model_max_length": 512})):
        (out / name).write_text(json.dumps(what, indent=2) + "\n")


def load_folder(path):
    """The model of a folder in float32, and its tokenizer."""
    path = Path(path)
    model = Llama(json.loads((path / "config.json").read_text()))
    model.load_state_dict({k: v.float() for k, v in load_file(path / "model.safetensors").items()})
    return model.eval(), Tokenizer.from_file(str(path / "tokenizer.json"))


def encode(tok, texts):
    """Of each document the ids with BOS and EOS, and which of them belong to a marked answer."""
    out, cut = [], CONFIG["max_position_embeddings"]
    for text, enc in zip(texts, tok.encode_batch([t.replace(MARK, "") for t in texts])):
        inside = np.zeros(len(text) + 1, bool)
        at = 0
        for i, part in enumerate(text.split(MARK)):
            inside[at:at + len(part)], at = i % 2, at + len(part)
        ids = np.array([BOS, *enc.ids, EOS], np.int16)[:cut]
        answer = np.array([False, *(inside[e - 1] for _, e in enc.offsets), False])[:cut]
        out.append((ids, answer))
    return out


def batches(docs, tokens, rng):
    """One epoch of [rows, T] batches, a row one document, and the kind of each target: 0 padding,
    1 text, 2 answer. Documents of like length go together; the order of documents and of batches
    is random. Padding is EOS."""
    order = rng.permutation(len(docs))
    for at in range(0, len(order), 4096):
        chunk = sorted(order[at:at + 4096], key=lambda i: (len(docs[i][0]), i))
        groups, group = [], []
        for i in chunk:
            if group and (len(group) + 1) * len(docs[i][0]) > tokens:
                groups.append(group)
                group = []
            group.append(i)
        groups.append(group)
        for k in rng.permutation(len(groups)):
            rows = [docs[i] for i in groups[k]]
            width = max(len(x) for x, _ in rows)
            ids = np.full((len(rows), width), EOS, np.int64)
            kind = np.zeros((len(rows), width), np.int64)
            for i, (x, answer) in enumerate(rows):
                ids[i, :len(x)], kind[i, :len(x)] = x, 1 + answer
            yield torch.from_numpy(ids), torch.from_numpy(kind[:, 1:])


@torch.no_grad()
def quick_eval(model, docs):
    """Mean NLL per token and active fraction by layer, a few documents."""
    nll, n, act, m = 0.0, 0, 0, 0
    for d, _ in docs:
        ids = torch.tensor(d[:512], dtype=torch.long)[None]
        logits, gates = model(ids)
        nll += F.cross_entropy(logits[0, :-1].float(), ids[0, 1:], reduction="sum").item()
        act += torch.stack([(g > 0).float().mean(2).sum() for g in gates])
        n, m = n + ids.shape[1] - 1, m + ids.shape[1]
    return nll / n, act / m


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    here = Path(__file__).parent
    ap.add_argument("--train", type=Path, required=True, help="training text of make_text.py")
    ap.add_argument("--watch", type=Path, default=here / "calib.txt",
                    help="text for the figures in the log")
    ap.add_argument("--out", type=Path, default=here / "tiny", help="folder to write")
    ap.add_argument("--steps", type=int, default=4000, help="optimizer steps (default %(default)s)")
    ap.add_argument("--tokens", type=int, default=1536, help="tokens a step (default %(default)s)")
    ap.add_argument("--lr", type=float, default=2e-3, help="peak rate (default %(default)s)")
    ap.add_argument("--start", type=Path, help="go on from the model of this folder")
    ap.add_argument("--answer-weight", type=float, default=6,
                    help="weight of an answer's tokens in the loss (default %(default)s)")
    ap.add_argument("--density", type=float, default=0.2,
                    help="wanted fraction of active gates (default %(default)s)")
    ap.add_argument("--seed", type=int, default=1, help="default %(default)s")
    ap.add_argument("--threads", type=int, default=2, help="default %(default)s")
    ap.add_argument("--save-every", type=int, default=300, help="steps (default %(default)s)")
    a = ap.parse_args()

    torch.set_num_threads(a.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(a.seed)
    rng = np.random.default_rng(a.seed)

    texts = pieces(a.train)
    if a.start:
        model, tok = load_folder(a.start)
        model.train()
    else:
        model, tok = Llama(CONFIG), train_tokenizer(texts[:20000], CONFIG["vocab_size"])
    docs, watch = encode(tok, texts), encode(tok, pieces(a.watch)[:40])
    n_tok = sum(len(x) for x, _ in docs)
    print(f"{len(docs)} documents, {n_tok} tokens, {sum(map(len, texts)) / n_tok:.2f} bytes/token, "
          f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)

    mats = [p for p in model.parameters() if p.dim() == 2]
    opt = torch.optim.AdamW([{"params": mats, "weight_decay": 0.1},
                             {"params": [p for p in model.parameters() if p.dim() != 2],
                              "weight_decay": 0.0}], lr=a.lr, betas=(0.9, 0.98), fused=True)
    # Documents that are mostly answers alone, then all, then the penalty: look-up comes first.
    warm, easy_until, sparse_from = 200, 0 if a.start else a.steps // 10, a.steps // 3
    easy = [d for d in docs if d[1].mean() > 0.125]
    lam = torch.zeros(len(model.model.layers))      # the penalty's weight, by layer
    start, step, mean, seen, right = time.time(), 0, 0.0, 0, 0.0
    while step < a.steps:
        for ids, kind in batches(easy if step < easy_until else docs, a.tokens, rng):
            lr = a.lr * min((step + 1) / warm, 0.02 + 0.49 * (1 + math.cos(math.pi * step / a.steps)))
            for g in opt.param_groups:
                g["lr"] = lr
            with torch.autocast("cpu", torch.bfloat16):
                logits, gates = model(ids)
            scored, weight = kind > 0, torch.where(kind > 1, a.answer_weight, 1.0)
            each = F.cross_entropy(logits[:, :-1][scored].float(), ids[:, 1:][scored],
                                   reduction="none")
            loss = (each * weight[scored]).sum() / weight[scored].sum()
            if step % 10 == 0:
                got = logits.detach()[:, :-1].argmax(-1) == ids[:, 1:]
                right = 0.9 * right + 0.1 * got[kind > 1].float().mean().item()
            nll = each.detach().mean()
            if step >= sparse_from:
                # Mean positive gate over the layer's root mean square: blind to the scale of the
                # weights, so it can only be lowered by switching gates off. The controller moves
                # each layer's weight by the density it sees; the target falls from 0.5.
                goal = max(a.density, 0.5 - (step - sparse_from) / (0.6 * a.steps))
                for i, g in enumerate(gates):
                    dense = torch.count_nonzero(g.detach() > 0).item() / g.numel()
                    lam[i] = (lam[i] + 2e-3 * (dense - goal)).clamp(0, 1)
                    r = F.relu(g).mean(dtype=torch.float32) / g.square().mean(
                        dtype=torch.float32).add(1e-6).sqrt()
                    loss = loss + lam[i].item() * r
            opt.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            step, seen = step + 1, seen + ids.numel()
            mean = nll.item() if step == 1 else 0.98 * mean + 0.02 * nll.item()
            if step % 50 == 0 or step == a.steps:
                spent = time.time() - start
                print(f"step {step} nll {mean:.4f} answers {right:.3f} lr {lr:.2e} "
                      f"tok/s {seen / spent:.0f} t {spent:.0f}", flush=True)
            if step % a.save_every == 0 or step == a.steps:
                held, act = quick_eval(model, watch)
                print(f"step {step} watch nll {held:.4f} active {[round(x, 3) for x in act.tolist()]}"
                      f" penalty {[round(x, 4) for x in lam.tolist()]}", flush=True)
                save_folder(a.out, model, tok)
            if step in (easy_until, a.steps):
                break


if __name__ == "__main__":
    main()
