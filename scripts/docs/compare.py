"""Compares the output of a program with the output that a page shows.

Values that differ from run to run match any value of their kind: numbers with a decimal point, times of day, digests, and the six random
characters of an id. `…` matches anything, and on a line of its own any number of lines. With `like`, every number may differ. With `some`,
the output may have further lines between those on the page.
"""

import re

# The match at the lowest position counts; at the same position the first rule wins.
LOOSE = [
    (re.compile(r"…|\.\.\.$"), r".*"),
    (re.compile(r"sha256:[0-9a-f]+"), r"sha256:[0-9a-f]+"),
    (re.compile(r"\b[0-9a-f]{64}\b"), r"[0-9a-f]{64}"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), r"\\d\\d:\\d\\d:\\d\\d"),
    (re.compile(r"\d+\.\d+(?:e-?\d+)?"), r"[\\d.]+(?:e-?\\d+)?"),
    (re.compile(r"\s{2,}"), r"\\s+"),
]
NUMBER = (re.compile(r"\d+"), r"\\d+(?:\\.\\d+)?")
IDENTIFIER = re.compile(r"\b([a-z0-9]+)-([a-z0-9]{6})\b")


def pattern(line, like):
    """A regular expression for a line of a page."""
    rules = LOOSE + ([NUMBER] if like else [])
    result, position = "", 0
    while position < len(line):
        hits = [(match.start(), order, match, loose) for order, (rule, loose) in enumerate(rules) if (match := rule.search(line, position))]
        if not hits:
            break
        start, _, match, loose = min(hits, key=lambda hit: hit[:2])
        result += re.escape(line[position:start]) + loose.replace("\\\\", "\\")
        position = match.end()
    return re.compile("^" + result + re.escape(line[position:]) + r"\s*$")


def compare(expected, said, words=()):
    """Describes the first difference; None if there is none."""
    like, some = "like" in words, "some" in words
    said = [line.rstrip() for line in said]
    while said and not said[-1]:
        said.pop()
    position, skipping = 0, some
    for line in expected:
        line = line.rstrip()
        if line == "…":
            skipping = True
            continue
        if not line and skipping:
            continue
        wanted = pattern(line, like)
        end = len(said) if skipping else min(position + 1, len(said))
        hit = next((index for index in range(position, end) if wanted.match(said[index])), None)
        if hit is None:
            return f"the page shows\n    {line}\nand the program printed\n    " + "\n    ".join(
                said[position : position + 8] or ["(nothing more)"]
            )
        position, skipping = hit + 1, some
    if position < len(said) and not skipping:
        return "the page does not show\n    " + "\n    ".join(said[position : position + 8])
    return None
