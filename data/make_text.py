#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes English text about a small made-up world, and tasks about it.

A document is a handful of *skills* (who is where, who owns what, which key opens which door, sums,
causes, kin, ...) rendered in a *genre* (story, questions, dialogue, list, letter, journal, guide).
A skill states its facts and knows the questions that they answer; each answer follows from facts
earlier in the same document, or from the few rules of the world that never change (a dog barks,
a baker bakes bread, Tuesday follows Monday).

Invariant: document i of a split depends on (split, seed, i) alone, and no held-out document or
task shares a run of SHINGLE words with the training text: documents of the training split that do
are dropped, and the result is asserted.
"""
import argparse
import json
import random
import re
from pathlib import Path
from typing import NamedTuple

SHINGLE = 20        # words; a shorter run is often a fixed phrase of the world
SEP = "<|endoftext|>"
MARK = "\x01"       # in the training text, around an answer: its loss weighs more there

FEMALE = """Anna Bella Clara Dora Emma Flora Greta Hanna Ida Julia Kate Lena Mara Nora Olga Petra
Rosa Sara Tilda Vera""".split()
MALE = """Adam Ben Carl David Erik Felix Georg Hugo Ivan Jack Karl Leo Max Nils Otto Paul Ralf Sam
Tom Victor""".split()
PLACES = """barn mill bakery library harbour garden forest bridge market school tower river cave
chapel farm inn cellar attic field lake hill shop station forge stable square""".split()
HOLDERS = "box basket drawer chest bag jar cupboard bucket barrel trunk".split()
THINGS = """lamp rope map book coin ring bell drum hat knife cup kite ball clock mirror hammer
ladder spoon blanket flute brush feather wheel pot net comb doll glove scarf whistle needle pen
boot plate broom shovel saw mask crown lantern""".split()
COLOURS = "red blue green yellow black white brown grey purple pink".split()
COUNTED = """apples pears plums eggs nuts coins shells stones buttons candles beans carrots cakes
flowers nails tickets""".split()
FOODS = """bread soup cheese honey rice cake milk tea porridge pie fish salad jam butter
juice noodles""".split()
NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen twenty""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
TRAITS = [("tall", "taller", "tallest", "shortest"), ("old", "older", "oldest", "youngest"),
          ("fast", "faster", "fastest", "slowest"), ("strong", "stronger", "strongest", "weakest")]
ANIMALS = {"dog": ("barks", "bones", "kennel"), "cat": ("purrs", "mice", "basket"),
           "cow": ("moos", "grass", "stable"), "hen": ("clucks", "grain", "coop"),
           "horse": ("neighs", "oats", "stable"), "pig": ("grunts", "roots", "sty"),
           "duck": ("quacks", "weeds", "pond"), "owl": ("hoots", "mice", "tree"),
           "sheep": ("bleats", "grass", "fold"), "frog": ("croaks", "flies", "pond"),
           "bee": ("buzzes", "nectar", "hive"), "wolf": ("howls", "meat", "den")}
JOBS = {"baker": ("bakes the bread", "bakery"), "miller": ("grinds the grain", "mill"),
        "smith": ("shoes the horses", "forge"), "teacher": ("teaches the children", "school"),
        "fisher": ("mends the nets", "harbour"), "farmer": ("ploughs the land", "farm"),
        "gardener": ("waters the roses", "garden"), "priest": ("rings the bells", "chapel"),
        "cook": ("stirs the soup", "inn"), "merchant": ("sells the cloth", "market"),
        "forester": ("fells the trees", "forest"), "groom": ("brushes the horses", "stable")}
CAUSES = [("It rained on the {} all night", "wet"), ("The sun shone on the {} all day", "warm"),
          ("Snow fell on the {} all night", "white"), ("Fog lay over the {} all morning", "grey"),
          ("A fire burned by the {} all day", "black"), ("Dust blew over the {} all year", "dusty"),
          ("Children sang by the {} all day", "loud"), ("The lamps by the {} went out", "dark")]
CHORES = """sweep the floor|feed the hens|fetch the water|chop the wood|wash the plates|light the fire
bake a cake|mend the roof|milk the cow|paint the fence|write a letter|clean the windows
carry the sacks|close the gate|water the plants|cook the soup""".replace("\n", "|").split("|")
SIGNS = """the bell rings|the rooster crows|the rain begins|the sun sets|the snow melts|the moon rises
the wind turns|the guests arrive|the clock strikes|the baby cries""".replace("\n", "|").split("|")
RECIPES = {"bread": ("flour", "yeast"), "soup": ("carrots", "onions"), "cake": ("eggs", "sugar"),
           "jam": ("plums", "honey"), "salad": ("leaves", "oil"), "pie": ("apples", "butter"),
           "porridge": ("oats", "milk"), "noodles": ("wheat", "salt")}
GUIDES = {"bake bread": ["mix the flour and the water", "add the yeast", "knead the dough",
                         "let it rise", "put it in the oven"],
          "make tea": ["fill the kettle", "heat the water", "put the leaves in the pot",
                       "pour the water", "wait a little"],
          "plant a tree": ["dig a hole", "set the young tree in it", "fill the hole with earth",
                           "press the earth down", "give it water"],
          "catch a fish": ["tie a hook to the line", "put a worm on the hook",
                           "throw the line into the river", "sit still", "pull when the line moves"],
          "light a fire": ["gather dry wood", "lay the small sticks first", "strike a match",
                           "hold it to the sticks", "add the big logs"],
          "wash a coat": ["fill the tub", "add the soap", "rub the cloth", "rinse it twice",
                          "hang it in the sun"],
          "shoe a horse": ["heat the iron", "bend it on the anvil", "lift the hoof",
                           "try the shoe", "drive in the nails"],
          "send a letter": ["take a sheet of paper", "write the words", "fold the sheet",
                            "write the name on it", "give it to the rider"]}
FILLERS = """The day was long and quiet.|A cold wind came over the hills.|Nobody said a word.
Birds sang in the old trees.|It was a good time for work.|The smell of fresh bread was in the air.
Everyone was a little tired.|The clouds were low and heavy.|The children laughed.
Somewhere a door fell shut.|The road was empty.|All the neighbours talked about it.
The church clock struck the hour.|There was much to do.""".replace("\n", "|").split("|")


class Q(NamedTuple):
    """A question: "stem ans." is the true sentence, `wrong` are other words of the same facts."""
    ask: str
    stem: str
    ans: str
    wrong: list


class World:
    """What one document may use: a small cast, and pools drawn from without replacement."""

    def __init__(self, r, cast=5):
        self.r = r
        self.cast = r.sample(FEMALE + MALE, cast)
        self.pools = {id(p): r.sample(p, len(p)) for p in (PLACES, HOLDERS, THINGS)}

    def people(self, n):
        return self.r.sample(self.cast, n)

    def draw(self, pool, n):
        left = self.pools[id(pool)]
        out, left[:n] = left[:n], []
        return out


def but(items, *gone):
    return [x for x in dict.fromkeys(items) if x not in gone]


def she(name):
    return "she" if name in FEMALE else "he"


# Each skill takes (world, rng, number of parties) and returns (facts in order, questions).

def where_person(w, r, n):
    who, at = w.people(n), w.draw(PLACES, n + 1)
    verb = r.choice(["is at the", "went to the", "walked to the"])
    facts, now = [f"{p} {verb} {a}." for p, a in zip(who, at)], dict(zip(who, at))
    if r.random() < 0.6:
        p = r.choice(who)
        facts.append(f"Then {p} left the {now[p]} and went to the {at[n]}.")
        now[p] = at[n]
    seen = list(now.values()) + at[:n]
    return facts, [Q(f"Where is {p}?", f"{p} is now at the", now[p], but(seen, now[p])) for p in who
                   ] + [Q(f"Who is at the {a}?", f"The one at the {a} is", p, but(who, p))
                        for p, a in now.items()]


def where_thing(w, r, n):
    who, at, things = w.people(n), w.draw(PLACES, n), w.draw(THINGS, n)
    facts = []
    for p, a, t in zip(who, at, things):
        facts += [f"{p} took the {t}.", f"{p} carried it to the {a} and left it there."
                  ] if r.random() < 0.5 else [f"{p} left the {t} at the {a}."]
    return facts, [Q(f"Where is the {t}?", f"The {t} is at the", a, but(at, a))
                   for t, a in zip(things, at)
                   ] + [Q(f"Who left the {t} at the {a}?", f"The {t} was left at the {a} by", p,
                          but(who, p)) for p, t, a in zip(who, things, at)]


def owns(w, r, n):
    who, things, col = w.people(n), w.draw(THINGS, n), r.sample(COLOURS, n)
    verb = r.choice(["owns a", "has a", "bought a"])
    facts = [f"{p} {verb} {c} {t}." for p, c, t in zip(who, col, things)]
    qs = []
    for p, c, t in zip(who, col, things):
        qs += [Q(f"Whose is the {t}?", f"The {c} {t} belongs to", p, but(who, p)),
               Q(f"What colour is the {t}?", f"The colour of the {t} is", c, but(col, c)),
               Q(f"What belongs to {p}?", f"The thing that belongs to {p} is the {c}", t,
                 but(things, t))]
    return facts, qs


def keys(w, r, n):
    who, col, at = w.people(n), r.sample(COLOURS, n), w.draw(PLACES, n)
    doors = list(zip(at, col))
    keyed = r.sample(list(zip(who, col)), n)
    facts = [f"The {a} has a {c} door." for a, c in doors] + [
        f"{p} holds the {c} key." for p, c in keyed]
    holder, door = {c: p for p, c in keyed}, {c: a for a, c in doors}
    easy, hard = "The {1} door of the {0} can be opened by", "The one who can open the {0} is"
    return facts, [Q(f"Who can open the {a}?", r.choice([easy, hard]).format(a, c), holder[c],
                     but(who, holder[c])) for a, c in doors] + [Q(f"Which door can {p} open?", f"With the {c} key {p} opens the door of the",
                          door[c], but(at, door[c])) for p, c in keyed]


def count(w, r, n):
    (p, o), k = w.people(2), r.choice(COUNTED)
    a, facts = r.randint(2, 9), []
    b = r.randint(1, a - 1) if r.random() < 0.5 else r.randint(1, 9)
    facts.append(f"{p} had {NUMBERS[a]} {k}.")
    if b < a and r.random() < 0.6:
        facts.append(f"{p} gave {NUMBERS[b]} of them to {o}.")
        c = a - b
    else:
        facts.append(f"{o} gave {NUMBERS[b]} more to {p}.")
        c = a + b
    near = [c - 1, c + 1] if c > 1 else [c + 1, c + 2]
    wrong = but([NUMBERS[x] for x in (a, b, *near)], NUMBERS[c])
    return facts, [Q(f"How many {k} does {p} have now?",
                     f"Now the number of {k} that {p} has is", NUMBERS[c], wrong)]


def price(w, r, n):
    things, cost = w.draw(THINGS, n), r.sample(range(2, 10), n)
    p = w.people(1)[0]
    facts = [f"A {t} costs {NUMBERS[c]} coins." for t, c in zip(things, cost)]
    i, extra = r.randrange(n), r.randint(1, 9)
    facts.append(f"{p} has {NUMBERS[cost[i] + extra]} coins and buys the {things[i]}.")
    words = [NUMBERS[c] for c in cost]
    return facts, [Q(f"How much is the {t}?", f"The price of the {t} in coins is", NUMBERS[c],
                     but(words, NUMBERS[c])) for t, c in zip(things, cost)
                   ] + [Q(f"Which thing costs {NUMBERS[c]} coins?",
                          f"The thing that costs {NUMBERS[c]} coins is the", t, but(things, t))
                        for t, c in zip(things, cost)
                        ] + [Q(f"What does {p} carry home?", f"{p} carries home the", things[i],
                               but(things, things[i]))]


def compare(w, r, n):
    n = max(n, 3)
    who = w.people(n)
    adj, more, most, least = r.choice(TRAITS)
    facts = [f"{a} is {more} than {b}." for a, b in zip(who, who[1:])]
    return facts, [Q(f"Who is the {most}?", f"The {most} of them is", who[0], but(who, who[0])),
                   Q(f"Who is the {least}?", f"The {least} of them is", who[-1],
                     but(who, who[-1]))]


def family(w, r, n):
    who = w.people(4)
    a, b, c, d = who
    par = {True: "mother", False: "father"}
    facts = [f"{a} is the {par[a in FEMALE]} of {b}.", f"{b} is the {par[b in FEMALE]} of {c}.",
             f"{d} is the {'sister' if d in FEMALE else 'brother'} of {b}."]
    r.shuffle(facts)
    return facts, [Q(f"Who is the grand{par[a in FEMALE]} of {c}?",
                     f"The grand{par[a in FEMALE]} of {c} is", a, but(who, a, c)),
                   Q(f"Who is the {'aunt' if d in FEMALE else 'uncle'} of {c}?",
                     f"The {'aunt' if d in FEMALE else 'uncle'} of {c} is", d, but(who, d, c)),
                   Q(f"Who is the {par[b in FEMALE]} of {c}?", f"The {par[b in FEMALE]} of {c} is",
                     b, but(who, b, c))]


def likes(w, r, n):
    who, food = w.people(n), r.sample(FOODS, n)
    verb = r.choice(["likes", "loves", "always asks for"])
    facts = [f"{p} {verb} {f}." for p, f in zip(who, food)]
    return facts, [Q(f"What should we bring to {p}?", f"The best gift for {p} is some", f,
                     but(food, f)) for p, f in zip(who, food)
                   ] + [Q(f"Who wants the {f}?", f"On the table they laid some {f} for", p, but(who, p))
                        for p, f in zip(who, food)]


def jobs(w, r, n):
    who, job = w.people(n), r.sample(sorted(JOBS), n)
    facts = [f"{p} is the {j}." for p, j in zip(who, job)]
    qs = []
    for p, j in zip(who, job):
        does, at = JOBS[j]
        qs += [Q(f"Who {does}?", f"The one who {does} is", p, but(who, p)),
               Q(f"Where does {p} work?", f"In the morning {p} goes to work at the", at,
                 [JOBS[x][1] for x in job if x != j]),
               Q(f"What is the work of {p}?", f"By trade {p} is a", j, but(job, j))]
    return facts, qs


def pets(w, r, n):
    who, pet = w.people(n), r.sample(sorted(ANIMALS), n)
    facts = [f"{p} keeps a {x}." for p, x in zip(who, pet)]
    qs = []
    for p, x in zip(who, pet):
        qs += [Q(f"Whose animal {ANIMALS[x][0]}?", f"The animal that {ANIMALS[x][0]} belongs to", p,
                 but(who, p)),
               Q(f"Which animal does {p} have?", f"The animal of {p} is the", x, but(pet, x)),
               Q(f"What does the animal of {p} do?", f"Because it is a {x}, the animal of {p} often",
                 ANIMALS[x][0], [ANIMALS[y][0] for y in pet if y != x])]
    return facts, qs


def days(w, r, n):
    who, day, do = w.people(n), r.sample(DAYS, n), r.sample(CHORES, n)
    facts = [f"On {d} {p} will {c}." for d, p, c in zip(day, who, do)]
    qs = []
    for d, p, c in zip(day, who, do):
        yesterday = DAYS[(DAYS.index(d) + 6) % 7]
        qs += [Q(f"When will {p} {c}?", f"{p} will {c} on", d, but(day, d)),
               Q(f"What will happen on {d}?", f"Today is {yesterday}, so tomorrow {p} will", c,
                 but(do, c)),
               Q(f"Who will {c}?", f"The one who will {c} is", p, but(who, p))]
    return facts, qs


def compass(w, r, n):
    at = w.draw(PLACES, n)
    two = r.choice(["north", "south"]), r.choice(["east", "west"])   # never straight back
    way = [r.choice(two) for _ in at[1:]]
    back = {"north": "south", "south": "north", "east": "west", "west": "east"}
    steps = list(zip(at, way, at[1:]))
    facts = [f"The {b} lies {d} of the {a}." for a, d, b in steps]
    return facts, [Q(f"Where is the {a} from the {b}?", f"Seen from the {b}, the {a} lies to the",
                     back[d], but(back, back[d])) for a, d, b in steps
                   ] + [Q(f"What lies {d} of the {a}?", f"Who walks {d} from the {a} comes first to the",
                          b, but(at, a, b)) for a, d, b in steps]


def cause(w, r, n):
    at, why = w.draw(PLACES, n), r.sample(CAUSES, n)
    facts = [c.format(a) + "." for (c, _), a in zip(why, at)]
    return facts, [Q(f"Which place was {e}?", f"The place that was {e} was the", a, but(at, a))
                   for (_, e), a in zip(why, at)
                   ] + [Q(f"How was the {a}?", f"Because of this the {a} was", e,
                          [x for _, x in why if x != e]) for (_, e), a in zip(why, at)]


def chain(w, r, n):
    n = max(n, 3)
    who, (t,) = w.people(n), w.draw(THINGS, 1)
    facts = [f"{who[0]} found a {t}."]
    facts += [f"{a} gave the {t} to {b}." for a, b in zip(who, who[1:])]
    return facts, [Q(f"Who has the {t}?", f"In the end the {t} is with", who[-1],
                     but(who, who[-1])),
                   Q(f"Who found the {t}?", f"The one who found the {t} was", who[0],
                     but(who, who[0]))]


def hide(w, r, n):
    who, things, box = w.people(n), w.draw(THINGS, n), w.draw(HOLDERS, n)
    facts = [f"{p} hid the {t} in the {b}." for p, t, b in zip(who, things, box)]
    return facts, [Q(f"Where did they find the {t}?", f"They looked for the {t} and found it in the",
                     b, but(box, b)) for t, b in zip(things, box)
                   ] + [Q(f"Who hid the {t}?", f"The {t} had been hidden by", p, but(who, p))
                        for p, t in zip(who, things)
                        ] + [Q(f"What was in the {b}?", f"In the {b} there was the", t,
                               but(things, t)) for t, b in zip(things, box)]


def order(w, r, n):
    n = max(n, 3)
    who, rank = w.people(n), ["first", "second", "third", "fourth"]
    facts = [f"{who[0]} came first."] + [f"After {a} came {b}." for a, b in zip(who, who[1:])]
    return facts, [Q(f"Who was the {k} to come?", f"The {k} to come was", p, but(who, p))
                   for k, p in zip(rank, who)]


def paint(w, r, n):
    at, old = w.draw(PLACES, n), r.sample(COLOURS, n + 1)
    facts = [f"The gate of the {a} was {c}." for a, c in zip(at, old)]
    i, p = r.randrange(n), w.people(1)[0]
    facts.append(f"{p} painted the gate of the {at[i]} {old[n]}.")
    now = list(old[:n])
    now[i] = old[n]
    return facts, [Q(f"What colour is the gate of the {a} now?", f"The gate of the {a} is now", c,
                     but(old, c)) for a, c in zip(at, now)]


def rule(w, r, n):
    sign, do = r.sample(SIGNS, n), r.sample(CHORES, n)
    who = w.people(n)
    facts = [f"When {s}, {p} must {c}." for s, p, c in zip(sign, who, do)]
    i = r.randrange(n)
    facts.append(f"Now {sign[i]}.")
    return facts, [Q("Who must work now?", "So the one who must work is", who[i],
                     but(who, who[i])),
                   Q(f"What must {who[i]} do now?", f"So now {who[i]} must", do[i],
                     but(do, do[i]))]


def recipe(w, r, n):
    who, dish = w.people(n), r.sample(sorted(RECIPES), n)
    facts = [f"{p} has {RECIPES[d][0]} and {RECIPES[d][1]}." for p, d in zip(who, dish)]
    qs = []
    for p, d in zip(who, dish):
        qs += [Q(f"Who can make {d}?", f"The one who can make {d} is", p, but(who, p)),
               Q(f"What can {p} make?", f"With {RECIPES[d][0]} and {RECIPES[d][1]} {p} can make", d,
                 but(dish, d))]
    return facts, qs


def post(w, r, n):
    n = max(n, 3)
    who = w.people(n)
    facts = [f"{a} wrote a letter to {b}." for a, b in zip(who, who[1:] + who[:1])]
    r.shuffle(facts)
    return facts, [Q(f"Who got the letter of {a}?", f"The letter from {a} was read by", b,
                     but(who, a, b)) for a, b in zip(who, who[1:] + who[:1])]


# Skills of one family would contradict each other, so a document takes one of each at most.
SKILLS = [[where_person], [where_thing], [owns], [keys], [count], [price], [compare, order],
          [family], [likes], [jobs], [pets], [days], [compass], [cause], [chain], [hide], [paint],
          [rule], [recipe], [post]]


def scene(w, r, n_skills, n=None):
    """Facts of several skills, interleaved but each in its own order, and all questions."""
    lists, qs = [], []
    for fam in r.sample(SKILLS, n_skills):
        f, q = r.choice(fam)(w, r, n or r.choice([2, 3, 3, 4]))
        lists.append(f)
        qs.append(q)
    facts, at = [], [0] * len(lists)
    for i in r.sample(slots := [i for i, f in enumerate(lists) for _ in f], len(slots)):
        facts.append(lists[i][at[i]])
        at[i] += 1
    return facts, qs


def pick(r, qs, k):
    flat = [q for group in qs for q in group]
    return r.sample(flat, min(k, len(flat)))


def said(q, end="."):
    """The true sentence, its answer between marks; document() takes them out of held-out text."""
    return f"{q.stem} {MARK}{q.ans}{MARK}{end}"


def lower(s):
    return s[0].lower() + s[1:] if s.split()[0] in LOWER else s


LOWER = set("A The In So They With By Because Seen Who Now Today".split())


def story(r):
    w = World(r)
    facts, qs = scene(w, r, r.choice([1, 1, 2]))
    where, when = r.choice(PLACES), r.choice(["winter", "spring", "summer", "autumn"])
    head = r.choice([f"One day in {when}, {w.cast[0]} and {w.cast[1]} met near the {where}.",
                     f"It was {when} and the village was busy.", f"Listen to the tale of {w.cast[0]}.",
                     f"Once there lived {w.cast[0]}, {w.cast[1]} and their friends."])
    body = list(facts)
    for _ in range(r.choice([0, 1, 1])):
        body.insert(r.randint(0, len(body)), r.choice(FILLERS))
    ends = [said(q) for q in pick(r, qs, r.choice([4, 6, 8]))]
    return " ".join([head, *body]) + "\n" + " ".join(ends)


def questions(r):
    facts, qs = scene(World(r), r, r.choice([1, 2, 2]))
    out = [" ".join(facts)]
    for q in pick(r, qs, r.choice([5, 7, 9, 12])):
        out.append(f"Question: {q.ask}\nAnswer: {said(q)}")
    return "\n".join(out)


def plain(r):
    facts, qs = scene(World(r), r, r.choice([1, 1, 2]))
    return " ".join(facts + [said(q) for q in pick(r, qs, r.choice([4, 6, 8, 10]))])


def dialogue(r):
    w = World(r)
    facts, qs = scene(w, r, r.choice([1, 2]))
    a, b = r.sample(FEMALE + MALE, 2)
    out = [" ".join(facts), f"{a} and {b} talked about it."]
    for q in pick(r, qs, r.choice([4, 6])):
        out.append(f'"{q.ask}" asked {a}.\n"{said(q, ",")}" said {b}.')
        if r.random() < 0.3:
            a, b = b, a
    out.append(r.choice(['"Thank you," said {}.', '"That is true," said {}.', "Then {} went home."])
               .format(a))
    return "\n".join(out)


def notes(r):
    facts, qs = scene(World(r), r, r.choice([1, 2, 2]))
    ends = ["- " + said(q) for q in pick(r, qs, r.choice([4, 6, 8]))]
    return "\n".join([r.choice(["Notes of the day:", "What we know:", "List of facts:"]),
                      *("- " + f for f in facts), "What follows:", *ends])


def letter(r):
    w = World(r)
    facts, qs = scene(w, r, r.choice([1, 2]))
    a, b = r.sample(FEMALE + MALE, 2)
    ends = ["As you see, " + lower(said(q)) for q in pick(r, qs, r.choice([3, 5, 7]))]
    return (f"Dear {a},\nhere is the news from the {r.choice(PLACES)}. {' '.join(facts)}\n"
            f"{' '.join(ends)}\n{r.choice(['Your friend', 'With love', 'Yours'])}, {b}")


def retold(r):
    """The same facts twice, in another order the second time."""
    facts, qs = scene(World(r), r, r.choice([1, 1, 2]))
    again = r.sample(facts, len(facts))
    a, b = r.sample(FEMALE + MALE, 2)
    ends = [said(q) for q in pick(r, qs, r.choice([2, 4, 6]))]
    how = r.randrange(3)
    if how == 0:
        return " ".join([*facts, r.choice(["Once more:", "Again:", "I repeat:"]), *again, *ends])
    if how == 1:
        return "\n".join([" ".join(facts), f'"Is all that true?" asked {a}.',
                          *(f'"Yes. {f}"' for f in again), *ends])
    return "\n".join([" ".join(facts), f"{a} told it to {b}:", " ".join(again), *ends])


def recital(r):
    """Pairs of a name and a word, then the pairs again in another order: nothing but look-up."""
    n = r.choice([2, 3, 4, 5, 6, 8])
    words = r.sample(THINGS + COLOURS + PLACES + FOODS, n)
    names, flip, mid = r.sample(FEMALE + MALE, n), r.random() < 0.4, r.choice(["", " and", " with"])
    pairs = list(zip(names, words))
    told = [f"{w}{mid} {p}" if flip else f"{p}{mid} {w}" for p, w in pairs]
    again = [f"{p}{mid} {MARK}{w}{MARK}" for p, w in r.sample(pairs, n)]
    return f"{', '.join(told)}. {', '.join(again)}."


def journal(r):
    """A long document: one cast over several days, each day with skills of its own families."""
    w, first, n = World(r), r.randrange(7), r.choice([3, 4, 5])
    fams, out = r.sample([f for f in SKILLS if f != [days]], n), []
    for i, fam in enumerate(fams):
        facts, qs = r.choice(fam)(w, r, r.choice([2, 3]))
        ends = [said(q) for q in pick(r, [qs], r.choice([1, 2]))]
        out.append(f"{DAYS[(first + i) % 7]}. {' '.join(facts)} {' '.join(ends)}")
    return f"Journal of {r.choice(w.cast)}\n" + "\n".join(out)


def guide(r):
    goal = r.choice(sorted(GUIDES))
    steps, p = GUIDES[goal], r.choice(FEMALE + MALE)
    if r.random() < 0.5:
        lines = [f"{i}. {s[0].upper()}{s[1:]}." for i, s in enumerate(steps, 1)]
        return "\n".join([f"How to {goal}", *lines, f"{p} did so, and all went well."])
    k = r.randrange(1, len(steps))
    return (f"{p} wants to {goal}. First {she(p)} must {steps[0]}. "
            + " ".join(f"Then {she(p)} must {s}." for s in steps[1:])
            + f" {p} has to {steps[k - 1]}. After that {p} has to {steps[k]}.")


def lore(r):
    """What is always so in this world: animals, trades, dishes, days, sums."""
    out = []
    for _ in range(r.choice([2, 3, 4])):
        kind = r.randrange(5)
        if kind == 0:
            x = r.choice(sorted(ANIMALS))
            s, f, h = ANIMALS[x]
            out.append(f"The {x} {s}. The {x} eats {f}. The home of the {x} is the {h}.")
        elif kind == 1:
            j = r.choice(sorted(JOBS))
            out.append(f"The {j} {JOBS[j][0]}. The {j} works at the {JOBS[j][1]}.")
        elif kind == 2:
            d = r.choice(sorted(RECIPES))
            out.append(f"To make {d} you need {RECIPES[d][0]} and {RECIPES[d][1]}.")
        elif kind == 3:
            d = r.randrange(7)
            out.append(f"After {DAYS[d]} comes {DAYS[(d + 1) % 7]}.")
        else:
            a, b = r.randint(1, 9), r.randint(1, 9)
            out.append(f"{NUMBERS[a].capitalize()} and {NUMBERS[b]} make {NUMBERS[a + b]}."
                       if r.random() < 0.5 else
                       f"{NUMBERS[a + b].capitalize()} less {NUMBERS[b]} is {NUMBERS[a]}.")
    a = r.randint(0, 12)
    if r.random() < 0.3:
        seq = NUMBERS[a:a + r.randint(4, 8)]
        seq = seq[::-1] if r.random() < 0.5 else seq
        out.append(f"Count from {seq[0]} to {seq[-1]}: {', '.join(seq)}.")
    return " ".join(out)


GENRES = [(story, 18), (questions, 20), (plain, 24), (dialogue, 12), (notes, 8), (letter, 8),
          (retold, 18), (recital, 16), (journal, 5), (guide, 2), (lore, 3)]


def document(split, seed, i):
    r = random.Random(f"{split}-{seed}-{i}")
    text = r.choices([g for g, _ in GENRES], [k for _, k in GENRES])[0](r)
    return text if split == "train" else text.replace(MARK, "")


def tasks(seed, n):
    """Multiple choice, skills in turn: the facts of one or two skills and a stem; the other words
    of the same facts are the distractors. The gold place goes round, so it tells nothing."""
    out, fams = [], [s for fam in SKILLS for s in fam]
    for i in range(n):
        r = random.Random(f"tasks-{seed}-{i}")
        w, skill = World(r), fams[i % len(fams)]
        facts, qs = skill(w, r, 4)
        q = r.choice(qs)
        if r.random() < 0.5 or len((" ".join(facts) + q.stem).split()) < SHINGLE + 2:
            other = r.choice([s for fam in SKILLS if skill not in fam for s in fam])
            more, _ = other(w, r, 2)
            facts = more + facts if r.random() < 0.5 else facts + more
        wrong = r.sample(q.wrong, min(3, len(q.wrong)))
        gold = (i // len(fams)) % (len(wrong) + 1)
        choices = wrong[:gold] + [q.ans] + wrong[gold:]
        out.append({"query": " ".join(facts + [q.stem]), "choices": [c + "." for c in choices],
                    "gold": gold})
    return out


def shingles(text):
    words = re.findall(r"[A-Za-z]+", text)
    return {hash(tuple(words[i:i + SHINGLE])) for i in range(max(1, len(words) - SHINGLE + 1))}


def collect(split, seed, n_bytes, banned=frozenset()):
    """Documents of a split until n_bytes are reached; those that meet `banned` are dropped."""
    docs, size, i, dropped = [], 0, 0, 0
    while size < n_bytes:
        d = document(split, seed, i)
        i += 1
        if banned and not banned.isdisjoint(shingles(d)):
            dropped += 1
            continue
        docs.append(d)
        size += len(d) + len(SEP) + 2
    return docs, dropped


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument("--out", type=Path, default=Path(__file__).parent,
                    help="folder of sample.txt, calib.txt, tasks.jsonl (default: here)")
    ap.add_argument("--train", type=Path, help="also write the training text to this file")
    ap.add_argument("--train-mb", type=float, default=28, help="its size in MB (default 28)")
    ap.add_argument("--seed", type=int, default=1, help="of all splits (default 1)")
    ap.add_argument("--train-seed", type=int, help="of the training text (default: --seed)")
    ap.add_argument("--avoid", type=Path, help="an earlier training text: held-out documents that "
                    "meet it are dropped")
    ap.add_argument("--tasks", type=int, default=420, help="number of tasks (default 420)")
    a = ap.parse_args()

    earlier = {h for d in a.avoid.read_text().split(SEP) for h in shingles(d)} if a.avoid else set()
    held, _ = collect("valid", a.seed, 90_000, earlier)
    calib, _ = collect("calib", a.seed, 60_000)
    items = tasks(a.seed, a.tasks)
    assert earlier.isdisjoint(h for t in items for h in shingles(t["query"]))
    for name, docs in (("sample.txt", held), ("calib.txt", calib)):
        (a.out / name).write_text(f"\n{SEP}\n".join(docs) + "\n")
    (a.out / "tasks.jsonl").write_text("".join(json.dumps(t) + "\n" for t in items))
    print(f"sample {len(held)} documents, calib {len(calib)}, tasks {len(items)}")
    if not a.train:
        return
    # A fact text shorter than a shingle counts whole, so short documents are compared as documents.
    banned = set().union(*map(shingles, held), *(shingles(t["query"]) for t in items))
    train, dropped = collect("train", a.train_seed or a.seed, a.train_mb * 1e6, banned)
    whole = {d.replace(MARK, "") for d in train}
    assert not any(d in whole for d in held)
    bare = f"\n{SEP}\n".join(train).replace(MARK, "")
    text = f"\n{SEP}\n".join(train) + "\n"
    assert not any(t["query"] in bare for t in items)
    assert all(banned.isdisjoint(shingles(d)) for d in train)
    a.train.write_text(text)
    print(f"train {len(train)} documents, {len(text) / 1e6:.1f} MB, dropped {dropped} of them "
          f"that shared {SHINGLE} words with held-out text")


if __name__ == "__main__":
    main()
