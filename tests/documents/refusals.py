"""Produces each message of the table "Refusal messages" in docs/schema-owners.md."""

import gzip
import re

import yaml
from page import MINIMAL, Untrue

HEAD = 'syntax = "proto3"; package {};\n'
SHOP, X, Y, Z, FRESH = (HEAD.format(name) for name in ("shop", "x", "y", "z", "fresh.v1"))
ORDER = 'syntax = "proto2"; package x; message Order { extensions 100 to 199; }\n'
EXTENSION = 'syntax = "proto2"; package {}; import "order.proto"; extend x.Order {{ optional string {} = 100; }}\n'
CARD = HEAD.format("shop.v1") + "message Card { string %s = 1; }\nmessage Order { Card card = 1; }\n"
MARKED = HEAD.format("shop.v1") + "message Card { string number = 1 [debug_redact = true]; }\n"
MARKED += "message Order { %s card = 3; }\n"


def compiled(page, folder, name, **sources):
    """Compiles the last of the sources, with its imports, and returns the set."""
    for file, text in sources.items():
        (folder / f"{file}.proto").write_text(text)
    result = page.shell.run(f"cd '{folder}' && protoc --include_imports --descriptor_set_out={name} {file}.proto")
    assert result.code == 0, result.output
    data = (folder / name).read_bytes()
    (folder / name).unlink()
    return data


def write(path, size):
    """Creates a file of this size that takes no room."""
    with path.open("wb") as file:
        file.truncate(size)


def cases(page, sets, released, build):
    """Returns for the beginning of each cause a function that writes the sets, and the configuration that it needs."""

    def two_versions():
        texts = [X + f"message M {{ {kind} f = 1; }}\n" for kind in ("string", "int32")]
        versions = [compiled(page, build, "a", b=text) for text in texts]
        (sets / "a.binpb").write_bytes(b"".join(versions))

    def without_imports():
        compiled(page, build, "b", b=X + "message M {}\n", a=Y + 'import "b.proto"; message N { x.M m = 1; }\n')
        result = page.shell.run(f"cd '{build}' && protoc --descriptor_set_out='{sets}/a.binpb' a.proto")
        assert result.code == 0, result.output

    def contradiction():
        text = SHOP + "message A { %s a = 1; }\n"
        (sets / "a.binpb").write_bytes(compiled(page, build, "a", shop=text % "string" + "message C {}\n"))
        (sets / "c.binpb").write_bytes(compiled(page, build, "c", shop=text % "string"))
        holder = "message B { A a = 1; }\nmessage D {}\n"
        (sets / "b.binpb").write_bytes(compiled(page, build, "b", shop=text % "int32" + holder))

    def extensions():
        for name, package, field in (("a", "y", "note"), ("c", "y", "note"), ("b", "z", "memo")):
            data = compiled(page, build, name, order=ORDER, extension=EXTENSION.format(package, field))
            (sets / f"{name}.binpb").write_bytes(data)

    def breaking():
        for to, fields in ((released, "string b = 1; string c = 2;"), (sets, "string c = 2;")):
            data = compiled(page, build, "f", fresh=FRESH + f"message One {{ {fields} }}\n")
            (to / "fresh.binpb").write_bytes(data)

    def hidden():
        for folder, field in ((released, "number"), (sets, "digits")):
            (folder / "orders.binpb").write_bytes(compiled(page, build, "o", order=CARD % field))

    def inside():
        for folder, kind in ((released, "Card"), (sets, "bytes")):
            (folder / "orders.binpb").write_bytes(compiled(page, build, "o", order=MARKED % kind))

    half = gzip.compress(b"a set that is cut off")[:-12]
    return {
        "not a descriptor set": (lambda: (sets / "orders.binpb").write_text("no set"), {}),
        "empty": (lambda: (sets / "orders.binpb").write_text(""), {}),
        "starts like gzip": (lambda: (sets / "a.binpb.gz").write_bytes(half), {}),
        "without its imports": (without_imports, {}),
        "has two versions": (two_versions, {}),
        "contradicts another": (contradiction, {}),
        "uses the number": (extensions, {}),
        "larger than": (lambda: write(sets / "x.pb", 629145600), {}),
        "too large after": (lambda: (sets / "b.binpb.gz").write_bytes(gzip.compress(bytes(1 << 26), 1)), {}),
        "does not fit": (lambda: write(sets / "x.pb", 70000000), {"descriptors": {"max_file_bytes": 1 << 30}}),
        "breaks consumers": (breaking, {"descriptors": {"on_break": "refuse"}}),
        "can show a hidden": (hidden, {"profiles": {"web": {"redact": ["card.number"]}}}),
        "can show a marked": (inside, {"profiles": {"web": {"redact_marked": True}}}),
    }


def check(page):
    """Compares each message of the table with that of `protobridge check`."""
    folder = page.work / "refusals"
    sets, released, build = (folder / name for name in ("descriptors", "released", "build"))
    table = page.source.split("| cause | message |\n|---|---|\n", 1)[1].split("\n\n", 1)[0].splitlines()
    first = page.source[: page.source.index("| cause | message |")].count("\n") + 3
    for path in (folder, sets, released, build):
        path.mkdir()
    left = cases(page, sets, released, build)
    for number, row in enumerate(table, first):
        place = f"{page.name}:{number}"
        cause, message = re.fullmatch(r"\| (.*?) \| (`+)(.*?)\2 \|", row).group(1, 3)
        found = [beginning for beginning in left if cause.startswith(beginning)]
        if not found:
            raise Untrue(place, "no case of tests/documents/refusals.py produces this message")
        produce, extra = left.pop(found[0])
        for old in [*sets.iterdir(), *released.iterdir()]:
            old.unlink()
        produce()
        descriptors = {"path": str(sets)} | ({"baseline": str(released)} if any(released.iterdir()) else {})
        profiles = extra.get("profiles", {})
        config = MINIMAL | {"profiles": profiles, "descriptors": descriptors | extra.get("descriptors", {})}
        (folder / "protobridge.yaml").write_text(yaml.safe_dump(config))
        customer = {"id": "acme"} | ({"profile": "web"} if profiles else {})
        (folder / "customers.yaml").write_text(yaml.safe_dump({"customers": [customer]}))
        output = page.shell.run(f"protobridge check --config '{folder}/protobridge.yaml'").output
        page.counts["compared"] += 1
        if not any(page.comparison.is_same(f"…{message.strip()}…", line) for line in output.splitlines()):
            raise Untrue(place, f"the document has\n  {message}\nand the real output is\n{output}")
    if left:
        raise Untrue(f"{page.name}:{first}", f"the table has no row for {sorted(left)}")
