"""Checks the names in the text of a document: commands, options, variables, and configuration keys with defaults."""

import json
import re
import subprocess

import markdown
import yaml
from ground import ROOT
from page import Untrue

# Options of other programs, which the text names without the program.
FOREIGN = {
    "--endpoint-url": "the AWS CLI", "--include_imports": "protoc", "--include_source_info": "protoc",
    "--wait": "helm", "--timeout": "helm", "--rollback-on-failure": "helm", "--atomic": "Helm 3", "--set-file": "helm",
    "--logs": "helm", "--force-conflicts": "helm", "--server-side": "kubectl",
    "--sbom": "docker buildx", "--format": "buildah", "--platform": "docker buildx", "--build-arg": "docker buildx",
}
# Variables that are no keys.
VARIABLES = {"PROTOBRIDGE_CONFIG", "PROTOBRIDGE_TEST_SKIP_PYTHON"}
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "": 1}


def check(page, protobridge):
    """Checks every span of inline code, and the defaults in parentheses and tables."""
    program = Program(protobridge)
    for span in markdown.spans(page.name, page.source):
        problem = program.problem(span.text)
        if problem is None:
            continue
        page.counts["names"] += 1
        if problem:
            raise Untrue(span.place, f"`{span.text}`: {problem}")
    for number, line in enumerate(page.source.splitlines(), 1):
        in_parentheses = re.findall(r"`([a-z_]+\.[a-z_.]+)` \(([^)`]+)\)", line)
        for key, told in in_parentheses + re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", line):
            problem = program.default_problem(key, told)
            page.counts["names"] += problem is not None
            if problem:
                raise Untrue(f"{page.name}:{number}", f"`{key}`: {problem}")


class Program:
    """The commands, keys and defaults of the binary."""

    def __init__(self, protobridge):
        self.protobridge = protobridge
        self.schema = json.loads(self.output("config", "schema"))
        self.example = yaml.safe_load(self.output("config", "example"))
        self.values = yaml.safe_load((ROOT / "charts/protobridge/values.yaml").read_text())
        self.helps = {(): self.output("--help")}

    def output(self, *arguments):
        return subprocess.run([self.protobridge, *arguments], capture_output=True, text=True).stdout

    def problem(self, span):
        """Returns what is wrong with a span, an empty text if it is right, and `None` if it is no name of ours."""
        if found := re.fullmatch(r"protobridge ([a-z].*)", span):
            return self.command_problem(found[1].split())
        if found := re.match(r"--[a-z][a-z0-9_-]+", span):
            if found[0] in FOREIGN:
                return None
            return "" if any(has_option(text, found[0]) for text in self.all_helps()) else "no command has this option"
        if re.fullmatch(r"PROTOBRIDGE_[A-Z0-9_]+(=.*)?", span):
            return self.variable_problem(span.split("=")[0])
        is_path = re.fullmatch(r"[a-z_]+(\.[a-z_]+|\[\d+\])+(\.\*)?", span)
        if is_path and re.split(r"[.\[]", span)[0] in self.schema["properties"]:
            path = re.findall(r"[a-z_]+", span.removesuffix(".*"))
            is_known = self.resolve(path) is not None or is_value(self.values, path)
            return "" if is_known else "neither the configuration nor the chart has such a key"
        return None

    def command_problem(self, words):
        path = ()
        for word in words:
            if not re.fullmatch(r"[a-z][a-z-]*", word) or f"\n  {word} " not in self.help(path) + " ":
                break
            path += (word,)
        if not path:
            return "there is no such command"
        options = [option[0] for word in words if (option := re.match(r"--[a-z0-9-]+", word))]
        unknown = [option for option in options if not has_option(self.help(path), option)]
        return f"the command has no option {unknown[0]}" if unknown else ""

    def help(self, path):
        if path not in self.helps:
            self.helps[path] = self.output(*path, "--help")
        return self.helps[path]

    def all_helps(self, path=()):
        """Yields the help of every command."""
        yield self.help(path)
        commands = re.search(r"^Commands:\n((?:  .*\n|\n)+)", self.help(path), re.MULTILINE)
        for name in re.findall(r"^  ([a-z][a-z-]+) ", commands[1] if commands else "", re.MULTILINE):
            if name != "help":
                yield from self.all_helps((*path, name))

    def variable_problem(self, name):
        if name in VARIABLES:
            return ""
        parts = name.removeprefix("PROTOBRIDGE_").removesuffix("_FILE").lower()
        return "" if parts in set(self.variables(self.schema)) else "there is no key of this variable"

    def variables(self, schema, prefix=""):
        """Yields the paths of all keys, with `_` between their parts and 0 as the index of items."""
        schema = self.follow(schema)
        for name, inner in schema.get("properties", {}).items():
            yield f"{prefix}{name}"
            yield from self.variables(inner, f"{prefix}{name}_")
        if "items" in schema:
            yield from self.variables(schema["items"], f"{prefix}0_")

    def resolve(self, path):
        """Returns the schema of a key, or `None` if there is no such key."""
        schema = self.schema
        for name in path:
            schema = self.follow(schema)
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if inner is None and "items" in schema:
                inner = self.follow(schema["items"]).get("properties", {}).get(name)
            if not isinstance(inner, dict):
                return None
            schema = inner
        return schema

    def follow(self, schema):
        """Returns the schema that a reference leads to, also if the key can be null."""
        for choice in schema.get("anyOf", []):
            if "$ref" in choice:
                schema = choice
        while "$ref" in schema:
            node = self.schema
            for part in schema["$ref"].removeprefix("#/").split("/"):
                node = node[part]
            schema = node
        return schema

    def default_problem(self, key, told):
        """Compares a default with that of `config example`. Returns `None` if the text gives no value."""
        value = self.example
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        number = re.match(r"(\d[\d,.]*) ?(KiB|MiB|)(?![\w ]*[a-z])", told)
        if told in ("on", "off"):
            real = told == "on"
        elif number and value is not None:
            real = float(number[1].replace(",", "")) * UNITS[number[2]]
        else:
            return None
        return "" if value == real else f"the default is {value}, not {told}"


def is_value(values, path):
    """Whether the chart's values have this key."""
    for name in path:
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True


def has_option(text, option):
    return re.search(rf"(?<![\w-]){option}(?![\w-])", text) is not None
