"""The steps of README.md."""

import re
import signal

import yaml
from ground import encode
from page import Untrue
from shell import Shell


def overview(page):
    page.excuse(" services ──Protobuf──▶ SQS", "a figure, no output")


def try_it(page):
    # The page promises commands that can be run meanwhile, and a demo that runs until Ctrl-C.
    endless = page.shell.start("cargo run -- demo --rate 20 --pretty", page.work / "endless.log")
    endless.wait_until("the demo prints its commands", lambda: "--wait-time-seconds 5\n" in endless.output)
    demo = page.run(seconds=120)
    page.run(seconds=120)
    page.output(demo.output[demo.output.index("--wait-time-seconds 5\n") + 22 :], numbers=True, sample=True)
    commands = re.findall(r"^  ((?:curl|aws|export) .*)", endless.output, re.MULTILINE)
    assert len(commands) == 9, f"the demo prints {len(commands)} commands, not 9:\n{endless.output}"
    terminal = Shell(page.tree, page.shell.environment)
    terminal.run('curl() { command curl --fail "$@"; }')
    for command in commands:
        result = terminal.run(command)
        assert result.code == 0, f"the demo's command `{command}` exits with {result.code}:\n{result.output}"
        page.counts["run"] += 1
    terminal.close()
    assert '"eventId": "' in endless.output, "`--pretty` does not print the JSON in several lines"
    code = endless.stop(signal.SIGINT)
    assert code == 0, f"Ctrl-C ends the demo with {code}"


def run_it(page, account):
    page.run()
    for _ in range(2):
        page.file()
    service = page.start()
    admin = page.real("http://localhost:8080")
    service.wait_until("/readyz is 200", lambda: page.shell.run(f"curl -sf {admin}/readyz").code == 0)
    protos = [page.tree / "proto/examples"]
    text = 'meta {tenant_id: "acme"}'
    order = encode(page.shell.environment, protos, "shop.v1.OrderPlaced", text, "shop/v1/order.proto")
    account.send("shop.v1.OrderPlaced", order)
    event = service.wait_until("acme gets its event", account.receive)
    assert event["Body"] == '{"meta":{"tenantId":"acme"}}', event
    check_attributes(page, event)
    check_paths(page, admin, event)
    code = service.stop()
    assert code == 0, f"SIGTERM ends the service with {code}:\n{service.output}"

    # A file with these mistakes in these lines.
    mistakes = re.findall(r"line (\d+): (\w+)\.(\w+): (.*)", page.waiting[0].text)
    lines = ["queues: [{url: 'https://sqs.eu-west-1.amazonaws.com/123456789012/events'}]", *[""] * 999]
    for line, section, key, problem in mistakes:
        lines[int(line) - 2 : int(line)] = [f"{section}:", f"  {key}: {'many' if 'found' in problem else 1}"]
    (page.work / "mistaken").mkdir()
    (page.work / "mistaken/protobridge.yaml").write_text("\n".join(lines))
    page.output(page.shell.run(f"cd '{page.work}/mistaken' && protobridge check; cd - >/dev/null").output)


def check_attributes(page, event):
    """Compares the attributes of an event with the table of the section Output."""
    table = page.source.split("| attribute | value |", 1)[1].split("\n\n", 1)[0]
    told = {name for row in table.splitlines() for name in re.findall(r"`([\w-]+)`", row.split(" | ")[0])}
    real = set(event["MessageAttributes"])
    optional = {"replay", "traceparent", "tracestate"}
    if told - optional != real - optional:
        raise Untrue(page.place, f"the table of attributes has {sorted(told)}, the event {sorted(real)}")
    page.counts["checked"] += 1


def check_paths(page, admin, event):
    """Requests each path in the table of the admin endpoint."""
    table = page.source.split("| path | answer |", 1)[1].split("\n\n", 1)[0]
    paths = [path for row in table.splitlines() for path in re.findall(r"`(/[\w/-]+)`", row.split(" | ")[0])]
    assert len(paths) >= 9, f"the table of the admin endpoint has only {paths}"
    hash = event["MessageAttributes"]["schema-hash"]["StringValue"]
    names = {"HASH": hash, "TYPE": "shop.v1.OrderPlaced", "PROFILE": "web", "NAME": "shop.binpb"}
    for path in paths:
        real = "/".join(names.get(part, part) for part in path.split("/"))
        # This service has no store, so it has no row that is not stored.
        expected = 404 if path.startswith("/trace/") else 200
        status = page.shell.run(f"curl -s -o /dev/null -w '%{{http_code}}' '{admin}{real}'").output
        assert status.strip() == str(expected), f"{path} answers {status}, not {expected}"
        page.counts["checked"] += 1


def input_section(page):
    blocks = [page.file() for _ in range(4)]
    page.check(*blocks)


def for_consumers(page):
    page.run()
    folder = page.shell.folder
    document = yaml.safe_load((folder / "acme.yaml").read_text())
    assert document["asyncapi"].startswith("3."), "acme.yaml is not AsyncAPI 3"
    assert "OrderPlaced" in (folder / "order-placed.json").read_text()


def transcode(page):
    page.run(code=1)


def test_it(page):
    page.excuse("$ cargo test --workspace", "it is the first step of .ci/run")


def sections(account):
    return {
        "protobridge": overview,
        "Try it": try_it,
        "Run it": lambda page: run_it(page, account),
        "Input": input_section,
        "For consumers": for_consumers,
        "Transcode on the command line": transcode,
        "Test it": test_it,
    }
