"""Generates values.schema.json and the tables of README.md from values.yaml and `protobridge config schema`.

    generate.py CHART PROTOBRIDGE          writes both files
    generate.py CHART PROTOBRIDGE --check  fails if a file is out of date

The comment of a key is the lines directly above it. `## Title` begins a table. `@schema {…}` in a comment adds to the
schema of the key. A mapping with `@schema` is one table row, and Kubernetes defines its keys. `@removed […]` lists keys
that a mapping once had: the schema lets them pass, so that the chart can say what replaces them. A key without a
comment is an error, unless it is a mapping whose keys have comments.
"""

import json
import pathlib
import subprocess
import sys

import yaml

CONFIG = "config"
BEGIN, END = "<!-- values -->\n", "<!-- /values -->\n"
TYPES = {
    "tag:yaml.org,2002:bool": "boolean",
    "tag:yaml.org,2002:int": "integer",
    "tag:yaml.org,2002:str": "string",
}


class Key:
    """A key of values.yaml: its path, its node, and the text, schema and title from the comment above it."""

    def __init__(self, path, key, node, lines):
        self.path, self.node = path, node
        self.text, self.schema, self.title, self.removed = "", None, None, []
        comment = []
        at = key.start_mark.line - 1
        while at >= 0 and (lines[at].lstrip().startswith("#") or not lines[at].strip()):
            line = lines[at].strip()
            if line.startswith("## "):
                self.title = line[3:]
                break
            if not line and comment:
                # A blank line can separate a title from the comment.
                if at > 0 and lines[at - 1].startswith("## "):
                    self.title = lines[at - 1][3:].strip()
                break
            if line:
                comment.insert(0, line[1:].strip())
            at -= 1
        for line in comment:
            if line.startswith("@schema "):
                self.schema = json.loads(line.removeprefix("@schema "))
            elif line.startswith("@removed "):
                self.removed = json.loads(line.removeprefix("@removed "))
            else:
                self.text = f"{self.text} {line}".strip()

    @property
    def kind(self):
        return self.node.tag

    @property
    def default(self):
        return yaml.safe_load(yaml.serialize(self.node))

    @property
    def is_leaf(self):
        return self.schema is not None or not isinstance(self.node, yaml.MappingNode)


def keys_of(node, lines, path=()):
    return [Key((*path, key.value), key, value, lines) for key, value in node.value]


def fail(key, why):
    sys.exit(f"values.yaml: {'.'.join(key.path)}: {why}")


def schema_of(key, lines):
    if key.path == (CONFIG,):
        return {"$ref": "#/definitions/config", "description": key.text}
    described = {"description": key.text} if key.text else {}
    if isinstance(key.node, yaml.MappingNode):
        if key.schema is not None:
            return {"type": "object"} | described | key.schema
        if not key.node.value:
            fail(key, "an empty mapping needs an @schema")
        children = {child.path[-1]: schema_of(child, lines) for child in keys_of(key.node, lines, key.path)}
        children |= {name: {"description": "Removed: the chart refuses it."} for name in key.removed}
        return {"type": "object"} | described | {"additionalProperties": False, "properties": children}
    if not key.text:
        fail(key, "it has no comment")
    if isinstance(key.node, yaml.SequenceNode):
        if "items" not in (key.schema or {}):
            fail(key, "a list needs an @schema with items")
        return {"type": "array"} | described | key.schema
    own = key.schema or {}
    if key.kind not in TYPES and "type" not in own:
        fail(key, "its default does not show its type; it needs an @schema with a type")
    return {"type": TYPES.get(key.kind)} | described | own


def config_definitions(protobridge):
    """Returns the definitions of the configuration schema, renamed so that they fit into values.schema.json."""
    printed = subprocess.run([protobridge, "config", "schema"], check=True, capture_output=True, text=True).stdout
    schema = json.loads(printed.replace('"#/$defs/', '"#/definitions/config.'))
    parts = {f"config.{name}": part for name, part in schema.pop("$defs").items()}
    for unused in ("$schema", "title"):
        schema.pop(unused)
    return {"config": schema} | parts


def schema(root, lines, protobridge):
    properties = {key.path[-1]: schema_of(key, lines) for key in keys_of(root, lines)}
    # Helm passes `global` to every chart that is a dependency.
    properties["global"] = {"type": "object"}
    document = {
        # Helm before 3.18 does not support a later draft.
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart protobridge",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "definitions": config_definitions(protobridge),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def rows(keys, lines):
    for key in keys:
        if key.title:
            yield f"\n### {key.title}\n\n| key | default | |\n|---|---|---|\n"
        name = ".".join(key.path)
        if not key.is_leaf:
            if key.text:
                yield f"| `{name}` | | {cell(key.text)} |\n"
            yield from rows(keys_of(key.node, lines, key.path), lines)
            continue
        default = json.dumps(key.default, ensure_ascii=False)
        shown = f"`{default}`" if len(default) <= 70 else "see values.yaml"
        yield f"| `{name}` | {cell(shown)} | {cell(key.text)} |\n"


def cell(text):
    return text.replace("|", "\\|")


def readme(text, root, lines):
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + "".join(rows(keys_of(root, lines), lines)) + "\n" + END + after


def main():
    chart, protobridge, *options = sys.argv[1:]
    chart = pathlib.Path(chart)
    source = (chart / "values.yaml").read_text()
    root, lines = yaml.compose(source), source.splitlines()
    makers = {
        chart / "values.schema.json": lambda _: schema(root, lines, protobridge),
        chart / "README.md": lambda text: readme(text, root, lines),
    }
    for path, make in makers.items():
        present = path.read_text() if path.exists() else ""
        wanted = make(present)
        if options == ["--check"]:
            if present != wanted:
                sys.exit(f"{path} is out of date: run tests/chart/run --update and commit the changes")
        else:
            path.write_text(wanted)


if __name__ == "__main__":
    main()
