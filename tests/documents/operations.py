"""The steps of docs/operations.md."""

import base64
import json
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import botocore
import bucket
import canary
import postgresql
import sources
import yaml
from ground import Denying, encode
from page import MINIMAL, Untrue


def get(url):
    """Returns the status and the body of an answer."""
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()
    except OSError:
        return None, ""


def write_service(page):
    """Writes the configuration of the service in `SERVICE_CONFIG`, and its customers."""
    folder = page.work / "service"
    folder.mkdir()
    config = MINIMAL | {
        "descriptors": {"path": str(page.tree / "descriptors")}, "log": {"format": "json"},
        "taps": {"customer": ["meta.tenant_id"], "event_id": ["meta.event_id"]},
    }
    (folder / "protobridge.yaml").write_text(yaml.safe_dump(config))
    (folder / "customers.yaml").write_text("customers: [{id: acme}]\n")
    page.shell.enter(folder)


def start_service(page):
    """Starts the service, whose log is in `SERVICE_LOG` and whose process in `SERVICE_PID`."""
    log = page.shell.environment["SERVICE_LOG"]
    page.service = page.shell.start("protobridge run --config \"$SERVICE_CONFIG\"", log)
    (page.work / "service.pid").write_text(f"{page.service.process.pid}\n")
    ready = f"{page.real('http://localhost:8080')}/readyz"
    page.service.wait_until("/readyz is 200", lambda: get(ready)[0] == 200)


def rendered(page):
    """Returns the objects that helm rendered, by kind and name."""
    objects = yaml.safe_load_all((page.work / "rendered.yaml").read_text())
    return {(each["kind"], each["metadata"]["name"]): each for each in objects if each}


def check_rendered(page, block):
    """Checks the configuration that the chart makes of the values."""
    folder = page.work / "installed"
    folder.mkdir(exist_ok=True)
    for (kind, _), value in rendered(page).items():
        for name, text in value.get("data", {}).items() if kind == "ConfigMap" else ():
            (folder / name).write_text(text.replace("/etc/protobridge/config", str(folder)).replace(
                "/etc/protobridge/customers", str(folder)))
    variable = f"PROTOBRIDGE_DESCRIPTORS_PATH='{page.tree}/descriptors'"
    result = page.shell.run(f"{variable} protobridge check --strict --config '{folder}/protobridge.yaml'")
    page.counts["checked"] += 1
    if result.code != 0:
        place = page.place_in_file(result.output) or block.place
        raise Untrue(place, f"the configuration is not valid:\n{result.output}")


def install(page):
    page.shell.enter(page.tree)
    values = page.file()
    page.run()
    check_rendered(page, values)
    # The names in the other commands of the page.
    for kind, name in (("Deployment", "protobridge"), ("Service", "protobridge"), ("ConfigMap", "protobridge-config")):
        assert (kind, f"events-{name}") in rendered(page), f"the chart renders no {kind} events-{name}"
    labels = rendered(page)["Deployment", "events-protobridge"]["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "protobridge", labels


def receives(page, account):
    """Compares the formula and the sum with the number that `check --online` asks for."""
    write_service(page)
    block = page.next("text")
    if block.text != "maxReceiveCount >= receives within the grace period + 1 + 5\n":
        raise Untrue(block.lines[0].place, "the formula is another one")
    within, total = (re.search(text, page.source) for text in (r"(\d+) receives\.\n", r"the sum is (\d+)\."))
    url = account.sqs.get_queue_url(QueueName="events")["QueueUrl"]
    dead = account.arn("sqs", "events-dead")
    policy = {"deadLetterTargetArn": dead, "maxReceiveCount": str(int(total[1]) - 1)}
    account.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})
    output = page.shell.run("protobridge check --online").output
    warning = re.search(r"^warning .*\b(\d+) receives?.*$|^warning .*$", output, re.MULTILINE)
    page.counts["checked"] += 1
    if int(within[1]) + 1 + 5 != int(total[1]) or not warning or not re.search(rf"\b{total[1]}\b", warning[0]):
        raise Untrue(block.place, f"the sum for the defaults is not {total[1]}:\n{output}")
    policy["maxReceiveCount"] = total[1]
    account.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})
    output = page.shell.run("protobridge check --online --strict")
    assert output.code == 0, f"the check warns at {total[1]} receives too:\n{output.output}"


def check_before_start(page, account):
    page.shell.enter(page.work / "service")
    denying = Denying(account.endpoint, "DeleteMessage")
    result = page.shell.run(f"AWS_ENDPOINT_URL={denying.url} protobridge check --online --json")
    assert result.code == 1, f"the check exits with {result.code}:\n{result.output}"
    page.json(json.loads(result.output))


def states(page, account):
    denying = Denying(account.endpoint, "ReceiveMessage")
    command = f"AWS_ENDPOINT_URL={denying.url} protobridge run --config \"$SERVICE_CONFIG\""
    service = page.shell.start(command, page.work / "denied.log")
    ready = f"{page.real('http://localhost:8080')}/readyz"
    service.wait_until("/readyz names the queue", lambda: "AccessDenied" in get(ready)[1])
    page.shell.run('CONFIG="$SERVICE_CONFIG"')
    page.run(code=1)
    assert get(ready)[0] == 503
    assert service.stop() == 0


def test_installation(page, account):
    page.excuse("the chart makes the root", "tests/platform/run compares it with its own report")
    # From here on, the service has a second queue.
    url = "https://sqs.eu-west-1.amazonaws.com/123456789012/refunds"
    account.queue("refunds")
    file = page.work / "service/protobridge.yaml"
    config = yaml.safe_load(file.read_text())
    config["queues"].append({"url": url, "quarantine_url": MINIMAL["queues"][0]["quarantine_url"]})
    file.write_text(yaml.safe_dump(config))
    start_service(page)
    status = page.run()
    page.counts["checked"] += 1
    assert "uptime" in status.output, status.output


def upgrade(page):
    page.shell.enter(page.tree)
    page.run()


def after_kubectl(page):
    page.excuse("Error: UPGRADE FAILED: conflict occurred", "it needs a cluster: tests/cluster/run")
    page.run()


def own_config_maps(page):
    page.shell.enter(page.tree)
    page.run()
    applied = yaml.safe_load((page.tree / "schemas.yaml").read_text())
    # The name in the values at the top of the page.
    installed = yaml.safe_load((page.tree / "values.yaml").read_text())["descriptors"]["existingConfigMap"]
    page.counts["checked"] += 1
    sets = {"shop.binpb": base64.b64encode((page.tree / "descriptors/shop.binpb").read_bytes()).decode()}
    assert applied["metadata"]["name"] == installed, applied["metadata"]
    assert applied["binaryData"] == sets, "the ConfigMap has other sets"


def changes(page):
    page.run()
    log = page.work / "service.log"
    page.service.wait_until("SIGHUP reloads", lambda: "SIGHUP" in log.read_text())
    file = page.work / "service/protobridge.yaml"
    original = file.read_text()
    config = yaml.safe_load(original)
    config["publish"] = {"linger_ms": 5}
    config["queues"][1]["url"] += "-eu"
    file.write_text(yaml.safe_dump(config))
    status = f"{page.real('http://localhost:8080')}/status"
    configuration = lambda: json.loads(get(status)[1])["configuration"]  # noqa: E731
    page.service.wait_until("the keys wait for a restart", lambda: configuration()["restart_pending"])
    page.replaced["/etc/protobridge/config"] = str(file.parent)
    page.json({"configuration": configuration()})
    del page.replaced["/etc/protobridge/config"]
    file.write_text(original)
    page.service.wait_until("no key waits for a restart", lambda: not configuration()["restart_pending"])

    # The comment of the command is the change.
    change = yaml.safe_load(page.peek().split(" # ")[1])
    edited = page.work / "edited.yaml"
    edited.write_text(yaml.safe_dump(yaml.safe_load(original) | {"log": change["log"] | {"format": "json"}}))
    page.shell.run(f"export EDITOR='cp {edited} \"$0\"'")
    page.run()
    page.service.wait_until("the level takes effect", lambda: '"log.level"' in log.read_text())


def promql(page):
    """Checks that the metric of a query is there with all its labels. tests/alerts/run evaluates the query."""
    block = page.next("promql")
    page.counts["checked"] += 1
    found = re.fullmatch(r"count by \(([\w, ]+)\) \((\w+)\)\n", block.text)
    if not found:
        raise Untrue(block.lines[0].place, "no check knows this form of a query")
    metrics = get(f"{page.real('http://localhost:8080')}/metrics")[1]
    series = re.search(rf"^{found[2]}\{{(.*)\}} ", metrics, re.MULTILINE)
    if not series or not set(found[1].split(", ")) <= set(re.findall(r"(\w+)=", series[1])):
        has = series and series[0]
        raise Untrue(block.lines[0].place, f"/metrics has no {found[2]} with the labels {found[1]}: {has}")


def roll_back(page):
    page.run()
    promql(page)
    page.run()


def memory(page):
    page.shell.enter(page.work / "memory")
    shutil.copy(page.tree / "descriptors/shop.binpb", page.work / "memory/googleapis.binpb")
    page.run(numbers=True)


def claim_checks(page):
    """Checks the block, which has a part of the configuration and the customers."""
    block, value = page.yaml()
    folder = page.work / "claims"
    folder.mkdir()
    (folder / "customers.yaml").write_text(yaml.safe_dump({"customers": value.pop("customers")}))
    config = MINIMAL | {"descriptors": {"path": str(page.tree / "descriptors")}} | value
    (folder / "protobridge.yaml").write_text(yaml.safe_dump(config))
    page.files = {"part": block}
    page.check(block, file=folder / "protobridge.yaml")


def proxies(page):
    folder = page.work / "proxies"
    page.shell.enter(folder)
    shutil.copytree(page.tree / "descriptors", folder / "descriptors")
    (folder / "protobridge.yaml").write_text(yaml.safe_dump(MINIMAL))
    (folder / "customers.yaml").write_text("customers: [{id: acme}]\n")
    page.replaced["/etc/ssl/company.pem"] = Path(botocore.__file__).parent / "cacert.pem"
    page.run()
    page.shell.enter(page.tree)
    block, extra = page.yaml()
    (page.tree / "extra.yaml").write_text(yaml.safe_dump(extra))
    page.files = {"extra.yaml": block}
    result = page.shell.run("helm upgrade events charts/protobridge --values values.yaml --values extra.yaml")
    page.counts["checked"] += 1
    if result.code != 0:
        raise Untrue(page.place_in_file(result.output) or block.place, result.output)
    (container,) = rendered(page)["Deployment", "events-protobridge"]["spec"]["template"]["spec"]["containers"]
    names = {each["name"] for each in container["env"]}
    assert {each["name"] for each in extra["extraEnv"]} <= names, f"the pod has only the variables {names}"


def image(page):
    build = page.excuse("$ docker buildx build --platform", "tests/image/run builds the image, with buildah")
    run = page.excuse("$ docker run --read-only", "tests/image/run runs the image, with podman")
    page.excuse("$ cosign verify gcr.io/distroless", "it asks a registry and a log of signatures in the internet")
    dockerfile = (page.tree / "Dockerfile").read_text()
    for line in build.lines:
        for name in re.findall(r"--build-arg (\w+)=", line.text):
            if not re.search(rf"^ARG {name}\b", dockerfile, re.MULTILINE):
                raise Untrue(line.place, f"the Dockerfile has no build argument {name}")
    folder = re.search(r":(/etc/\S+):ro", run.text)[1]
    if f"PROTOBRIDGE_CONFIG={folder}/protobridge.yaml" not in dockerfile:
        raise Untrue(run.place, f"the image does not read its configuration from {folder}")


def completions(page):
    for folder in ("/usr/share/bash-completion/completions", "/usr/local/share/man/man1"):
        page.replaced[folder] = page.work / f"root{folder}"
        page.replaced[folder].mkdir(parents=True)
    page.run()
    assert "complete -F" in page.replaced["/usr/share/bash-completion/completions"].joinpath("protobridge").read_text()
    assert page.replaced["/usr/local/share/man/man1"].joinpath("protobridge-run.1").exists()


def what_became(page, account):
    protos = [page.tree / "proto/examples"]
    text = 'meta {tenant_id: "acme" event_id: "order-4711"}'
    order = encode(page.shell.environment, protos, "shop.v1.OrderPlaced", text, "shop/v1/order.proto")
    account.send("shop.v1.OrderPlaced", order)
    command = page.peek()
    result = page.service.wait_until("the log has the event", lambda: found(page.shell.run(command)))
    line = json.loads(result.output.splitlines()[0])
    table = re.search(r"^\| `published` \|.*\| (.*) \|$", page.source, re.MULTILINE)[1]
    told = {"message_id", "queue", "event_type", "event_id", *re.findall(r"`(\w+)`", table)}
    fields = line.get("fields", line)
    if fields["message"] != "published" or not told <= fields.keys():
        raise Untrue(page.place, f"a line `published` has the fields {sorted(told)}, and the log has {line}")
    page.run()
    code = page.service.stop()
    assert code == 0, f"SIGTERM ends the service with {code}"


def found(result):
    return result if result.code == 0 else None


def sections(account, admins):
    """Returns the steps by heading. `admins` are four free addresses for the admin endpoints of more processes."""
    prober, reader, *replicas = admins
    return canary.sections(account, prober) | sources.sections(replicas) | postgresql.sections(account) | {
        "Install": install,
        "Receives that the redrive policy must allow": lambda page: receives(page, account),
        "Check before the start": lambda page: check_before_start(page, account),
        "States": lambda page: states(page, account),
        "Test the installation and its alerts": lambda page: test_installation(page, account),
        "Upgrade": upgrade,
        "After a change with kubectl": after_kubectl,
        "ConfigMaps of your own": own_config_maps,
        "Changes while running": changes,
        "Sets and customers in a bucket": lambda page: bucket.follow(page, account, reader),
        "Which version runs": promql,
        "Roll back": roll_back,
        "Memory of descriptor sets": memory,
        "Claim checks": claim_checks,
        "Proxies and certificates": proxies,
        "The image": image,
        "Shell completions and manual pages": completions,
        "What became of an event?": lambda page: what_became(page, account),
        "Store and journal": lambda page: page.check_part(*page.yaml()),
        "Archive": lambda page: page.check_part(*page.yaml()),
    }
