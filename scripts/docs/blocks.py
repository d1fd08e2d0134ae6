"""The fenced blocks of a Markdown page, each with the comment above it."""

import re
import subprocess
from dataclasses import dataclass, field

FENCE = re.compile(r"^(\s*)```(\S*)\s*$")
COMMENT = re.compile(r"^\s*<!-- check: (.*?)(?:\n(.*?))?\s*-->\s*$", re.DOTALL)


@dataclass
class Block:
    page: str
    line: int
    language: str
    text: str
    words: list = field(default_factory=list)
    """The words of the comment, such as `run fleet like`; empty without a comment."""
    setup: str = ""
    """The further lines of the comment: commands that run before the block, which readers do not see."""

    @property
    def place(self):
        return f"{self.page}:{self.line}"


@dataclass
class Command:
    line: int
    text: str
    output: list


def parse(page, text):
    lines = text.splitlines()
    blocks, number = [], 0
    while number < len(lines):
        fence = FENCE.match(lines[number])
        if not fence:
            number += 1
            continue
        indent, start = len(fence.group(1)), number
        number += 1
        body = []
        while number < len(lines) and lines[number].strip() != "```":
            body.append(lines[number][indent:] if not lines[number][:indent].strip() else lines[number])
            number += 1
        number += 1
        words, setup = directive(lines, start)
        blocks.append(Block(page, start + 1, fence.group(2), "\n".join(body), words, setup))
    return blocks


def directive(lines, fence):
    """The comment that ends right above a fence."""
    end = fence - 1
    if end < 0 or not lines[end].rstrip().endswith("-->"):
        return [], ""
    start = end
    while start > 0 and "<!--" not in lines[start]:
        start -= 1
    match = COMMENT.match("\n".join(lines[start : end + 1]))
    if not match:
        return [], ""
    return match.group(1).split(), match.group(2) or ""


def whole(text):
    """Whether the text is a complete command, so that bash would not wait for more lines."""
    return subprocess.run(["bash", "-n", "-c", text], capture_output=True).returncode == 0


def commands(block):
    """The commands of a block. `$ ` begins a command, which continues after a backslash or until a loop ends. Its output follows."""
    found, lines = [], block.text.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        if line.startswith("$ "):
            text = [line[2:]]
            while number + 1 < len(lines) and (text[-1].endswith("\\") or not whole("\n".join(text))):
                number += 1
                text.append(lines[number])
            found.append(Command(block.line + 1 + number, "\n".join(text), []))
        elif found:
            found[-1].output.append(line)
        number += 1
    return found
