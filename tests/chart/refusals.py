"""Checks that the chart refuses invalid values, each with the right message."""

import yaml

from render import CHART, HELM3, HERE, SCRATCH, expect, file_of, helm, inline, template

BASE = HERE / "refused/base.yaml"
MEBIBYTE = 1024 * 1024


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
    groups = (refused_files, too_large_sets, too_many_customers, unknown_alert)
    sentences = {sentence for group in groups for sentence in group()}
    check_too_large_files()
    # Each `append $problems` of the template needs a case here. The one in check_too_large_files has no fixed message.
    written = (CHART / "templates/_validate.tpl").read_text().count("append $problems")
    cases = len([sentence for sentence in sentences if not sentence.startswith("schema: ")]) + 1
    expect(cases >= written, f"_validate.tpl has {written} refusals, but only {cases} are tested")


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


def too_large_sets():
    """Checks the size limit of inline descriptor sets, and yields its message."""
    sentence = (
        "descriptors.inline has 1048577 bytes, but a ConfigMap holds at most 1048576: use descriptors.s3, "
        "descriptors.image or descriptors.persistentVolumeClaim, or compile without --include_source_info"
    )
    fits, half = file_of("fits.binpb", MEBIBYTE), file_of("half.binpb", MEBIBYTE // 2)
    result = template(BASE, *NO_SETS, *inline(fits))
    expect(result.returncode == 0, f"a descriptor set that just fits into a ConfigMap is refused: {result.stderr}")
    check_refused("a large set", [*NO_SETS, *inline(file_of("beyond.binpb", MEBIBYTE + 1))], [sentence])
    three = [*inline(half, "a.binpb"), *inline(half, "b.binpb"), "--set-string", "descriptors.inline.c\\.pb=AA=="]
    check_refused("sets that are large together", [*NO_SETS, *three], [sentence])
    yield sentence


def too_many_customers():
    """Checks the size limit of inline customers, and yields its message."""
    sentence = (
        "customers.inline has 1050010 bytes, but a ConfigMap holds at most 1048576: shorten it with "
        "config.route.topic_template, or put the file into a bucket and set customers.s3.uri"
    )
    many = SCRATCH / "customers.yaml"
    many.write_text(yaml.safe_dump({"customers": {"inline": [{"id": f"customer-{i:05}"} for i in range(50_000)]}}))
    topics = ["--set", "config.route.topic_template=arn:aws:sns:eu-west-1:1:{customer}"]
    check_refused("many customers", ["--values", many, *topics, *NO_CUSTOMERS], [sentence])
    yield sentence


def check_too_large_files():
    file = SCRATCH / "file"
    file.write_text("x" * MEBIBYTE)
    result = template(BASE, "--set-file", f"configFiles.x={file}")
    words = ("config and configFiles have 1048", "a ConfigMap holds at most 1048576", "mount the larger files with extraVolumes")
    expect(all(part in result.stderr for part in words), f"configFiles over 1 MiB: {result.stderr}")


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
