# SPDX-License-Identifier: MIT
"""What the tests of tokenizers share: finding the right Python, random texts,
and comparing tok_dump with other tokenizers."""
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

N_TEXTS = 2000


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
            skip(f"this Python has no {name} (set M2C_PYTHON)")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def shared(*parts):
    path = os.path.join(os.environ["M2C_SHARED"], *parts)
    return path if os.path.exists(path) else None


def without_pcre2():
    with open(os.path.join(os.environ["M2C_BUILD"], "m2c_config.h"), encoding="ascii") as f:
        return "#define M2C_HAVE_PCRE2 0" in f.read()


class Tool:
    """tok_dump on one tokenizer."""

    def __init__(self, tool, path):
        self.tool, self.path = tool, path

    def run(self, what, *args):
        run = subprocess.run([self.tool, what, self.path, *args], capture_output=True,
                             text=True)
        assert run.returncode == 0, f"{what} {self.path}: {run.returncode} {run.stderr}"
        return run.stdout

    def info(self):
        kind, vocab, bos, eos = self.run("info").split()
        return kind, int(vocab), int(bos), int(eos)

    def texts(self, what, texts):
        with tempfile.NamedTemporaryFile() as f:
            for t in texts:
                data = t if isinstance(t, bytes) else t.encode()
                f.write(struct.pack("<I", len(data)) + data)
            f.flush()
            lines = self.run(what, f.name).split("\n")
        assert len(lines) == len(texts) + 1, f"{len(lines) - 1} lines, {len(texts)} texts"
        return lines[:-1]

    def encode(self, texts, what="encode"):
        return [[int(x) for x in line.split()] for line in self.texts(what, texts)]

    def decode(self, texts):
        return [bytes.fromhex(line) for line in self.texts("decode", texts)]

    def each(self):
        return [bytes.fromhex(line) for line in self.run("each").split("\n")[:-1]]

    def refused(self, *words):
        """Refused in one line that holds the words."""
        run = subprocess.run([self.tool, "info", self.path], capture_output=True, text=True,
                             errors="replace")
        said = run.stderr.rstrip("\n")
        assert run.returncode == 1 and "\n" not in said and self.path in said and \
            all(w in said for w in words), f"{self.path}: {run.returncode} {said} {words}"


def compare(name, texts, have, want):
    """Every text, or the first that differs."""
    bad = [i for i, (a, b) in enumerate(zip(have, want)) if a != b]
    if bad:
        i = min(bad, key=lambda i: len(texts[i]))
        raise AssertionError(f"{name}: {len(bad)} of {len(texts)} texts differ, such as "
                             f"{texts[i]!r}:\n  have {have[i]}\n  want {want[i]}")
    print(f"{name}: {len(texts)} texts, {sum(len(x) for x in want)} ids")


WORDS = ("the of and a to in is was he for it with as his on be at by I this had not are "
         "but from or have an they which one you were her all she there would their we him "
         "been has when who will more no if out so said what up its about into than them "
         "only other new some could time these two may then do first any my now such like "
         "don't can't we'll I'VE they're it's y'all 'tis O'Reilly HELLO WORLD foo_bar x86_64 "
         "http://a.b/c?d=1&e=2 user@example.org 3.14159 1,000,000 2024-01-31 0x7fff").split()
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\t", " \n", "\r\n", "\u00a0", "\u3000", "\u2003",
          "\u1680", "\u0085", "\u180e", "\u2028", "\v", "\f", "        ", " \t \n "]
EMOJI = ["😀", "🚀", "👨\u200d👩\u200d👧\u200d👦", "🇩🇪", "😶\u200d🌫️", "✅", "👍🏽", "❤️", "🦙"]
OTHER = ["e\u0301", "a\u0308\u0323", "\u0915\u094d\u0937", "ﬁ", "ﬃ", "ſ", "K", "ß", "İ", "ı",
         "½", "Ⅷ", "①", "²", "٣", "०", "〇", "一二三", "ﷺ", "\u200d", "\u200b", "\ufeff",
         "\u0000", "\u001f", "\u007f", "\ufffd", "▁", "▁▁", "Ġ", "<s>", "</s>", "<unk>",
         "<0x0A>", "<|endoftext|>", "\U0010ffff", "\ue000", "''", "``", "—", "…", "“”"]
SCRIPTS = [(0x20, 0x7e), (0xa1, 0xff), (0x100, 0x17f), (0x370, 0x3ff), (0x400, 0x4ff),
           (0x590, 0x5ff), (0x600, 0x6ff), (0x900, 0x97f), (0xe00, 0xe7f), (0x1100, 0x11ff),
           (0x1780, 0x17ff), (0x1e00, 0x1eff), (0x2000, 0x206f), (0x2100, 0x214f),
           (0x2190, 0x23ff), (0x3040, 0x30ff), (0x4e00, 0x9fff), (0xac00, 0xd7a3),
           (0xff00, 0xffef), (0x10300, 0x1034a), (0x1d400, 0x1d7ff), (0x20000, 0x2a6d6)]


def character(r, low, high):
    """One that was assigned long ago: libraries differ in their version of Unicode."""
    while True:
        c = chr(r.randint(low, high))
        if unicodedata.ucd_3_2_0.category(c) not in ("Cn", "Cs"):
            return c


def part(r):
    kind = r.randrange(12)
    if kind < 4:
        return r.choice(WORDS)
    if kind < 6:
        return r.choice(SPACES)
    if kind == 6:
        return r.choice(EMOJI)
    if kind == 7:
        return r.choice(OTHER)
    if kind == 8:
        return "".join(r.choice("0123456789") for _ in range(r.randint(1, 8)))
    if kind == 9:
        return "".join(r.choice("'\"!?.,;:-_=+*/\\()[]{}<>@#$%^&~`|") for _ in
                       range(r.randint(1, 6)))
    if kind == 10:
        return r.choice("aeiou ") * r.randint(2, 30)
    low, high = r.choice(SCRIPTS)
    return "".join(character(r, low, high) for _ in range(r.randint(1, 8)))


def random_texts(seed, n=N_TEXTS):
    """n texts of mixed scripts, spaces, digits, contractions and emoji."""
    r = random.Random(seed)
    out = ["", " ", "  ", "\n", "a", " a", "a ", " a "]
    while len(out) < n:
        parts = []
        for _ in range(r.randint(1, 25)):
            if parts and r.random() < 0.6:
                parts.append(" ")
            parts.append(part(r))
        out.append("".join(parts))
    return out


def random_bytes(seed, n=500):
    """Texts with damage: bytes that are no UTF-8 anywhere."""
    r = random.Random(seed)
    out = [b"\xff", b"\x80", b"\xe2\x96", b"a\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"]
    for text in random_texts(seed + 1, n):
        data = bytearray(text.encode())
        for _ in range(r.randint(1, 4)):
            at = r.randint(0, len(data))
            data[at:at + r.randint(0, 2)] = r.randbytes(r.randint(0, 3))
        out.append(bytes(data))
    return out


def real_text():
    """Pieces of the texts of ../shared, or none."""
    out = []
    for name in ("tinyshakespeare.txt", "wikitext2_test.tokens.txt"):
        path = shared("text", name)
        if path:
            with open(path, encoding="utf-8", newline="") as f:
                text = f.read()
            out += [text[i:i + 20000] for i in range(0, 200000, 20000)]
    return out
