"""Checks types that code generators made from the schemas: they compile, and they read every event.

    check_types.py FOLDER

The folder has `events.tsv` (`PROFILE<TAB>TYPE<TAB>JSON`), and for each profile the generated modules in
`PROFILE/schema.json2ts`, `schema_pydantic` and so on`. Checks the Python classes at once, and writes `PROFILE-check.ts` for the
compiler of TypeScript.
"""

import importlib.util
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

folder = Path(sys.argv[1])
events = defaultdict(list)
for line in (folder / "events.tsv").read_text().splitlines():
    profile, name, text = line.split("\t", 2)
    events[profile, name].append(text)
if len({name for _, name in events}) < 9 or sum(map(len, events.values())) < 100:
    sys.exit(f"too few events to check: { {key: len(texts) for key, texts in events.items()} }")


def pascal(name):
    """Returns the name that generators make of a full name: shop.v1.Money is ShopV1Money."""
    return "".join(part[:1].upper() + part[1:] for part in name.replace(".", "_").replace("-", "_").split("_"))


def load(path):
    """Imports a generated Python module."""
    spec = importlib.util.spec_from_file_location(f"generated_{path.parent.name}_{path.name[:8]}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


read = 0
for profile in sorted({profile for profile, _ in events}):
    modules = {path.stem: load(path) for path in (folder / profile / "schema_pydantic").glob("*.py")}
    asyncapi = load(folder / profile / "asyncapi_pydantic.py")
    for (owner, name), texts in events.items():
        if owner != profile:
            continue
        classes = [
            getattr(modules[name.replace(".", "_")], pascal(name)),
            getattr(asyncapi, pascal(f"{profile}-{name}")),
        ]
        for text in texts:
            for model in classes:
                event = model.model_validate_json(text)
                kept = json.loads(event.model_dump_json(exclude_unset=True))
                if "added" in text and "new" not in (kept.get("addedLater"), kept.get("added_later")):
                    sys.exit(f"{model} lost the field that it does not know: {text}")
                read += 1
print(f"consumers: Python classes read {read} events")

# The compiler of TypeScript checks these files: each event is a value of its generated interface.
for profile in sorted({profile for profile, _ in events}):
    lines = []
    for name, texts in sorted((name, texts) for (owner, name), texts in events.items() if owner == profile):
        for module, wanted in [
            (f"{profile}/schema.json2ts/{name.replace('.', '_')}", pascal(name)),
            (f"{profile}/asyncapi.json2ts", pascal(f"{profile}-{name}")),
        ]:
            [source] = [path for path in (folder / f"{module}.d.ts", folder / f"{module}.ts") if path.exists()]
            exported = re.findall(r"export (?:interface|type) (\w+)", source.read_text())
            found = [other for other in exported if other.replace("_", "") == wanted]
            if len(found) != 1:
                sys.exit(f"{source} must have one type {wanted}: {exported}")
            lines.append(f'export const _{len(lines)}: import("./{module}").{found[0]}[] = [{", ".join(texts)}];')
    (folder / f"{profile}-check.ts").write_text("\n".join(lines) + "\n")
