"""Follows documents word by word, and fails at the first part of each that is not true.

    follow.py --protobridge FILE --work FOLDER [--helm FILE] [--tools FOLDER]… [--text FILE] [DOCUMENT…]

`--helm` is needed for docs/operations.md, and `--tools`, folders with code generators and their Node.js, for
docs/consumers.md. `--text` is a file to take in place of the only document.
"""

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))

import consumers  # noqa: E402
import operations  # noqa: E402
import readme  # noqa: E402
import replay  # noqa: E402
import schema_owners  # noqa: E402
import spans  # noqa: E402
import tracing  # noqa: E402
from ground import CREDENTIALS, Account  # noqa: E402
from page import Page, Untrue, environment  # noqa: E402
from world import free_port, ministack  # noqa: E402

DOCUMENTS = ["README.md", "docs/schema-owners.md", "docs/operations.md", "docs/tracing.md", "docs/replay.md"]

parser = argparse.ArgumentParser()
parser.add_argument("--protobridge", type=Path, required=True)
parser.add_argument("--helm", type=Path, default=Path("helm"))
parser.add_argument("--tools", type=Path, action="append", default=[])
parser.add_argument("--work", type=Path, required=True)
parser.add_argument("--text", type=Path)
parser.add_argument("documents", nargs="*", default=DOCUMENTS)
args = parser.parse_args()


def clone(to):
    """Copies the files of this clone, without what git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def follow(document):
    """Follows one document. Returns its page, and what is untrue, or `None`."""
    name = Path(document).stem
    work = args.work / name
    (work / "tree").mkdir(parents=True)
    clone(work / "tree")
    if args.text:
        shutil.copy(args.text, work / "tree" / document)
    admin = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        (work / "ministack").mkdir()
        endpoint = stack.enter_context(ministack(work / "ministack", services="sqs,sns,s3,cloudwatch"))
        variables = CREDENTIALS | {
            "AWS_ENDPOINT_URL": endpoint, "PROTOBRIDGE_ADMIN_LISTEN": admin, "BINARY": args.protobridge.resolve(),
            "HELM": args.helm.resolve(), "PYTHON": sys.executable, "SERVICE_LOG": work / "service.log",
            "SERVICE_PID": work / "service.pid", "SERVICE_CONFIG": work / "service/protobridge.yaml",
            "RENDERED": work / "rendered.yaml",
        }
        # Real output gets the first of these addresses.
        replaced = {"127.0.0.1:8080": admin, "localhost:8080": admin}
        path = [*(folder.resolve() for folder in args.tools), Path(sys.executable).parent]
        commands = environment(HERE / "doubles", path, work / "home", **variables)
        if name != "README":
            # README.md says how to install it.
            (work / "home/.cargo/bin").mkdir(parents=True)
            (work / "home/.cargo/bin/protobridge").symlink_to(args.protobridge.resolve())
        page = Page(document, work / "tree", work, commands, replaced)
        try:
            account = Account(endpoint)
            page.follow({
                "README": lambda: readme.sections(account),
                "schema-owners": lambda: schema_owners.sections(account),
                "operations": lambda: operations.sections(account, [f"127.0.0.1:{free_port()}" for _ in range(4)]),
                "consumers": lambda: consumers.sections(account),
                "tracing": lambda: tracing.sections,
                "replay": lambda: replay.sections,
            }[name]())
            spans.check(page, args.protobridge)
        except Untrue as untrue:
            return page, untrue
        return page, None


os.environ.update(CREDENTIALS | {"NO_PROXY": "*", "no_proxy": "*"})
shutil.rmtree(args.work, ignore_errors=True)
args.work.mkdir(parents=True)
with ThreadPoolExecutor() as threads:
    followed = list(threads.map(follow, args.documents))
for page, untrue in followed:
    if untrue:
        print(f"documents: UNTRUE: {untrue}", file=sys.stderr)
        continue
    counts = ", ".join(f"{page.counts[kind]} {kind}" for kind in ("run", "compared", "checked", "names", "excused"))
    print(f"documents: {page.name}: {counts}")
    for excuse in page.excuses:
        print(f"documents:   excused: {excuse}")
sys.exit(any(untrue for _, untrue in followed))
