"""Reads the fenced blocks of a Markdown document, and the commands and outputs of a console block."""

import re
import subprocess
from dataclasses import dataclass, field


@dataclass
class Line:
    """A line of a document, and its place as `FILE:LINE`."""

    place: str
    text: str


@dataclass
class Step:
    """A command of a console block, and the output that the block shows below it. It may be empty."""

    place: str
    command: str
    output: list[Line] = field(default_factory=list)


@dataclass
class Block:
    """A fenced block, without the indentation of its fence."""

    place: str
    language: str
    lines: list[Line]

    @property
    def text(self):
        return "".join(f"{line.text}\n" for line in self.lines)

    def steps(self):
        """Returns the commands of a console block in order.

        A command begins with `$ ` and goes on as long as bash needs more lines. All other lines are output.
        """
        steps = []
        for line in self.lines:
            if line.text.startswith("$ "):
                steps.append(Step(line.place, line.text[2:]))
            elif steps and not steps[-1].output and not is_complete(steps[-1].command):
                steps[-1].command += "\n" + line.text
            elif steps:
                steps[-1].output.append(line)
            else:
                raise ValueError(f"{line.place}: the block begins with output: {line.text}")
        return steps


def is_complete(command):
    if command.endswith("\\"):
        return False
    return "unexpected" not in subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True).stderr


@dataclass
class Section:
    """A heading and the fenced blocks between it and the next one."""

    heading: str
    place: str
    blocks: list[Block] = field(default_factory=list)


def sections(name, text):
    """Returns the sections of a document, in order. `name` is the name of the document in places."""
    found, fence = [Section("", f"{name}:1")], None
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{name}:{number}"
        if fence is None:
            if title := re.fullmatch(r"#+ (.*)", line):
                found.append(Section(title[1], place))
            elif opening := re.fullmatch(r"( *)```(\w*)", line):
                fence = opening[1]
                found[-1].blocks.append(Block(place, opening[2], []))
        elif line == f"{fence}```":
            fence = None
        else:
            found[-1].blocks[-1].lines.append(Line(place, line.removeprefix(fence)))
    if fence is not None:
        raise ValueError(f"{found[-1].blocks[-1].place}: the block has no end")
    return found


def spans(name, text):
    """Returns the inline code of a document outside of its blocks, as lines. A span can go over the end of a line."""
    kept, inside = [], False
    for line in text.splitlines():
        is_fence = line.lstrip().startswith("```")
        inside ^= is_fence
        kept.append("" if inside or is_fence else line)
    prose = "\n".join(kept)
    found = []
    for span in re.finditer(r"(?<!`)(`+)(?!`)((?:(?!\n\n).)+?)(?<!`)\1(?!`)", prose, re.DOTALL):
        number = prose.count("\n", 0, span.start()) + 1
        found.append(Line(f"{name}:{number}", re.sub(r"\s*\n\s*", " ", span[2]).strip()))
    return found
