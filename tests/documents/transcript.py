"""Compares the report of tests/platform with the block of docs/operations.md that shows it.

    transcript.py REPORT
"""

import sys
from pathlib import Path

import markdown
from compare import Comparison

NAME = "docs/operations.md"
page = (Path(__file__).resolve().parents[2] / NAME).read_text()
(section,) = (each for each in markdown.sections(NAME, page) if each.heading == "Test the installation and its alerts")
(block,) = (block for block in section.blocks if block.language == "text")
# The document wraps long lines of the report; the rest of such a line has the same indentation as its beginning.
lines = []
for line in block.lines:
    if lines and line.text.startswith("    ") and lines[-1].text.startswith("    "):
        lines[-1].text += " " + line.text.strip()
    else:
        lines.append(line)
for line in lines:
    line.text = line.text.strip()
report = "\n".join(line.strip() for line in Path(sys.argv[1]).read_text().splitlines())
difference = Comparison().first_difference(lines, report, numbers=True)
if difference:
    line, real = difference
    sys.exit(f"documents: UNTRUE: {line.place}: the document has\n  {line.text}\nand the report\n  {real}")
print(f"platform: the report is the one in {NAME}")
