"""Checks the check: changes one part of a document at a time. `follow.py` must fail, and name the line of the change.

    mutations.py --work FOLDER -- ARGUMENTS OF FOLLOW

It takes some minutes and is no part of CI. Run it after a change of these scripts.
"""

import argparse
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# The document, a text that it has exactly once, and the text in its place. The check must name a line of the second.
README, OWNERS, OPERATIONS, CONSUMERS = "README.md", "docs/schema-owners.md", "docs/operations.md", "docs/consumers.md"
MUTATIONS = [
    (README, "run -- demo --events 2000", "run -- demo --event 2000"),
    (README, " customer    received  published  filtered", " customer    received  filtered  published"),
    (README, "stale: the last heartbeat came", "stale: the last event came"),
    (README, " heartbeats  age s  flowing at s", " heartbeats  flowing at s  age s"),
    (README, "initech protobridge.v1.Heartbeat ", "initech protobridge.v2.Heartbeat "),
    (README, "  event_id: [meta.event_id, event_id]", "  event_ids: [meta.event_id, event_id]"),
    (README, "expected an integer from 1 to 256", "expected an integer from 1 to 255"),
    (README, "shop.v1.Profile.SubscriptionsEntry]", "shop.v1.Profile]"),
    (README, '{"source":"a"}', '{"source":"b"}'),
    (README, "--type shop.v1.OrderPlaced --profile web >", "--type shop.v1.OrderPlaced --profile wep >"),
    (README, "`descriptors.poll_seconds`; on SIGHUP", "`descriptors.poll_second`; on SIGHUP"),
    (README, "The codec is also a library", "```console\n$ true\n```\n\nThe codec is also a library"),
    (OWNERS, "protobridge descriptors check gift-cards.binpb\n1", "protobridge descriptors chek gift-cards.binpb\n1"),
    (OWNERS, "shop.A.a: string is now int32 (type_changed)", "shop.A.a: string is now int64 (type_changed)"),
    (OWNERS, "  may_become_visible: [shop", "  may_become_visibel: [shop"),
    (OWNERS, '"decision": "replaced"', '"decision": "added"'),
    (OWNERS, "published\n      destinations:\n        initech", "filtered\n      destinations:\n        initech"),
    (OWNERS, "acme:\n          json: {meta: {eventId: e-1", "acme:\n          json: {meta: {eventId: e-2"),
    (OWNERS, "optional string gift_note", "optional sting gift_note"),
    (OWNERS, '["shop/shop.binpb","replaced",', '["shop/shop.binpb","added",'),
    (OWNERS, "- protobridge descriptors check new", "- protobridge descriptors check nev"),
    (OWNERS, "route        the customer's topic", "route        the topic of the customer"),
    (OWNERS, '"files": 4', '"files": 5'),
    (OWNERS, "it holds no file; is it empty", "it has no file; is it empty"),
    (OWNERS, "`--base64 TEXT`", "`--base TEXT`"),
    (OPERATIONS, "  podIdentity: {enabled", "  podIdentities: {enabled"),
    (OPERATIONS, "helm upgrade --install events", "helm upgrade --instal events"),
    (OPERATIONS, '"result": "denied"', '"result": "refused"'),
    (OPERATIONS, "starting: no queue could be received from", "starting: no queue can be received from"),
    (OPERATIONS, '"restart_pending": ["publish.linger_ms"', '"restart_pending": ["publish.linger"'),
    (OPERATIONS, '"last_error": {', '"latest_error": {'),
    (OPERATIONS, "count by (version, git_hash, config_hash", "count by (version, git, config_hash"),
    (OPERATIONS, "--metric-name NumberOfMessagesPublished", "--metrics-name NumberOfMessagesPublished"),
    (OPERATIONS, "peak during the reload  ", "peak while it reloads  "),
    (OPERATIONS, "(HTTPS_PROXY)\ncert", "(HTTP_PROXY)\ncert"),
    (OPERATIONS, "  - {name: company-ca, mountPath", "  - {names: company-ca, mountPath"),
    (OPERATIONS, "--build-arg VERSION=0.1.0 --build", "--build-arg VERSON=0.1.0 --build"),
    (OPERATIONS, "protobridge completions bash >", "protobridge completion bash >"),
    (OPERATIONS, "grep 'order-4711'", "grep 'order-4712'"),
    (OPERATIONS, "      sequence: heartbeat.number\n", "      sequence: heartbeat.count\n"),
    (OPERATIONS, '"table": "stock",', '"table": "stocks",'),
    (OPERATIONS, '"stale","gaps":0,"restarts":0}\n$ psql', '"late","gaps":0,"restarts":0}\n$ psql'),
    (OPERATIONS, "`publish.linger_ms` (10)", "`publish.linger_ms` (20)"),
    (CONSUMERS, "aws sqs set-queue-attributes --queue-url", "aws sqs set-queue-attribute --queue-url"),
    (CONSUMERS, '  "Effect": "Allow",\n', '  "Effect": "Allow"\n'),
    (CONSUMERS, "(s3, bucket, false);", "(s3, bucket);"),
    (CONSUMERS, "| 3.1175.0 |", "| 3.1176.0 |"),
    (CONSUMERS, "fromjson[1] | ", "fromjson[0] | "),
    (CONSUMERS, "quicktype --src-lang schema --lang typescript s", "quicktype --src-lang schem --lang typescript s"),
]

parser = argparse.ArgumentParser()
parser.add_argument("--work", type=Path, required=True)
parser.add_argument("--documents", nargs="+", default=[README, OWNERS, OPERATIONS])
parser.add_argument("follow", nargs="+")
args = parser.parse_args()
args.work.mkdir(parents=True, exist_ok=True)


def survives(numbered):
    """Makes one mutation. Returns a text if the check passes or names another line."""
    number, (document, old, new) = numbered
    text = (ROOT / document).read_text()
    assert text.count(old) == 1, f"{document} has {old!r} {text.count(old)} times"
    changed = args.work / f"{number}.md"
    changed.write_text(text.replace(old, new))
    command = [sys.executable, "-B", HERE / "follow.py", *args.follow, "--work", args.work / str(number)]
    command += ["--text", changed, document]
    done = subprocess.run(command, capture_output=True, text=True)
    first = text[: text.index(old)].count("\n") + 1
    named = re.search(rf"UNTRUE: {re.escape(document)}:(\d+)", done.stderr)
    if done.returncode == 1 and named and first <= int(named[1]) <= first + max(old.count("\n"), new.count("\n")):
        return None
    return f"{document}:{first}: {new!r} gives exit code {done.returncode}:\n{done.stdout}{done.stderr[-1500:]}"


with ThreadPoolExecutor(2) as threads:
    chosen = [mutation for mutation in MUTATIONS if mutation[0] in args.documents]
    survivors = [text for text in threads.map(survives, enumerate(chosen)) if text]
for text in survivors:
    print(f"documents: SURVIVED: {text}", file=sys.stderr)
print(f"documents: the check finds {len(chosen) - len(survivors)} of {len(chosen)} mutations")
sys.exit(bool(survivors))
