"""Follows a document: every fenced block is run, compared or checked, or has an excuse."""

import json
import re
import subprocess
from collections import Counter

import markdown
import yaml
from compare import Comparison
from shell import Shell

# The smallest configuration. Blocks with a part of a configuration are checked together with it.
MINIMAL = {
    "aws": {"region": "eu-west-1"},
    "queues": [{
        "url": "https://sqs.eu-west-1.amazonaws.com/123456789012/events",
        "quarantine_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/events-quarantine",
    }],
    "route": {"topic_template": "arn:aws:sns:eu-west-1:123456789012:json-events-{customer}"},
}


class Untrue(Exception):
    """A part of a document that is not true, by its place `FILE:LINE`."""

    def __init__(self, place, message):
        super().__init__(f"{place}: {message}")


class Page:
    """A document that is followed in its own copy of the tree.

    `replaced` has the addresses and paths of the document that are others here, such as `localhost:8080`. Commands and
    files get the real one, and real output gets the one of the document before it is compared.
    """

    def __init__(self, name, tree, work, environment, replaced):
        self.name, self.tree, self.work = name, tree, work
        self.source = (tree / name).read_text()
        self.replaced = replaced
        self.shell = Shell(tree, environment)
        self.comparison = Comparison()
        self.counts = Counter()
        self.excuses = []
        self.waiting, self.place = [], name
        # The blocks that are files, by the names of these files.
        self.files = {}

    # --- Sections

    def follow(self, functions):
        """Calls the functions of the headings in order. Each must handle exactly the blocks below its heading."""
        try:
            found = markdown.sections(self.name, self.source)
            for section in found:
                self.waiting, self.place = list(section.blocks), section.place
                if section.heading in functions:
                    functions[section.heading](self)
                if self.waiting:
                    place = self.waiting[0].place
                    raise Untrue(place, f"no step handles this block below the heading {section.heading!r}")
            missing = functions.keys() - {section.heading for section in found}
            if missing:
                raise Untrue(self.name, f"the headings {sorted(missing)} are gone")
        except (AssertionError, LookupError, OSError, ValueError, subprocess.SubprocessError) as error:
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            raise Untrue(self.place, f"{kind}{error}") from error
        finally:
            self.shell.close()

    def next(self, *languages):
        """Returns the next block of the section."""
        if not self.waiting:
            raise Untrue(self.place, "the next step expects one more block in this section")
        block = self.waiting.pop(0)
        self.place = block.place
        if block.language not in languages:
            raise Untrue(block.place, f"this block is {block.language or 'plain'!r}; the step expects {languages}")
        return block

    def peek(self):
        """Returns the first command of the next block, and makes it the present place."""
        step = self.waiting[0].steps()[0]
        self.place = step.place
        return step.command

    def excuse(self, beginning, reason):
        """Leaves the next block out, which must begin with this text."""
        block = self.next("", "console", "text", "yaml", "json", "promql")
        if not block.text.startswith(beginning):
            raise Untrue(block.place, f"the excuse is for a block that begins with {beginning!r}")
        self.counts["excused"] += 1
        self.excuses.append(f"{block.place}: {beginning}…: {reason}")
        return block

    # --- Commands and output

    def run(self, code=0, numbers=False, seconds=90):
        """Runs the next console block. All commands but the last must succeed, and the last exits with `code`.

        Returns the result of the last command.
        """
        block = self.next("console")
        steps = block.steps()
        assert steps, "the block has no command"
        for step in steps:
            result = self.run_step(step, code if step is steps[-1] else 0, numbers, seconds)
        return result

    def run_step(self, step, code=0, numbers=False, seconds=90):
        self.place = step.place
        result = self.shell.run(self.real(step.command), seconds)
        self.counts["run"] += 1
        output = self.told(result.output)
        if result.code != code:
            place = self.place_in_file(output) or step.place
            raise Untrue(place, f"`{step.command}` exits with {result.code}, not {code}:\n{output[-3000:]}")
        if step.output:
            self.compare(step.output, output, numbers)
        return result

    def start(self):
        """Runs the next console block, and its last command in a terminal of its own. Returns that process."""
        block = self.next("console")
        *before, last = block.steps()
        for step in before:
            self.run_step(step)
        assert not last.output, "the last command of the block has no output"
        self.place = last.place
        self.counts["run"] += 1
        return self.shell.start(self.real(last.command), self.work / f"terminal-{len(self.shell.running)}.log")

    def try_span(self, command, code=0, **options):
        """Runs a command that the text has as inline code."""
        line = next((span for span in markdown.spans(self.name, self.source) if span.text == command), None)
        if line is None:
            raise Untrue(self.name, f"the text has no command `{command}`")
        return self.run_step(markdown.Step(line.place, command), code, **options)

    def output(self, actual, numbers=False, sample=False):
        """Compares the next text block with real output.

        With `sample`, the lines before the first line `…` are examples: each is somewhere in the real output.
        """
        block = self.next("text")
        lines, real = block.lines, self.told(actual)
        if sample:
            end = next(index for index, line in enumerate(lines) if line.text == "…")
            for line in lines[:end]:
                if not any(self.comparison.is_same(line.text, other, numbers) for other in real.splitlines()):
                    raise Untrue(line.place, f"no real line is like {line.text!r}")
            lines = lines[end:]
        self.compare(lines, real, numbers)

    def compare(self, lines, real, numbers=False):
        self.counts["compared"] += 1
        if difference := self.comparison.first_difference(lines, real, numbers):
            line, other = difference
            message = f"the document has\n  {line.text}\nand the real output\n  {other}\nin\n{real[-3000:]}"
            raise Untrue(line.place, message)

    # --- JSON and YAML

    def json(self, actual=None, numbers=False):
        """Reads the next JSON block, and compares it with real JSON if there is any. Returns its value."""
        block = self.next("json")
        text = block.text.strip()
        try:
            value = json.loads(text if text.startswith(("{", "[")) else f"{{{text}}}")
        except json.JSONDecodeError as error:
            raise Untrue(block.lines[error.lineno - 1].place, f"it is not JSON: {error.msg}") from error
        self.counts["checked" if actual is None else "compared"] += 1
        if actual is not None:
            real = json.loads(self.told(json.dumps(actual)))
            for path, told, other in self.comparison.json_differences(value, real, numbers=numbers):
                raise Untrue(json_place(block, path, told), f"{path} is {other!r} in the real JSON, not {told!r}")
        return value

    def yaml(self):
        """Returns the next YAML block and its value."""
        block = self.next("yaml")
        try:
            return block, yaml.safe_load(self.real(block.text))
        except yaml.MarkedYAMLError as error:
            raise Untrue(block.lines[error.problem_mark.line].place, f"it is not YAML: {error.problem}") from error

    def file(self):
        """Writes the next YAML block to the file that its first line names, and returns the block.

        A part of a `protobridge.yaml` is added to the file.
        """
        block, value = self.yaml()
        name = re.match(r"# ([\w-]+\.yaml)\b", block.lines[0].text)
        if not name:
            raise Untrue(block.place, "the first line names no file")
        path = self.shell.folder / name[1]
        self.files[name[1]] = block
        if name[1] == "protobridge.yaml" and "queues" not in value:
            whole = yaml.safe_load(path.read_text()) if path.exists() else MINIMAL
            path.write_text(yaml.safe_dump(whole | value))
            del self.files[name[1]]
            self.files[f"part of {name[1]}"] = block
        else:
            path.write_text(self.real(block.text))
        return block

    def check(self, *blocks, file="protobridge.yaml"):
        """Checks a configuration whose parts these blocks are. A warning is an error too."""
        result = self.shell.run(f"protobridge check --strict --config {file}")
        self.counts["checked"] += len(blocks)
        if result.code != 0:
            place = self.place_in_file(result.output) or blocks[0].place
            raise Untrue(place, f"the configuration is not valid:\n{result.output}")

    def check_part(self, block, value):
        """Checks a part of a configuration together with the smallest one, in a folder of its own."""
        folder = self.work / "part"
        folder.mkdir(exist_ok=True)
        (folder / "customers.yaml").write_text("customers: [{id: acme}]\n")
        config = MINIMAL | {"descriptors": {"path": str(self.tree / "descriptors")}}
        self.files = {"part": block}
        for key, part in value.items():
            config[key] = config[key] | part if isinstance(config.get(key), dict) else part
        (folder / "protobridge.yaml").write_text(yaml.safe_dump(config))
        self.check(block, file=folder / "protobridge.yaml")

    def place_in_file(self, problem):
        """Returns the place of a problem with a file that is a block of the document, or `None`."""
        for name, line in re.findall(r"([\w-]+\.yaml):(\d+)", problem):
            if name in self.files:
                return self.files[name].lines[int(line) - 1].place
        for path, key in re.findall(r"at '(/[^']*)': (?:additional properties '(\w+)')?", problem):
            for block in self.files.values():
                if place := yaml_place(block, path, key):
                    return place
        for path in re.findall(r"[a-z_]\w*(?:[.\[]\w+\]?)+", problem):
            leaf = re.findall(r"[a-z_]+", path)[-1]
            for block in self.files.values():
                for line in block.lines:
                    if re.search(rf"(^|[{{,\s-]){leaf}:", line.text):
                        return line.place
        return None

    # --- Names that are others here

    def real(self, text):
        for told, real in self.replaced.items():
            text = text.replace(told, str(real))
        return text

    def told(self, text):
        for told, real in self.replaced.items():
            text = text.replace(str(real), told)
        return text


def json_place(block, path, value):
    """Returns the place of a value in a JSON block."""
    key = next((f'"{name}"' for name in reversed(path) if isinstance(name, str)), "")
    lines = [line for line in block.lines if key in line.text]
    both = [line for line in lines if json.dumps(value, ensure_ascii=False) in line.text]
    return (both or lines or block.lines)[0].place


def yaml_place(block, path, key):
    """Returns the place of a node, or of a key of the node, in a YAML block. `None` if the block has no such node."""
    node = yaml.compose(block.text)
    for name in filter(None, path.split("/")):
        if isinstance(node, yaml.SequenceNode) and name.isdigit() and int(name) < len(node.value):
            node = node.value[int(name)]
        elif isinstance(node, yaml.MappingNode):
            node = {each.value: value for each, value in node.value}.get(name)
        else:
            return None
    if node is None:
        return None
    if key and isinstance(node, yaml.MappingNode):
        node = next((each for each, _ in node.value if each.value == key), node)
    return block.lines[node.start_mark.line].place


def environment(doubles, path, home, **variables):
    """Returns the environment of the commands: nothing of the user's own, the doubles before the system's programs."""
    home.mkdir(parents=True, exist_ok=True)
    folders = [doubles, f"{home}/.cargo/bin", *path, "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "HOME": str(home), "PATH": ":".join(map(str, folders)),
        "LANG": "C.UTF-8", "TERM": "dumb", "TMPDIR": str(home), **{key: str(value) for key, value in variables.items()},
    }
