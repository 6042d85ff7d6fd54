"""The steps of docs/schema-owners.md."""

import json
import re
import shutil
import signal
import urllib.request

import change
import refusals
import yaml
from ground import encode
from page import Untrue

# Two sets of one file. The second one breaks consumers in the two ways that the document shows.
RELEASED = """syntax = "proto3"; package shop;
enum E { X = 0; Y = 1; }
message A { string a = 1; E e = 2; }
"""
BROKEN = RELEASED.replace("string a", "int32 a").replace("Y = 1", "Z = 1")


def get(url):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def compile_a_set(page):
    page.shell.enter(page.work / "owner")
    for folder in ("proto/examples", "proto/late"):
        shutil.copytree(page.tree / folder, page.work / "owner", dirs_exist_ok=True)
    page.run()


def check_before_release(page):
    folder = page.work / "owner"
    (folder / "released").mkdir()
    for text, to in ((RELEASED, "released/orders.binpb"), (BROKEN, "orders.binpb")):
        (folder / "orders.proto").write_text(text)
        assert page.shell.run(f"protoc --descriptor_set_out={to} orders.proto").code == 0
    page.run(code=1)


def start_service(page, name, sets):
    """Starts the service with sets in a folder of its own, and waits until it answers."""
    folder = page.work / name
    (folder / "descriptors").mkdir(parents=True)
    for file in sets:
        shutil.copy(file, folder / "descriptors")
    queue = {"url": "https://sqs.eu-west-1.amazonaws.com/123456789012/events"}
    route = {"topic_template": "arn:aws:sns:eu-west-1:123456789012:json-events-{customer}"}
    config = {"aws": {"region": "eu-west-1"}, "queues": [queue], "route": route}
    (folder / "protobridge.yaml").write_text(yaml.safe_dump(config))
    (folder / "customers.yaml").write_text("customers: [{id: acme}]\n")
    service = page.shell.start(f"protobridge run --config '{folder}/protobridge.yaml'", page.work / f"{name}.log")
    admin = page.real("http://localhost:8080")
    service.wait_until("/readyz is 200", lambda: page.shell.run(f"curl -sf {admin}/readyz").code == 0)
    return service


def compare_with_service(page):
    sets = [page.tree / "descriptors/shop.binpb", page.tree / "descriptors/protobridge.binpb"]
    page.service = start_service(page, "service", sets)
    # A newer version of the set, in which a field has another name in JSON.
    newer = page.work / "newer"
    shutil.copytree(page.tree / "proto/examples", newer)
    for file in newer.glob("shop/v1/*.proto"):
        file.write_text(re.sub(r"(string order_id = \d+);", r'\1 [json_name = "orderNo"];', file.read_text()))
    page.shell.enter(newer)
    compiled = page.shell.run("protoc --include_imports --descriptor_set_out=shop.binpb shop/v1/*.proto")
    assert compiled.code == 0, compiled.output
    page.run(code=1)
    page.run()
    fetched = newer / "in-force"
    assert (fetched / "shop.binpb").read_bytes() == sets[0].read_bytes(), "the fetched set is another one"
    page.try_span("curl -s http://localhost:8080/schemas/sets/shop.binpb")


def hidden_fields(page):
    while page.waiting:
        page.check_part(*page.yaml())


def what_changed(page):
    admin = page.real("http://localhost:8080")
    page.shell.run(f"ADMIN={admin}")
    shutil.copy(page.work / "newer/shop.binpb", page.work / "service/descriptors/shop.binpb")
    is_replaced = lambda: get(f"{admin}/schemas")["admissions"][-1]["decision"] == "replaced"  # noqa: E731
    page.service.wait_until("the set is replaced", is_replaced)
    page.run()
    page.run()
    page.service.stop()


def test_the_configuration(page):
    page.shell.enter(page.tree)
    page.run()
    block, _ = page.yaml()
    case = page.tree / "examples/shop/tests/case.yaml"
    case.write_text(block.text)
    result = page.shell.run("protobridge test --config examples/shop/protobridge.yaml examples/shop/tests/case.yaml")
    page.counts["checked"] += 1
    if result.code != 0:
        line = re.search(r"case\.yaml:(\d+)", result.output)
        place = block.lines[int(line[1]) - 1].place if line else block.place
        raise Untrue(place, f"the case does not pass:\n{result.output}")
    (page.tree / "new").mkdir()
    shutil.copy(page.work / "newer/shop.binpb", page.tree / "new")
    page.run(code=1)
    pipeline(page, case)


def pipeline(page, case):
    """Runs the commands of the pipeline in a folder that has what the repository of a schema owner has."""
    block, commands = page.yaml()
    folder = page.work / "pipeline"
    shutil.copytree(page.tree / "proto/examples", folder)
    (folder / "tests").mkdir()
    shutil.copy(case, folder / "tests")
    for name in ("protobridge.yaml", "customers.yaml"):
        shutil.copy(page.tree / "examples/shop" / name, folder)
    page.shell.enter(page.work / "in-force")
    command = f"protoc -I '{folder}' --include_imports --descriptor_set_out=orders.binpb shop/v1/order.proto"
    compiled = page.shell.run(command)
    assert compiled.code == 0, compiled.output
    service = start_service(page, "pipeline-service", [page.work / "in-force/orders.binpb"])
    page.replaced["https://protobridge.example.internal"] = page.real("http://localhost:8080")
    page.shell.enter(folder)
    lines = [line for line in block.lines if line.text.startswith("- ")]
    assert len(lines) == len(commands) > 0, "the pipeline is not a list of commands in lines"
    for line in lines:
        page.counts["run"] += 1
        result = page.shell.run(page.real(line.text[2:]))
        if result.code != 0:
            raise Untrue(line.place, f"the command exits with {result.code}:\n{result.output}")
    del page.replaced["https://protobridge.example.internal"]
    service.stop()


def see_a_change(page):
    # The document shows the samples of the example alone.
    (page.tree / "examples/shop/tests/case.yaml").unlink()
    page.shell.enter(page.tree)
    page.run(code=1)


def explain(page):
    page.shell.enter(page.tree)
    protos = [page.tree / "proto/examples"]
    text = 'meta {tenant_id: "acme"}'
    order = encode(page.shell.environment, protos, "shop.v1.OrderPlaced", text, "shop/v1/order.proto")
    (page.tree / "order.bin").write_bytes(order)
    page.run()
    shutil.copy(page.tree / "examples/shop/customers.yaml", page.tree)
    config = (page.tree / "examples/shop/protobridge.yaml").read_text()
    (page.tree / "protobridge.yaml").write_text(config.replace("../../descriptors", "descriptors"))
    command = "protobridge transcode --config protobridge.yaml --customer acme --type shop.v1.OrderPlaced < order.bin"
    result = page.try_span(command)
    assert result.output == '{"meta":{"tenantId":"acme"}}\n', f"{command} prints {result.output}"


def demo(page):
    demo = page.start()
    admin = lambda: re.search(r"admin endpoint +(\S+)", demo.output)  # noqa: E731
    printed = demo.wait_until("the demo prints its admin endpoint", admin)
    page.shell.run(f"ADMIN={printed[1]}")
    command = page.peek()
    is_retried = lambda: re.search(r" [1-9]\d*$", page.shell.run(command).output)  # noqa: E731
    demo.wait_until("an event of unknown type is retried", is_retried)
    page.run(numbers=True)
    page.run()
    cards = lambda: re.findall(r"^acme .*GiftCardIssued .*$", demo.output, re.MULTILINE)  # noqa: E731
    demo.wait_until("a gift card appears", cards)
    # The currency of a card is random.
    page.output(re.sub(r'"currency":"\w+"', '"currency":"EUR"', cards()[0]), numbers=True)
    schemas = get(f"{printed[1]}/schemas")
    block = page.next("text")
    told, (owner, owning) = json.loads(block.lines[0].text), json.loads(f"{{{block.lines[1].text}}}").popitem()
    page.counts["compared"] += 1
    real = next(each for each in schemas["sets"] if each["name"] == told["name"])
    if differences := page.comparison.json_differences(told, real):
        raise Untrue(block.lines[0].place, f"the real JSON differs: {differences}")
    if schemas["types"].get(owner) != owning:
        raise Untrue(block.lines[1].place, f"the real owner is {schemas['message_types'].get(owner)}")
    code = demo.stop(signal.SIGINT)
    assert code == 0, f"Ctrl-C ends the demo with {code}"


def sections(account):
    return {
        "Compile a set": compile_a_set,
        "Check it before you release it": check_before_release,
        "Compare it with what is in force": compare_with_service,
        "Hidden fields": hidden_fields,
        "What changed, and when": what_changed,
        "Test the configuration": test_the_configuration,
        "See a change before it ships": see_a_change,
        "The whole path of a change": lambda page: change.follow(page, account),
        "Ask what becomes of a message": explain,
        "Try it in the demo": demo,
        "Refusal messages": refusals.check,
    }
