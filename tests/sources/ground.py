"""The ground of each part: a bucket behind a proxy, a queue, its quarantine, and the subscriber of a topic."""

import json
import time
import urllib.parse
from dataclasses import dataclass

import yaml

import stage
from proxy import Proxy
from stage import BATCH, CUSTOMER, REGION, check_entries, client, fail
from teams import hash_of
from world import get, until

# The bar: a change is live within the poll interval and this time.
MARGIN_SECONDS = 2
POLL_SECONDS = 2
BAR_SECONDS = POLL_SECONDS + MARGIN_SECONDS
PREFIX = "prod/sets"
CUSTOMERS = "prod/customers.yaml"
LAST_SUCCESS = "protobridge_descriptor_source_last_success_timestamp_seconds"
ERRORS = "protobridge_descriptor_source_errors_total"


def require(condition, what, *details):
    """Exits with an error if the condition is false."""
    if not condition:
        fail("\n".join([what, *map(str, details)]))


@dataclass
class Server:
    """An S3 server: its name and its URL."""

    name: str
    url: str


class Bucket:
    """A bucket. The service sees it through a proxy, which records the calls."""

    def __init__(self, server, name):
        self.name, self.url, self.s3, self.calls = name, f"s3://{name}", client("s3", server.url), []
        # Is given each call to S3 before the service gets the answer.
        self.watch = lambda call: None
        self.proxy = Proxy(server.url, self.record, fails=("GET", "HEAD"))

    def create(self):
        self.s3.create_bucket(Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return self

    def record(self, call):
        self.calls.append(call)
        self.watch(call)

    def put(self, key, content):
        self.s3.put_object(Bucket=self.name, Key=key, Body=content)

    def delete(self, key):
        self.s3.delete_object(Bucket=self.name, Key=key)

    def keep_versions(self):
        self.s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})

    def head(self, key):
        return self.s3.head_object(Bucket=self.name, Key=key)

    def etag(self, key):
        return self.head(key)["ETag"]


def is_listing(call):
    return "list-type" in query(call)


def query(call):
    return urllib.parse.parse_qs(urllib.parse.urlsplit(call.path).query)


def key_of(call):
    """Returns the key of an object in a call. The first segment of the path is the bucket."""
    return urllib.parse.unquote(urllib.parse.urlsplit(call.path).path).split("/", 2)[2]


class Ground(stage.Stage):
    """A queue with a quarantine queue in ministack, and a bucket in one of the servers."""

    def __init__(self, part, server, queues, work):
        super().__init__(f"{part}-{server.name}", queues, work)
        self.quarantine = self.sqs.create_queue(QueueName=f"{self.name}-quarantine")["QueueUrl"]
        self.server, self.part = server, part
        self.bucket = Bucket(server, f"acme-{self.name}")
        self.producer, self.consumer = Producer(self), Consumer(self)
        # The topics of the customers. All have the same subscriber.
        self.topics = {CUSTOMER: self.topic}

    def put_customers(self, ids):
        """Stores a file with these customers."""
        customers = [{"id": each, "topic": self.topics.get(each) or self.subscribe(each)} for each in ids]
        self.bucket.put(CUSTOMERS, yaml.safe_dump({"customers": customers}).encode())

    def subscribe(self, customer):
        """Creates the topic of a customer and returns its ARN."""
        sns = client("sns", self.endpoint)
        self.topics[customer] = sns.create_topic(Name=f"{self.name}-{customer}")["TopicArn"]
        inbox = self.sqs.get_queue_attributes(QueueUrl=self.inbox, AttributeNames=["QueueArn"])["Attributes"]
        sns.subscribe(TopicArn=self.topics[customer], Protocol="sqs", Endpoint=inbox["QueueArn"])
        return self.topics[customer]

    def configure(self, name="pod-a", bucket=None, descriptors=None, customers=None, **settings):
        """Writes a configuration, by default with the sets under the prefix and with a local customers file."""
        bucket = bucket or self.bucket
        sets = {"path": f"{bucket.url}/{PREFIX}", "poll_seconds": POLL_SECONDS} | (descriptors or {})
        # An event of unknown type is received every second.
        retry = {"min_seconds": 1, "max_seconds": 1} | settings.pop("retry", {})
        settings = {"taps": {"customer": ["tenant_id"], "event_id": ["event_id"]}, "retry": retry} | settings
        settings |= {"descriptors": sets, "journal": {"enabled": False}}
        aws = {"s3_endpoint_url": bucket.proxy.url} | settings.pop("aws", {})
        path = super().configure(name, {}, aws, **settings)
        config = yaml.safe_load(path.read_text())
        config["queues"][0]["quarantine_url"] = self.quarantine
        if customers:
            config["route"]["customers_file"] = customers
        path.write_text(yaml.safe_dump(config))
        return path

    def put(self, team, version, comment=""):
        """Stores a version of a team's set and returns its hash."""
        content = team.set(version, comment)
        self.bucket.put(f"{PREFIX}/{team.key}", content)
        return hash_of(content)

    def say(self, text):
        stage.say(f"{self.part}: {self.server.name}: {text}")

    def quarantined(self):
        """Returns the number of messages in quarantine."""
        names = ["ApproximateNumberOfMessages"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.quarantine, AttributeNames=names)
        return int(answer["Attributes"][names[0]])


class Replica(stage.Replica):
    """A replica of the service, and what its pages say."""

    def page(self, path):
        status, text = get(f"http://{self.admin}{path}")
        if status != 200:
            fail(f"{path} answers {status}\n{text}\n{self.stage.logs()}")
        return json.loads(text)

    def sets(self):
        """Returns the hash of each set in force by name, without the built-in set."""
        return {each["name"]: each["hash"] for each in self.page("/schemas")["sets"] if "/" in each["name"]}

    def refused(self):
        return {each["name"]: each for each in self.page("/schemas")["refused"]}

    def until_sets(self, wanted, seconds=60):
        """Waits until these sets are in force, and no others. Returns the time that it took."""
        began = time.monotonic()
        until(f"the sets are {wanted}", lambda: self.sets() == wanted, lambda: self.state(), seconds)
        return time.monotonic() - began

    def state(self):
        return f"{self.page('/schemas')['sets']}\n{self.stage.logs()}"

    def has_metric(self, name):
        return f"\n{name}" in get(f"http://{self.admin}/metrics")[1]

    def errors(self, what, **labels):
        """Returns the number of errors of a source; 0 if the metric does not exist yet."""
        return int(self.metric(ERRORS, what=what, **labels)) if self.has_metric(ERRORS) else 0


class Producer(stage.Producer):
    """Sends events of the types of teams, in turn. `by_id` has what it sent."""

    def __init__(self, ground):
        super().__init__(ground)
        self.teams, self.by_id, self.events = [], {}, self.endless()
        self.customer = CUSTOMER

    def endless(self):
        number = 0
        while True:
            number += 1
            event = self.teams[number % len(self.teams)].event(number, self.customer)
            self.by_id[event.id] = event
            yield event

    def send_of(self, team, count, customer=CUSTOMER):
        """Sends this number of events of a team's type and returns their ids."""
        self.teams, self.customer = [team], customer
        return self.send(count)


@dataclass
class Delivery:
    """An event as the subscriber got it."""

    event_id: str
    json: dict
    schema_hash: str
    at: float


class Consumer(stage.Consumer):
    """Receives the deliveries. `arrived` has those of each event."""

    def __init__(self, ground):
        super().__init__(ground)
        self.arrived = {}

    def receive(self, wait_seconds=1):
        answer = self.sqs.receive_message(QueueUrl=self.inbox, MaxNumberOfMessages=BATCH, WaitTimeSeconds=wait_seconds)
        messages = answer.get("Messages", [])
        for message in messages:
            notification = json.loads(message["Body"])
            attributes = {name: each["Value"] for name, each in notification["MessageAttributes"].items()}
            content = json.loads(notification["Message"])
            delivery = Delivery(attributes["event-id"], content, attributes["schema-hash"], time.time())
            self.arrived.setdefault(delivery.event_id, []).append(delivery)
            self.deliveries[notification["MessageId"]] = (delivery.event_id, delivery.at)
        if messages:
            entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
            check_entries(self.sqs.delete_message_batch(QueueUrl=self.inbox, Entries=entries))
        return len(messages)

    def of(self, event_id):
        """Returns the only delivery of an event."""
        arrived = self.arrived[event_id]
        require(len(arrived) == 1, "an event arrives once", arrived)
        return arrived[0]


def flow(ground, team, version, count=BATCH):
    """Sends events, and requires that they arrive as JSON of this version. Returns their deliveries."""
    ids = ground.producer.send_of(team, count)
    ground.consumer.until_complete(ids, 60)
    deliveries = [ground.consumer.of(each) for each in ids]
    for each in deliveries:
        wanted = ground.producer.by_id[each.event_id].json(version)
        require(each.json == wanted, f"{team.type} arrives in version {version}", each.json, wanted)
    return deliveries
