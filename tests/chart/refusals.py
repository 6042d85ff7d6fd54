"""What the chart has to refuse, and in which words."""

import yaml

from render import CHART, HELM3, HERE, SCRATCH, expect, file_of, helm, inline, template

BASE = HERE / "refused/base.yaml"
MEBIBYTE = 1024 * 1024


def is_refused(name, arguments, sentences):
    """For exactly these reasons; or, after `schema: `, by Helm itself, with these words among others."""
    result = helm("template", "events", CHART, "--values", BASE, *arguments)
    expect(result.returncode != 0, f"refused/{name}: it renders")
    if sentences[0].startswith("schema: "):
        wanted = sentences[0].removeprefix("schema: ")
        expect(wanted in result.stderr, f"refused/{name}: expected {wanted!r}, got:\n{result.stderr}")
    else:
        problems = [line[4:] for line in result.stderr.splitlines() if line.startswith("  - ")]
        expect(problems == sentences, f"refused/{name}: expected {sentences}, got:\n{result.stderr}")
    old = helm("template", "events", CHART, "--values", BASE, *arguments, binary=HELM3)
    expect(old.returncode != 0, f"refused/{name}: Helm 3 renders it")


def refusals():
    result = template(BASE)
    expect(result.returncode == 0, f"refused/base.yaml has a mistake of its own: {result.stderr}")
    sentences = {sentence for refuse in (in_files, sets_that_are_large, customers_that_are_many, unknown_alert) for sentence in refuse()}
    files_that_are_large()
    # Each `append $problems` of the template has its case here; that of the files has no fixed words.
    written = (CHART / "templates/_validate.tpl").read_text().count("append $problems")
    cases = len([sentence for sentence in sentences if not sentence.startswith("schema: ")]) + 1
    expect(cases >= written, f"_validate.tpl has {written} refusals, and {cases} are tested")


def in_files():
    for path in sorted(HERE.glob("refused/*.yaml")):
        if path == BASE:
            continue
        lines = path.read_text().splitlines()
        sentences = [line.removeprefix("# refused: ") for line in lines if line.startswith("# refused: ")]
        more = [word for line in lines if line.startswith("# with: ") for word in line.removeprefix("# with: ").split()]
        is_refused(path.name, ["--values", path, *more], sentences)
        yield from sentences


NO_SETS = ["--set", "descriptors.existingConfigMap="]
NO_CUSTOMERS = ["--set", "customers.existingConfigMap.name="]


def sets_that_are_large():
    sentence = (
        "descriptors.inline has 1048577 bytes, but a ConfigMap holds at most 1048576: use descriptors.s3, "
        "descriptors.image or descriptors.persistentVolumeClaim, or compile without --include_source_info"
    )
    fits, half = file_of("fits.binpb", MEBIBYTE), file_of("half.binpb", MEBIBYTE // 2)
    result = template(BASE, *NO_SETS, *inline(fits))
    expect(result.returncode == 0, f"a set that just fits into a ConfigMap is refused: {result.stderr}")
    is_refused("a large set", [*NO_SETS, *inline(file_of("beyond.binpb", MEBIBYTE + 1))], [sentence])
    three = [*inline(half, "a.binpb"), *inline(half, "b.binpb"), "--set-string", "descriptors.inline.c\\.pb=AA=="]
    is_refused("sets that are large together", [*NO_SETS, *three], [sentence])
    yield sentence


def customers_that_are_many():
    sentence = (
        "customers.inline has 1050010 bytes, but a ConfigMap holds at most 1048576: shorten it with "
        "config.route.topic_template, or put the file on a volume and set customers.persistentVolumeClaim.claimName"
    )
    many = SCRATCH / "customers.yaml"
    many.write_text(yaml.safe_dump({"customers": {"inline": [{"id": f"customer-{i:05}"} for i in range(50_000)]}}))
    topics = ["--set", "config.route.topic_template=arn:aws:sns:eu-west-1:1:{customer}"]
    is_refused("many customers", ["--values", many, *topics, *NO_CUSTOMERS], [sentence])
    yield sentence


def files_that_are_large():
    file = SCRATCH / "file"
    file.write_text("x" * MEBIBYTE)
    result = template(BASE, "--set-file", f"configFiles.x={file}")
    words = ("config and configFiles have 1048", "a ConfigMap holds at most 1048576", "mount the larger files with extra")
    expect(all(part in result.stderr for part in words), f"files that are large: {result.stderr}")


def unknown_alert():
    rules = yaml.safe_load((CHART / "files/rules.yaml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    names = ", ".join(sorted(alerts))
    sentence = f'prometheusRule.disabled has "ProtobridgeGnoe", but no alert has this name: use one of {names}'
    is_refused(
        "no alert", ["--set", "prometheusRule.enabled=true", "--set", "prometheusRule.disabled={ProtobridgeGnoe}"], [sentence]
    )
    yield sentence
