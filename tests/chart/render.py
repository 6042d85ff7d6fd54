"""Renders the chart, parses the result, and records the checks and their failures."""

import base64
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHART = ROOT / "charts/protobridge"
# A descriptor set of the repository.
SET = ROOT / "descriptors/shop.binpb"
# The oldest Kubernetes that Chart.yaml allows, one in between, and the newest.
KUBERNETES = ["1.29", "1.33", "1.37"]
# `tests/chart/run` sets the paths of the tools.
HELM, HELM3, PROTOBRIDGE = (os.environ[name] for name in ("HELM", "HELM3", "PROTOBRIDGE"))

folder = tempfile.TemporaryDirectory(prefix="chart-")
SCRATCH = pathlib.Path(folder.name)

failures = []
checks = 0


def expect(condition, message):
    """Counts a check. If the condition is false, records the message as a failure and goes on."""
    global checks
    checks += 1
    if not condition:
        failures.append(message)


class Loader(yaml.SafeLoader):
    """Reads YAML and refuses a repeated key, of which Kubernetes would silently take the last."""


def mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.YAMLError(f"{node.start_mark}: {twice} is repeated")
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def objects_in(text):
    return [part for part in yaml.load_all(text, Loader) if part]


def helm(*arguments, binary=HELM):
    return subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)


def inline(path, name="shop.binpb"):
    """Returns the arguments that pass a descriptor set in the values, in lines as `base64` writes them."""
    text = SCRATCH / f"{path.name}.b64"
    text.write_bytes(base64.encodebytes(path.read_bytes()))
    return ["--set-file", f"descriptors.inline.{name.replace('.', chr(92) + '.')}={text}"]


def file_of(name, size):
    """Writes a file of `size` random bytes, which do not compress, and returns its path."""
    path = SCRATCH / name
    path.write_bytes(os.urandom(size))
    return path


# Arguments that a values file needs because it cannot hold the content of a file.
ARGUMENTS = {"minimal": inline(SET)}


def template(values, *more, chart=CHART, binary=HELM, kube=None):
    version = ["--kube-version", f"{kube}.0"] if kube else []
    arguments = ["--namespace", "data", "--values", values, *ARGUMENTS.get(values.stem, []), *version, *more]
    return helm("template", "events", chart, *arguments, binary=binary)


def rendered(values, *more, **others):
    """Returns the objects of values that must render; ends the process if they do not."""
    result = template(values, *more, **others)
    if result.returncode:
        sys.exit(f"chart: {values.name} does not render with {list(map(str, more))}:\n{result.stderr}")
    return objects_in(result.stdout)


def notes(values, *more, kube=KUBERNETES[-1]):
    """Returns the notes.

    Helm prints notes only if it has a cluster. So a copy of the chart renders its notes as a manifest.
    """
    chart = SCRATCH / "with-notes"
    if not chart.exists():
        shutil.copytree(CHART, chart)
        text = (chart / "templates/NOTES.txt").read_text()
        (chart / "templates/NOTES.txt").unlink()
        define = '{{ define "notes" }}' + text + "{{ end }}"
        (chart / "templates/notes.yaml").write_text(define + 'notes: {{ include "notes" . | toJson }}\n')
    (part,) = rendered(values, "--show-only", "templates/notes.yaml", *more, chart=chart, kube=kube)
    return part["notes"]


def one(objects, kind, suffix=""):
    """Returns the first object of a kind whose name ends with the suffix, or None.

    Without a suffix, the objects of the prober of canaries and of the Jobs are left out.
    """
    named = [(part["metadata"]["name"], part) for part in objects if part["kind"] == kind]
    others = ("-canary", "-replay", "-redrive")
    found = [part for name, part in named if name.endswith(suffix) and (suffix or not name.endswith(others))]
    return found[0] if found else None


def pod_of(objects):
    return one(objects, "Deployment")["spec"]["template"]
