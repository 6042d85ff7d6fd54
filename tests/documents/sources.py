"""The steps of the section "Quiet or broken?" in docs/operations.md."""

import json
import urllib.request

import yaml
from page import MINIMAL


def quiet_or_broken(page, admins):
    """Starts two replicas, and waits until the heartbeat of the text has reached one of them."""
    page.check_part(*page.yaml())
    folder = page.work / "sources"
    page.shell.enter(folder)
    config = MINIMAL | {
        "descriptors": {"path": str(page.tree / "descriptors")}, "heartbeats": {"expect": [{"source": "orders-eu-1"}]},
    }
    (folder / "protobridge.yaml").write_text(yaml.safe_dump(config))
    (folder / "customers.yaml").write_text("customers: [{id: acme}]\n")
    replicas = [
        page.shell.start(f"PROTOBRIDGE_ADMIN_LISTEN={admin} protobridge run", page.work / f"replica-{number}.log")
        for number, admin in enumerate(admins)
    ]

    def states():
        for admin in admins:
            try:
                with urllib.request.urlopen(f"http://{admin}/status") as answer:
                    yield json.load(answer)["sources"]["list"][0]["state"]
            except OSError:
                pass

    replicas[0].wait_until("both replicas answer", lambda: list(states()) == ["unknown", "unknown"])
    page.run(numbers=True)
    replicas[0].wait_until("a replica hears the source", lambda: "quiet" in states())
    told = dict(zip(("10.0.0.7:8080", "10.0.0.8:8080"), admins, strict=True))
    page.replaced |= told
    page.run(numbers=True)
    for name in told:
        del page.replaced[name]
    for replica in replicas:
        assert replica.stop() == 0
    # A test of the service compares the keys with those of /status.
    page.json()
    page.check_part(*page.yaml())


def sections(admins):
    return {"Quiet or broken?": lambda page: quiet_or_broken(page, admins)}
