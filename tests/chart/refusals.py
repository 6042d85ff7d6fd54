"""Checks that the chart refuses invalid values, each with the right message."""

import base64
import gzip
import os
import uuid

import yaml

from render import CHART, HELM3, HERE, SCRATCH, expect, file_of, helm, inline, one, rendered, template

BASE = HERE / "refused/base.yaml"
# The sizes of Helm's record of a release, in bytes: the Secret, and the inline values that the chart accepts.
SECRET, ROOM = 1024 * 1024, 300_000
# The largest share of the Secret that these values may fill. The rest is for a chart and manifests that grow.
FULL = 0.95


def check_refused(name, arguments, sentences):
    """Expects the chart to refuse the values for exactly these reasons.

    If the first sentence begins with `schema: `, Helm itself must refuse them, in a message that contains the rest.
    """
    result = helm("template", "events", CHART, "--values", BASE, *arguments)
    expect(result.returncode != 0, f"refused/{name}: Helm 4 renders it")
    if sentences[0].startswith("schema: "):
        wanted = sentences[0].removeprefix("schema: ")
        expect(wanted in result.stderr, f"refused/{name}: expected {wanted!r}, got:\n{result.stderr}")
    else:
        problems = [line[4:] for line in result.stderr.splitlines() if line.startswith("  - ")]
        expect(problems == sentences, f"refused/{name}: expected {sentences}, got:\n{result.stderr}")
    old = helm("template", "events", CHART, "--values", BASE, *arguments, binary=HELM3)
    expect(old.returncode != 0, f"refused/{name}: Helm 3 renders it")


def check_refusals():
    result = template(BASE)
    expect(result.returncode == 0, f"refused/base.yaml must render: {result.stderr}")
    groups = (refused_files, too_large_values, unknown_alert)
    sentences = {kind(sentence) for group in groups for sentence in group()}
    # Each `append $problems` of the template needs a case here.
    written = (CHART / "templates/_validate.tpl").read_text().count("append $problems")
    cases = len([sentence for sentence in sentences if not sentence.startswith("schema: ")])
    expect(cases >= written, f"_validate.tpl has {written} refusals, but only {cases} are tested")


def kind(sentence):
    """Returns the sentence, without its numbers if it is about the size of the values."""
    return "too large" if sentence.startswith("the inline values are too large") else sentence


def refused_files():
    """Checks each file in refused/ and yields its messages."""
    for path in sorted(HERE.glob("refused/*.yaml")):
        if path == BASE:
            continue
        lines = path.read_text().splitlines()
        sentences = [line.removeprefix("# refused: ") for line in lines if line.startswith("# refused: ")]
        more = [word for line in lines if line.startswith("# with: ") for word in line.removeprefix("# with: ").split()]
        check_refused(path.name, ["--values", path, *more], sentences)
        yield from sentences


NO_SETS = ["--set", "descriptors.existingConfigMap="]
NO_CUSTOMERS = ["--set", "customers.existingConfigMap.name="]
COMPRESS = (
    "compress the sets with `gzip -9` and name them such as shop.binpb.gz, or set descriptors.s3.uri, or set "
    "descriptors.existingConfigMap"
)
BUCKET = "set customers.s3.uri or customers.existingConfigMap.name"
MOUNT = "mount the larger files with extraVolumes and extraVolumeMounts"


def too_large(sets, files, customers, ways):
    """Returns the message about inline values with these numbers of bytes."""
    return (
        "the inline values are too large for Helm's record of the release, a Secret of 1 MiB that has them twice, "
        f"beside the chart: descriptors.inline has {sets} bytes, config and configFiles have {files}, and "
        f"customers.inline, which counts by half, has {customers}; that is {sets + files + (customers + 1) // 2}, and "
        f"the limit is {ROOM}: {ways}"
    )


def too_large_values():
    """Checks the size limit of the inline values, of each kind and of all together, and yields its messages."""
    config = config_bytes()
    fits = file_of("fits.binpb", ROOM - config)
    check_fits("sets", [*NO_SETS, *inline(fits)])
    one_more = [*NO_SETS, *inline(file_of("beyond.binpb", ROOM - config + 1))]
    yield check_too_large("a large set", one_more, ROOM - config + 1, config, 0, COMPRESS)
    two = [*NO_SETS, *inline(fits, "a.binpb"), "--set-string", "descriptors.inline.c\\.pb=AA=="]
    yield check_too_large("sets that are large together", two, ROOM - config + 1, config, 0, COMPRESS)

    topics = ["--set", "config.route.topic_template=arn:aws:sns:eu-west-1:1:{customer}", *NO_CUSTOMERS]
    longer = config_bytes(*topics, "--set", "customers.inline[0].id=acme")
    fits, _ = random_customers(2 * (ROOM - longer))
    check_fits("customers", [*topics, "--values", fits])
    beyond, size = random_customers(2 * ROOM + 100)
    yield check_too_large("many customers", [*topics, "--values", beyond], 0, longer, size, BUCKET)

    file = SCRATCH / "file"
    file.write_text(base64.b64encode(os.urandom(ROOM)).decode()[: ROOM - config])
    # Base64 compresses by a quarter.
    check_fits("files", ["--set-file", f"configFiles.x={file}"], least=0.7)
    file.write_text("x" * (ROOM - config + 1))
    yield check_too_large("a large file", ["--set-file", f"configFiles.x={file}"], 0, ROOM + 1, 0, MOUNT)

    file.write_text("x" * 20_000)
    half, size = random_customers(ROOM)
    together = [*NO_SETS, *inline(file_of("half.binpb", ROOM // 2)), *topics, "--values", half]
    together += ["--set-file", f"configFiles.x={file}"]
    ways = f"{COMPRESS}; {BUCKET}; {MOUNT}"
    yield check_too_large("values that are large together", together, ROOM // 2, longer + 20_000, size, ways)


def check_too_large(name, arguments, sets, files, customers, ways):
    sentence = too_large(sets, files, customers, ways)
    check_refused(name, arguments, [sentence])
    return sentence


def check_fits(name, arguments, least=0.9):
    """Expects that the chart accepts the values, and that Helm's record of the release fits into a Secret.

    The Secret has the record as base64 of its compressed JSON. Helm prints that JSON in a dry run. The record must also
    fill at least a share of the Secret: if it does not, the limit refuses values that fit.
    """
    result = helm("install", "events", CHART, "--dry-run=client", "--output", "json", "--values", BASE, *arguments)
    expect(result.returncode == 0, f"{name} that just fit are refused: {result.stderr[:1000]}")
    share = len(base64.b64encode(gzip.compress(result.stdout.strip().encode(), 9))) / SECRET
    expect(least <= share <= FULL, f"{name} that just fit fill {share:.3f} of the Secret, not {least} to {FULL}")


def config_bytes(*arguments):
    """Returns the size of the configuration that the chart renders."""
    objects = rendered(BASE, *arguments)
    text = one(objects, "ConfigMap", "-config")["data"]["protobridge.yaml"]
    # The ConfigMap ends the last line.
    return len(text.removesuffix("\n"))


def random_customers(size):
    """Writes values with customers of random ids, whose customers file has at most this many bytes.

    Returns the path of the values, and the size of the customers file.
    """
    head = "customers:"
    each = len(f"\n- id: {uuid.uuid4()}")
    ids = [str(uuid.uuid4()) for _ in range((size - len(head)) // each)]
    path = SCRATCH / "customers.yaml"
    path.write_text(yaml.safe_dump({"customers": {"inline": [{"id": id} for id in ids]}}))
    return path, len(head) + each * len(ids)


def unknown_alert():
    """Checks an unknown name in prometheusRule.disabled, and yields the message."""
    rules = yaml.safe_load((CHART / "files/rules.yaml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    names = ", ".join(sorted(alerts))
    sentence = f'prometheusRule.disabled has "ProtobridgeGnoe", but no alert has this name: use one of {names}'
    check_refused(
        "unknown alert",
        ["--set", "prometheusRule.enabled=true", "--set", "prometheusRule.disabled={ProtobridgeGnoe}"],
        [sentence],
    )
    yield sentence
