"""A release that publishes events: installation, policies, rollouts and failures."""

import datetime

import yaml
from cluster import CHART, IMAGE, Timer, require, until
from outside import ENDPOINT, OTHER, REDIS
from release import Release, subscribe, values_of
from traffic import Traffic, client
from world import REGION

EVENTS = 10_000
# A pod at this load has fewer deliveries under way.
IN_FLIGHT = 100


class Live(Release):
    def __init__(self, cluster, name):
        """Makes the queues and topics of a release, which has this name and a namespace of this name."""
        self.traffic = Traffic(lambda: cluster.logs(name), name)
        self.stage = self.traffic.stage
        super().__init__(cluster, name, name, values_of(self.stage.source, self.stage.quarantine, self.stage.topics))
        bucket = {"LocationConstraint": REGION}
        client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=bucket)
        topic = client("sns").create_topic(Name=f"{name}-canary")["TopicArn"]
        queue = self.stage.sqs.create_queue(QueueName=f"{name}-canary-return")["QueueUrl"]
        subscribe(topic, queue, raw=False)
        canary = {"queue": "events", "topic": topic, "return_queue_url": queue}
        self.values["config"] |= {
            "heartbeats": {"expect": [{"source": "orders-eu-1"}]},
            "canary": canary | {"interval_seconds": 2, "deadline_seconds": 10},
        }

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
        self.cluster.apply(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, namespace=self.namespace
        )
        return name

    def outcome(self, name):
        def phase():
            return self.cluster.get("pod", name, self.namespace)["status"].get("phase")

        until(f"{name} ends", lambda: phase() in ("Succeeded", "Failed"), self.logs)
        return phase(), self.kubectl("logs", name).stdout

    # --- Steps. Each yields rows of the report: what was checked, seconds, figures.

    def install(self):
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
            url = f"http://{self.name}.{self.namespace}.svc:8080/readyz"
            test = {"app.kubernetes.io/name": "protobridge", "app.kubernetes.io/instance": self.release}
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
            self.helm(major, "test", self.release, "--timeout", "90s")
            left = [each["metadata"]["name"] for each in self.pods("app.kubernetes.io/component=test")]
        require(not left, "no test pod is left", left)
        yield f"`helm test` of Helm {major} passes behind the policy and leaves no pod", timer.seconds, ""

    def rollout(self):
        def roll():
            self.upgrade("--set-string", "image.tag=2")
            self.helm(4, "rollback", self.release, "--wait", "--timeout", "120s")

        before = self.uids()
        with Timer() as timer:
            events = self.traffic.during(EVENTS, 250, roll)
            self.traffic.settle(events)
        require(not before & self.uids(), "each pod was replaced")
        figures = f"{len(events):,} events, 0 missing, 0 duplicates"
        yield "an upgrade to another image and a rollback while events flow", timer.seconds, figures

    def conflicts(self):
        """Helm 4 applies on the server, which refuses to overwrite fields that kubectl has set."""
        deployment = f"deployment/{self.name}"
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
                back = self.helm(4, "rollback", self.release, check=False)
                require(
                    back.returncode and "conflict" in back.stderr, f"Helm 4 refuses to roll back after {what}", back
                )
                self.upgrade("--force-conflicts", wait=False)
            spec = self.cluster.get("deployment", self.name, self.namespace)["spec"]
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
            self.kubectl("scale", f"deployment/{self.name}", "--replicas", "2", user="deployer")
            self.values["podAnnotations"] = {"round": "third"}
            self.upgrade(major=3)
            replicas = self.cluster.get("deployment", self.name, self.namespace)["spec"]["replicas"]
            require(replicas == 1, "Helm 3 restores the number of the values", replicas)
            self.values["podAnnotations"] = {"round": "fourth"}
            self.upgrade()
        yield (
            "Helm 3 upgrades the release after `kubectl scale` without a conflict, and so does Helm 4 then",
            timer.seconds,
            "",
        )

    def kill(self):
        def delete():
            pod = self.ready()[0]["metadata"]["name"]
            self.kubectl("delete", "pod", pod, "--force", "--grace-period", "0")
            self.until_ready(1)

        def crash():
            pod = self.ready()[0]
            identifier = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
            ctr = ["ctr", "--address", "/run/containerd/containerd.sock", "--namespace", "k8s.io"]
            self.cluster.run([*ctr, "tasks", "kill", "--signal", "SIGKILL", identifier], None, True, 60)

            def restarts():
                return self.pods()[0]["status"]["containerStatuses"][0]["restartCount"]

            until("the container starts again", lambda: restarts() >= 1, self.logs)
            self.until_ready(1)

        self.upgrade()
        for what, action in {"deleted with force": delete, "killed with SIGKILL": crash}.items():
            with Timer() as timer:
                events = self.traffic.during(2000, 300, action)
                # What the pod had published and not deleted arrives again.
                repeated = self.traffic.settle(events, most_repeated=IN_FLIGHT)
            figures = f"{len(events):,} events, 0 missing, {repeated} duplicates"
            yield f"the pod is {what} while events flow", timer.seconds, figures

    def replicas(self):
        """Three replicas share a window in Redis. A drain evicts no more of them than the budget allows."""
        # A pod with Redis does not know what a pod without it has published, so this change comes without events.
        self.values["config"]["dedupe"] = {"redis_url": REDIS}
        self.upgrade()
        with Timer() as timer:
            self.values["replicaCount"] = 3

            def scale():
                self.upgrade()
                self.until_ready(3)
                until("each of three pods publishes", lambda: all(map(self.published, self.ready())), self.logs)

            events = self.traffic.during(3000, 300, scale)
            self.traffic.settle(events)
        figures = f"{len(events):,} events, 0 missing, 0 duplicates"
        yield "one replica becomes three with Redis while events flow", timer.seconds, figures

        with Timer() as timer:
            events = self.traffic.during(3000, 300, self.drain)
            self.traffic.settle(events)
        yield (
            "`kubectl drain` evicts one of three pods and waits for the budget; the others publish",
            timer.seconds,
            f"{len(events):,} events, 0 missing, 0 duplicates",
        )

        with Timer() as timer:
            self.values["replicaCount"] = 1

            def shrink():
                self.upgrade()
                self.until_ready(1)

            events = self.traffic.during(3000, 300, shrink)
            self.traffic.settle(events)
        figures = f"{len(events):,} events, 0 missing, 0 duplicates"
        yield "three replicas become one while events flow", timer.seconds, figures

    def drain(self):
        # All other pods of the machine stay: the selector limits the drain to the service.
        drain = ["drain", "node1", "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector", self.service]
        done = self.cluster.kubectl(*drain, "--timeout", "12s", check=False)
        require(done.returncode and "disruption budget" in done.stderr, "the budget stops the drain", done)
        others = self.ready()
        require(len(others) == 2, "two of three pods are ready during the drain", len(others), self.logs())
        before = {pod["metadata"]["name"]: self.published(pod) for pod in others}

        def publish():
            return all(self.published(pod) > before[pod["metadata"]["name"]] for pod in others)

        until("both of them publish", publish, self.logs)
        self.cluster.kubectl("uncordon", "node1")
        self.until_ready(3)

    def watchers(self):
        """The prober of canaries, the table of sources, and a Job that replays from the archive."""
        self.values["canary"] = {"enabled": True}
        self.values["config"] |= {"store": {"url": f"s3://{self.release}/prod"}, "archive": {"enabled": True}}
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
            self.kubectl("rollout", "restart", f"deployment/{self.name}")
            self.kubectl("rollout", "status", f"deployment/{self.name}", "--timeout", "120s")
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
            job = self.cluster.list("jobs", self.namespace, "app.kubernetes.io/component=replay")[0]

            def finished():
                return self.cluster.get("job", job["metadata"]["name"], self.namespace)["status"].get("succeeded")

            until("the Job is complete", finished, self.logs)
        yield "a Job replays events from the archive once each", timer.seconds, f"{len(events):,} events"

    def uninstall(self):
        with Timer() as timer:
            self.helm(4, "uninstall", self.release, "--wait")

            def left():
                return [
                    f"{each['kind']} {each['metadata']['name']}"
                    for each in self.cluster.list("all,cm,secret,sa,netpol,pdb", self.namespace, self.labels)
                ]

            until("no object is left", lambda: not left(), lambda: str(left()))
        yield "uninstall leaves no object, and no pod of the test", timer.seconds, ""
