"""The release `shop`, which publishes events: installation, policies, rollouts, failures, and changes while running."""

import base64
import datetime
import json
import re
import time

import yaml
from cluster import CHART, IMAGE, ROOT, Timer, is_ready, require, until
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from outside import ENDPOINT, OTHER, REDIS
from traffic import client, entry
from world import AWS, REGION, get

NAMESPACE, RELEASE = "events", "shop"
NAME = f"{RELEASE}-protobridge"
SERVICE = "app.kubernetes.io/component=bridge,app.kubernetes.io/instance=shop"
EVENTS = 10_000


def new_type(name):
    """Returns a descriptor set with a message of this name, and its class."""
    files = descriptor_pb2.FileDescriptorSet()
    file = files.file.add(name=f"{name}.proto", package="live.v1", syntax="proto3")
    message = file.message_type.add(name=name)
    for number, each in enumerate(["event_id", "tenant_id"], 1):
        kind, label = (
            descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
            descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
        )
        message.field.add(name=each, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return files.SerializeToString(), message_factory.GetMessageClass(pool.FindMessageTypeByName(f"live.v1.{name}"))


class Live:
    def __init__(self, cluster, traffic):
        self.cluster, self.traffic = cluster, traffic
        self.stage = traffic.stage
        s3, sns, sqs = client("s3"), client("sns"), client("sqs")
        s3.create_bucket(Bucket="protobridge", CreateBucketConfiguration={"LocationConstraint": REGION})
        self.canary_topic = sns.create_topic(Name="canary")["TopicArn"]
        self.canary_queue = sqs.create_queue(QueueName="canary-return")["QueueUrl"]
        self.subscribe(self.canary_topic, self.canary_queue, raw=False)
        self.values = self.first_values()

    def subscribe(self, topic, queue, raw=True):
        arn = self.stage.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        attributes = {"RawMessageDelivery": "true" if raw else "false"}
        client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)

    def first_values(self):
        sets = {
            each.name: base64.b64encode(each.read_bytes()).decode() for each in (ROOT / "descriptors").glob("*.binpb")
        }
        return {
            "image": {"repository": IMAGE, "tag": "1"},
            "config": {
                "aws": {"region": REGION, "endpoint_url": ENDPOINT},
                "queues": [{"name": "events", "url": self.stage.source, "quarantine_url": self.stage.quarantine}],
                "taps": {"customer": ["meta.tenant_id", "tenant_id"], "event_id": ["meta.event_id", "event_id"]},
                "heartbeats": {"expect": [{"source": "orders-eu-1"}]},
                "canary": {
                    "queue": "events",
                    "topic": self.canary_topic,
                    "return_queue_url": self.canary_queue,
                    "interval_seconds": 2,
                    "deadline_seconds": 10,
                },
            },
            "customers": {"inline": [{"id": key, "topic": topic} for key, topic in self.stage.topics.items()]},
            "descriptors": {"inline": sets},
            "networkPolicy": {"enabled": True},
            "extraEnv": [{"name": key, "value": value} for key, value in AWS.items()],
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "640Mi"}},
        }

    def values_file(self):
        file = self.cluster.work / "shop.yaml"
        file.write_text(yaml.safe_dump(self.values))
        return file

    def upgrade(self, *options, major=4, check=True, wait=True):
        wait = ["--wait", "--timeout", "120s"] if wait else []
        return self.cluster.helm(
            major,
            "upgrade",
            "--install",
            RELEASE,
            CHART,
            "--namespace",
            NAMESPACE,
            "--values",
            self.values_file(),
            *wait,
            *options,
            check=check,
        )

    def kubectl(self, *arguments, **options):
        return self.cluster.kubectl("--namespace", NAMESPACE, *arguments, **options)

    def pods(self, labels=SERVICE):
        return [
            each for each in self.cluster.list("pods", NAMESPACE, labels) if "deletionTimestamp" not in each["metadata"]
        ]

    def ready(self):
        return [pod for pod in self.pods() if is_ready(pod)]

    def until_ready(self, count):
        until(f"{count} pods are ready", lambda: len(self.pods()) == count == len(self.ready()), self.logs)

    def logs(self):
        return self.cluster.logs(NAMESPACE)

    def admin(self, path, pod=None):
        """Returns the answer of a pod's admin endpoint. The node reaches it despite the policy, as the kubelet must."""
        pod = pod or self.ready()[0]
        return get(f"http://{pod['status']['podIP']}:8080{path}")[1]

    def status(self, pod=None):
        return json.loads(self.admin("/status", pod))

    def probe(self, labels, url):
        """Makes a pod with these labels that asks for a URL for up to 15 seconds, and returns its name."""
        name = f"probe-{'test' if labels else 'other'}"
        context = yaml.safe_load((CHART / "values.yaml").read_text())
        container = {
            "name": "probe",
            "image": f"{IMAGE}:1",
            "securityContext": context["containerSecurityContext"],
            "args": ["healthcheck", "--url", url, "--retry-for", "15"],
        }
        spec = {"restartPolicy": "Never", "securityContext": context["podSecurityContext"], "containers": [container]}
        metadata = {"name": name, "labels": labels}
        self.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, namespace=NAMESPACE)
        return name

    def outcome(self, name):
        def phase():
            return self.cluster.get("pod", name, NAMESPACE)["status"].get("phase")

        until(f"{name} ends", lambda: phase() in ("Succeeded", "Failed"), self.logs)
        return phase(), self.kubectl("logs", name).stdout

    # --- Steps. Each yields rows of the report: what was checked, seconds, figures.

    def install(self):
        self.cluster.tag(f"{IMAGE}:1", f"{IMAGE}:2")
        with Timer() as timer:
            self.upgrade()
        with Timer() as events:
            sent = self.traffic.make(200)
            self.traffic.send(sent)
            self.traffic.settle(sent)
        checked = (
            "Helm 4 installs as a user with the Role of examples/, under PodSecurity `restricted`; 200 events pass"
        )
        yield checked, timer.seconds + events.seconds, f"ready after {timer.seconds:.0f} s"

    def policy(self):
        """The policies are enforced: without this, `helm test` behind a policy would prove nothing."""
        with Timer() as timer:
            url = f"http://{NAME}.{NAMESPACE}.svc:8080/readyz"
            test = {"app.kubernetes.io/name": "protobridge", "app.kubernetes.io/instance": RELEASE}
            allowed = self.probe(test | {"app.kubernetes.io/component": "test"}, url)
            refused = self.probe({}, url)
            pod = self.ready()[0]["metadata"]["name"]

            def asks(url):
                return self.kubectl("exec", pod, "--", "protobridge", "healthcheck", "--url", url, check=False)

            answer = asks(OTHER)
            require(answer.returncode == 1, "the service reaches no port that no configuration names", answer)
            answer = asks(f"{ENDPOINT}/_ministack/health")
            require(answer.returncode == 0, "the service reaches its endpoint", answer.stderr)
            outcome = self.outcome(allowed)
            require(outcome[0] == "Succeeded", "a pod with the labels of the test reaches the service", outcome)
            outcome = self.outcome(refused)
            require(outcome[0] == "Failed", "a pod without them does not", outcome)
            self.kubectl("delete", "pod", allowed, refused, "--wait=false")
        yield (
            "the NetworkPolicy is enforced: one port out and one peer in are refused, the others pass",
            timer.seconds,
            "",
        )

    def test(self, major=4):
        with Timer() as timer:
            self.cluster.helm(major, "test", RELEASE, "--namespace", NAMESPACE, "--timeout", "90s")
            left = [each["metadata"]["name"] for each in self.pods("app.kubernetes.io/component=test")]
        require(not left, "no test pod is left", left)
        yield f"`helm test` of Helm {major} passes behind the policy and leaves no pod", timer.seconds, ""

    def rollout(self):
        def roll(sender):
            self.upgrade("--set-string", "image.tag=2")
            require(sender.is_alive(), "events flow until the new pod is ready")
            self.cluster.helm(4, "rollback", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "120s")

        before = {pod["metadata"]["uid"] for pod in self.pods()}
        with Timer() as timer:
            events = self.traffic.during(EVENTS, 250, roll)
            self.traffic.settle(events)
        require(not before & {pod["metadata"]["uid"] for pod in self.pods()}, "each pod was replaced")
        figures = f"{len(events):,} events, 0 missing, 0 duplicates"
        yield "an upgrade to another image and a rollback while events flow", timer.seconds, figures

    def conflicts(self):
        """Helm 4 applies on the server, which refuses to overwrite fields that kubectl has set."""
        deployment = f"deployment/{NAME}"
        changes = {
            "scale": ["scale", deployment, "--replicas", "2"],
            "set image": ["set", "image", deployment, f"protobridge={IMAGE}:2"],
            "patch": ["patch", deployment, "--patch", '{"spec": {"minReadySeconds": 3}}'],
        }
        with Timer() as timer:
            for what, command in changes.items():
                self.kubectl(*command, user="deployer")
                done = self.upgrade(check=False, wait=False)
                require(done.returncode and "conflict" in done.stderr, f"Helm 4 refuses to upgrade after {what}", done)
                back = self.cluster.helm(4, "rollback", RELEASE, "--namespace", NAMESPACE, check=False)
                require(
                    back.returncode and "conflict" in back.stderr, f"Helm 4 refuses to roll back after {what}", back
                )
                self.upgrade("--force-conflicts", wait=False)
            spec = self.cluster.get("deployment", NAME, NAMESPACE)["spec"]
            image = spec["template"]["spec"]["containers"][0]["image"]
            found = spec["replicas"], image, spec["minReadySeconds"]
            require(found == (1, f"{IMAGE}:1", 10), "--force-conflicts restores the values of the chart", found)
            self.until_ready(1)
        checked = "Helm 4 refuses to overwrite `kubectl scale`, `set image` and `patch`; `--force-conflicts` does it"
        yield checked, timer.seconds, ""

    def helm3(self):
        """Helm 3 takes over the release. It comes last: Helm 4 then applies as Helm 3 does, on the client."""
        yield from self.test(major=3)
        with Timer() as timer:
            self.kubectl("scale", f"deployment/{NAME}", "--replicas", "2", user="deployer")
            self.values["podAnnotations"] = {"round": "third"}
            self.upgrade(major=3)
            self.values["podAnnotations"] = {"round": "fourth"}
            self.upgrade()
        yield "Helm 3 upgrades the release after `kubectl scale` without a conflict, and so does Helm 4 then", timer.seconds, ""

    def kill(self):
        def delete(_):
            pod = self.ready()[0]["metadata"]["name"]
            self.kubectl("delete", "pod", pod, "--force", "--grace-period", "0")
            self.until_ready(1)

        def crash(_):
            pod = self.ready()[0]
            identifier = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
            ctr = ["ctr", "--address", "/run/containerd/containerd.sock", "--namespace", "k8s.io"]
            self.cluster.run([*ctr, "tasks", "kill", "--signal", "SIGKILL", identifier], None, True, 60)

            def restarts():
                return self.pods()[0]["status"]["containerStatuses"][0]["restartCount"]

            until("the container starts again", lambda: restarts() >= 1, self.logs)
            self.until_ready(1)

        for what, action in {"deleted with force": delete, "killed with SIGKILL": crash}.items():
            with Timer() as timer:
                events = self.traffic.during(2000, 300, action)
                repeated = self.traffic.settle(events, may_repeat=True)
            figures = f"{len(events):,} events, 0 missing, {repeated} duplicates"
            yield f"the pod is {what} while events flow", timer.seconds, figures

    def replicas(self):
        """Three replicas share a window in Redis. A drain evicts no more of them than the budget allows."""
        self.values["config"]["dedupe"] = {"redis_url": REDIS}
        with Timer() as timer:
            self.values["replicaCount"] = 3

            def scale(_):
                return self.upgrade()

            events = self.traffic.during(3000, 300, scale)
            self.traffic.settle(events)
            self.until_ready(3)
        figures = f"{len(events):,} events, 0 missing, 0 duplicates"
        yield "one replica becomes three with Redis while events flow", timer.seconds, figures

        with Timer() as timer:
            events = self.traffic.during(3000, 300, self.drain)
            self.traffic.settle(events)
        yield (
            "`kubectl drain` evicts one of three pods and waits for the budget; the others publish",
            timer.seconds,
            figures,
        )

        with Timer() as timer:
            self.values["replicaCount"] = 1
            events = self.traffic.during(3000, 300, scale)
            self.traffic.settle(events)
            self.until_ready(1)
        yield "three replicas become one while events flow", timer.seconds, figures

    def drain(self, _):
        # All other pods of the machine stay: the selector limits the drain to the service.
        drain = ["drain", "node1", "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector", SERVICE]
        done = self.cluster.kubectl(*drain, "--timeout", "12s", check=False)
        require(done.returncode and "disruption budget" in done.stderr, "the budget stops the drain", done)
        ready = len(self.ready())
        require(ready == 2, "two of three pods are ready during the drain", ready, self.logs())
        self.cluster.kubectl("uncordon", "node1")
        self.until_ready(3)

    def changes(self):
        """New customers and new sets, which the chart writes to ConfigMaps: no pod restarts."""
        for number in range(2):
            name = f"Happened{number}"
            content, kind = new_type(name)
            customer = f"newcomer{number}"
            topic = client("sns").create_topic(Name=customer)["TopicArn"]
            queue = self.stage.sqs.create_queue(QueueName=customer)["QueueUrl"]
            self.subscribe(topic, queue)
            before = {pod["metadata"]["uid"] for pod in self.pods()}
            counts = {what: self.admitted(what) for what in ("descriptors", "customers")}
            self.values["customers"]["inline"].append({"id": customer, "topic": topic})
            self.values["descriptors"]["inline"][f"{name.lower()}.binpb"] = base64.b64encode(content).decode()
            self.upgrade()
            start = time.monotonic()
            times = {}
            while len(times) < 2:
                for what, count in counts.items():
                    if what not in times and self.admitted(what) > count:
                        times[what] = time.monotonic() - start
                require(time.monotonic() < start + 180, "a changed ConfigMap is in force within 3 minutes", times)
                time.sleep(0.5)
            event = kind(event_id=f"live-{number}", tenant_id=customer).SerializeToString()
            self.stage.sqs.send_message_batch(QueueUrl=self.stage.source, Entries=[entry(0, f"live.v1.{name}", event)])

            def received():
                return self.stage.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages")

            message = until("an event of the new type reaches the new customer", received, self.logs)[0]
            require(json.loads(message["Body"])["eventId"] == f"live-{number}", "it is that event", message)
            require(before == {pod["metadata"]["uid"] for pod in self.pods()}, "no pod restarts")
            figures = f"sets after {times['descriptors']:.0f} s, customers after {times['customers']:.0f} s"
            yield "a new customer and a new set are in force without a restart", time.monotonic() - start, figures

    def admitted(self, what):
        """Returns the number of changes of sets or customers that are in force."""
        pattern = rf'^protobridge_reloads_total\{{(?=.*what="{what}")(?=.*result="admitted").*\}} (\d+)'
        found = re.search(pattern, self.admin("/metrics"), re.M)
        return int(found[1]) if found else 0

    def watchers(self):
        """The prober of canaries, the table of sources, and a Job that replays from the archive."""
        self.values["canary"] = {"enabled": True}
        self.values["config"] |= {"store": {"url": "s3://protobridge/prod"}, "archive": {"enabled": True}}
        self.values["resources"]["limits"]["memory"] = "960Mi"
        with Timer() as timer:
            self.upgrade()
            (prober,) = self.pods("app.kubernetes.io/component=canary")

            def canary():
                return self.status(prober)["canary"]

            until("four canaries return", lambda: canary()["returned"] >= 4, self.logs)
            require(canary()["lost"] == 0, "no canary is lost", canary())
        yield "the prober's canaries return", timer.seconds, f"{canary()['returned']} canaries, 0 lost"

        with Timer() as timer:
            pod = self.ready()[0]
            name, inside = pod["metadata"]["name"], ["protobridge"]
            send = ["exec", name, "--", *inside, "heartbeat", "--config", "/etc/protobridge/config/protobridge.yaml"]
            self.kubectl(*send, "--source", "orders-eu-1", "--interval", "60", "--sequence", "7")
            table = ["exec", name, "--", *inside, "sources", "--admin", "http://127.0.0.1:8080"]
            until("the source is heard", lambda: "quiet" in self.kubectl(*table, check=False).stdout, self.logs)
            (source,) = self.status()["sources"]["list"]
            require(source["source"] == "orders-eu-1" and source["state"] == "quiet", "/status has it", source)
        yield "a heartbeat appears in `protobridge sources` and /status", timer.seconds, ""

        with Timer() as timer:
            begin = datetime.datetime.now(datetime.timezone.utc)
            events = self.traffic.make(1000)
            self.traffic.send(events)
            self.traffic.settle(events)
            # The segment that is being filled is stored when the service drains.
            self.kubectl("rollout", "restart", f"deployment/{NAME}")
            self.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout", "120s")
            end = datetime.datetime.now(datetime.timezone.utc)

            def text(when):
                return when.strftime("%Y-%m-%dT%H:%M:%SZ")

            end += datetime.timedelta(seconds=1)
            self.values["replay"] = {
                "enabled": True,
                "name": "again",
                "from": text(begin),
                "to": text(end),
                "rate": 500,
            }
            self.upgrade()

            def replayed():
                return sum(self.traffic.replayed[event.id] == 1 for event in events)

            until("all events are replayed", lambda: replayed() == len(events), self.logs)
            job = self.cluster.list("jobs", NAMESPACE, "app.kubernetes.io/component=replay")[0]

            def finished():
                return self.cluster.get("job", job["metadata"]["name"], NAMESPACE)["status"].get("succeeded")

            until("the Job is complete", finished, self.logs)
        yield "a Job replays events from the archive once each", timer.seconds, f"{len(events):,} events"

    def uninstall(self):
        with Timer() as timer:
            self.cluster.helm(4, "uninstall", RELEASE, "--namespace", NAMESPACE, "--wait")
            labels = f"app.kubernetes.io/instance={RELEASE}"

            def left():
                return [
                    f"{each['kind']} {each['metadata']['name']}"
                    for each in self.cluster.list("all,cm,secret,sa,netpol,pdb", NAMESPACE, labels)
                ]

            until("no object is left", lambda: not left(), lambda: str(left()))
        yield "uninstall leaves no object, and no pod of the test", timer.seconds, ""
