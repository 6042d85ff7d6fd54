"""Compares the output in a document with real output.

These parts may differ:

- `…` in a line of the document matches any text, and a line that is only `…` matches any lines.
- A time in RFC 3339, a UUID, the first eight digits of one with `…` behind them, and an id such as `ord_1SVGRHG5PGX1HA6664NJ0EYJ85` match any other.
- A hash of 12, 16, 32 or 40 hexadecimal digits matches any other, but the same hash in the document is always the same hash
  in reality.
- If the caller asks for it, a number that is no part of a name matches any number, a number of milliseconds or seconds
  any other, and blanks match any blanks, because columns have other widths.
"""

import re

# The parts that differ from run to run. The first group that matches decides.
PARTS = {
    "short_uuid": (r"\b[0-9a-f]{8}…", r"[0-9a-f]{8}…"),
    "ellipsis": (r"…", r".*"),
    "time": (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"),
    "uuid": (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "id": (r"\b[a-z]{3}_[0-9A-Z]{26}\b", r"[a-z]{3}_[0-9A-Z]{26}"),
    "hash": (r"\b(?:[0-9a-f]{40}|[0-9a-f]{32}|[0-9a-f]{16}|[0-9a-f]{12})\b", r"[0-9a-f]{12,40}"),
}
NUMBERS = {
    "duration": (r"(?<![\w.])\d[\d.]* (?:ms|s)\b", r"\d[\d.]* (?:ms|s)"),
    "number": (r"(?<![\w.])\d[\d,.]*", r"[-\d][\d,.]*"),
    "blanks": (r" +", r" +"),
}


class Comparison:
    """Compares outputs of one document. It remembers which real hash each hash of the document is."""

    def __init__(self):
        self.hashes = {}

    def is_same(self, expected, actual, numbers=False):
        """Whether a text of the document matches a real one."""
        parts = PARTS | NUMBERS if numbers else PARTS
        pattern, hashes = "", []
        tokens = "|".join(f"(?P<{name}>{shape})" for name, (shape, _) in parts.items())
        end = 0
        for token in re.finditer(tokens, expected):
            pattern += re.escape(expected[end : token.start()])
            if token.lastgroup == "hash":
                pattern += f"({parts['hash'][1]})"
                hashes.append(token[0])
            else:
                pattern += parts[token.lastgroup][1]
            end = token.end()
        found = re.fullmatch(pattern + re.escape(expected[end:]), actual)
        if not found:
            return False
        pairs = dict(zip(hashes, found.groups()))
        if any(self.hashes.get(told, real) != real for told, real in pairs.items()):
            return False
        self.hashes |= pairs
        return True

    def first_difference(self, expected, actual, numbers=False):
        """Compares lines of a document with a real text. Returns the first line that differs, and what is there.

        Returns `None` if all lines match. After the last line of the document, more real lines are a difference too.
        """
        real = actual.rstrip("\n").split("\n") if actual.strip() else []
        parts = [[]]
        for line in expected:
            if line.text.strip() == "…":
                parts.append([])
            else:
                parts[-1].append(line)
        at = 0
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            starts = [at] if number == 0 else range(at, len(real) + 1)
            if is_last and number > 0:
                # After the last `…`, the part is the end of the real text.
                starts = [max(at, len(real) - len(part))]
            lengths = {start: self.matching(part, real[start:], numbers) for start in starts}
            at = max(lengths, key=lambda start: (lengths[start], -start))
            if lengths[at] < len(part):
                line = part[lengths[at]]
                other = at + lengths[at]
                return line, real[other] if other < len(real) else "(no such line)"
            at += len(part)
            if is_last and part and at < len(real):
                return expected[-1], f"(and then) {real[at]}"
        return None

    def matching(self, expected, real, numbers):
        """Returns how many lines of a document match the first real lines."""
        length = 0
        while length < min(len(expected), len(real)) and self.is_same(expected[length].text, real[length], numbers):
            length += 1
        return length

    def json_differences(self, expected, actual, path=(), numbers=False):
        """Returns the differences between JSON of a document and real JSON: the path, the value of each.

        Objects have the same keys, and lists of plain values are equal. Each object in a list of the document is in the
        real list, which can have more.
        """
        if isinstance(expected, dict) and isinstance(actual, dict):
            if expected.keys() != actual.keys():
                return [(path, f"the keys {sorted(expected)}", f"the keys {sorted(actual)}")]
            parts = (self.json_differences(expected[key], actual[key], (*path, key), numbers) for key in expected)
            return [difference for part in parts for difference in part]
        if isinstance(expected, list) and isinstance(actual, list):
            if not any(isinstance(item, dict) for item in expected):
                return [] if expected == actual else [(path, expected, actual)]
            found = []
            for index, item in enumerate(expected):
                # The real item that is most like the one of the document.
                all_of_item = (self.json_differences(item, real, (*path, index), numbers) for real in actual)
                found += min(all_of_item, key=len, default=[((*path, index), item, actual)])
            return found
        if isinstance(expected, str) and isinstance(actual, str):
            return [] if self.is_same(expected, actual) else [(path, expected, actual)]
        is_number = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (expected, actual))
        return [] if expected == actual or (numbers and is_number) else [(path, expected, actual)]
