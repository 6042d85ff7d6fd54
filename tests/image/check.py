"""Inspects the image and runs it as the chart does, against ministack. Exits with an error at the first failed check.

    check.py --image NAME --base NAME --arch amd64|arm64 --revision COMMIT --work FOLDER [--through QEMU] -- PODMAN [OPTION...]
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tomllib
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))

from world import AWS, REGION, SECONDS, Stage, free_port, get, isolate, ministack, until  # noqa: E402

BINARY = "/usr/local/bin/protobridge"
USER = 65532

# The security context of the chart.
HARDENED = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
LIMITS = ["--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]

parser = argparse.ArgumentParser()
parser.add_argument("--image", required=True)
parser.add_argument("--base", required=True, help="the image on which it was built")
parser.add_argument("--arch", required=True)
parser.add_argument("--revision", required=True)
parser.add_argument("--work", required=True, type=Path)
parser.add_argument("--through", help="the QEMU that emulates its processor")
parser.add_argument("podman", nargs="+")
args = parser.parse_args()
name = f"protobridge-check-{args.arch}"


def check(condition, what, *details):
    """Prints what was checked. If the condition is false, exits with an error."""
    if not condition:
        sys.exit("\n".join([f"image: FAILED: {what}", *map(str, details)]))
    print(f"image: {what}")


def podman(*arguments, wanted=0):
    """Runs a podman command and returns the finished process. Exits with an error unless its exit code is `wanted`."""
    done = subprocess.run([*args.podman, *map(str, arguments)], capture_output=True, text=True, timeout=SECONDS)
    if wanted is not None and done.returncode != wanted:
        command = " ".join(["podman", *map(str, arguments)])
        sys.exit(f"image: FAILED: {command}\nended with {done.returncode}, not {wanted}\n{done.stdout}{done.stderr}")
    return done


def logs(lines=20):
    """Returns the last lines of the service's log."""
    done = podman("logs", "--tail", lines, name, wanted=None)
    return done.stdout + done.stderr


# --- The metadata of the image


def check_description():
    image = json.loads(podman("image", "inspect", args.image).stdout)[0]
    config = image["Config"]
    check((image["Os"], image["Architecture"]) == ("linux", args.arch), f"the image is for linux/{args.arch}")
    check(config["User"] == f"{USER}:{USER}", f"its user is a number, {config['User']}", config["User"])
    check(config["Entrypoint"] == [BINARY] and config["Cmd"] == ["run"], "it starts the binary itself, no shell")
    # The spelling of this key depends on the version of Podman.
    health = image.get("Healthcheck") or image.get("HealthCheck") or {}
    check(health.get("Test") == ["CMD", BINARY, "healthcheck"], "its health check is the binary, no shell")
    check(config["StopSignal"] in ("SIGTERM", "15"), "it is stopped by SIGTERM")
    check("8080/tcp" in config["ExposedPorts"], "it exposes 8080")
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    wanted = {"title": "protobridge", "licenses": "Apache-2.0", "version": VERSION, "revision": args.revision}
    check({key: labels.get(key) for key in wanted} == wanted and labels["description"], "it has its labels", labels)

    # The image must not reveal where it was built.
    history = podman("history", "--no-trunc", "--format", "json", args.image).stdout
    traces = [trace for trace in local_folders() if trace in history or trace in json.dumps(image["Config"])]
    check(not traces, "its history has no trace of this machine", traces)


def local_folders():
    """Returns the folders of this machine, except those that the Dockerfile uses too."""
    home = os.environ.get("CARGO_HOME", Path.home() / ".cargo")
    return [folder for folder in map(str, (ROOT, args.work, home)) if folder not in ("/src", "/usr/local/cargo")]


# --- The files of the image


def check_files():
    base, image = files(args.base), files(args.image)
    folders = {path for path, entry in image.items() if entry.isdir()}
    added = {path for path in image if path not in base} - folders
    check(added == {BINARY, "/usr/share/doc/protobridge/LICENSE"}, "it adds two files to its base", added)
    changed = {path for path in base.keys() & image.keys() - folders if image[path].size != base[path].size}
    check(not changed and not base.keys() - image.keys(), "it changes no file of its base", changed)
    shells = {"ash", "bash", "busybox", "dash", "ksh", "sh", "zsh"}
    programs = [path for path in image if path.rsplit("/", 2)[-2:-1] in (["bin"], ["sbin"])]
    check(BINARY in programs and not [path for path in programs if Path(path).name in shells], "it has no shell", programs)
    binary = image[BINARY]
    check(binary.mode & 0o7777 == 0o755 and binary.uid == 0, "its user cannot change the binary", oct(binary.mode))
    check("/etc/ssl/certs/ca-certificates.crt" in image, "it has the CA certificates that TLS needs")


def files(image):
    """Returns all files of an image by path. Saves the binary of the checked image in the work folder."""
    container = podman("create", "--pull", "never", image, BINARY).stdout.strip()
    tar = args.work / "files.tar"
    try:
        podman("export", "--output", tar, container)
        with tarfile.open(tar) as archive:
            if image == args.image:
                (args.work / "protobridge").write_bytes(archive.extractfile(BINARY[1:]).read())
            # The container runtime creates these files for its mounts. They are not in the image.
            created = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv", "/etc/mtab"}
            return {path: entry for entry in archive if (path := f"/{entry.name.strip('/')}") not in created}
    finally:
        tar.unlink(missing_ok=True)
        podman("rm", container)


def check_binary():
    binary = (args.work / "protobridge").read_bytes()
    machine, sections = elf(binary)
    check(machine == {"amd64": 62, "arm64": 183}[args.arch], f"the binary is for {args.arch}", machine)
    check(".symtab" not in sections or "-release" in args.image, "it is stripped of its symbols")
    traces = [trace for trace in local_folders() if trace.encode() in binary]
    check(not traces, "it has no trace of this machine", traces)
    check(".dep-v0" in sections, "it contains its bill of materials", sorted(sections))
    # The section has the format of cargo-auditable: compressed JSON.
    packages = json.loads(zlib.decompress(sections[".dep-v0"]))["packages"]
    names = {package["name"] for package in packages if package.get("kind", "runtime") == "runtime"}
    check({"aws-sdk-sqs", "protobridge", "protojson", "ring"} <= names, f"its bill of materials: {len(names)} crates")
    emulator = sorted(name for name in names if name.startswith("rustack"))
    check(not emulator, "it contains no emulator", emulator)
    size = int(json.loads(podman("image", "inspect", args.image).stdout)[0]["Size"])
    print(f"image: sizes: binary {len(binary) / 1e6:.1f} MB, image {size / 1e6:.1f} MB unpacked")


def elf(binary):
    """Returns the machine and the sections of a 64-bit little-endian ELF file."""
    assert binary[:6] == b"\x7fELF\x02\x01", "an ELF file"
    (machine,) = struct.unpack_from("<H", binary, 18)
    (table,) = struct.unpack_from("<Q", binary, 40)
    size, count, names = struct.unpack_from("<HHH", binary, 58)
    headers = [struct.unpack_from("<IIQQQQ", binary, table + size * number) for number in range(count)]
    start = headers[names][4]
    end_of = lambda at: binary.index(b"\0", at)
    name_of = lambda header: binary[start + header[0] : end_of(start + header[0])].decode()
    return machine, {name_of(header): binary[header[4] : header[4] + header[5]] for header in headers}


# --- The container


def container(*arguments, options=(), wanted=0):
    """Runs the image with the security context of the chart and with these arguments."""
    through = ["--volume", f"{args.through}:/emulator:ro", "--entrypoint", json.dumps(["/emulator", BINARY])]
    through = through if args.through else []
    # The option --entrypoint discards the default arguments of the image, so pass them.
    arguments = arguments or (["run"] if args.through else [])
    return podman("run", "--pull", "never", *HARDENED, *LIMITS, *through, *options, args.image, *arguments, wanted=wanted)


def check_commands():
    printed = container("--version", options=["--rm"]).stdout.strip()
    check(printed == f"protobridge {VERSION} ({args.revision[:12]})", f"`--version` prints {printed}")
    errors = container("demo", options=["--rm"], wanted=2).stderr
    check("unrecognized subcommand" in errors, "it has no subcommand `demo`", errors)
    done = container(options=["--rm"], wanted=None)
    correct = done.returncode == 64 and "/etc/protobridge/config/protobridge.yaml" in done.stderr
    check(correct, "without a configuration it exits 64 and names the missing file", done)
    done = container("healthcheck", "--url", f"http://127.0.0.1:{free_port()}/readyz", options=["--rm"], wanted=None)
    check(done.returncode == 1 and done.stderr, "`healthcheck` exits 1 if nothing listens", done)


def mounts(stage):
    """Creates the folders that the chart mounts, and returns the options that mount them."""
    folder = args.work / "mounts"
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("config", "customers", "descriptors"):
        (folder / part).mkdir(parents=True)
    config = {
        "aws": {"region": REGION, "endpoint_url": stage.endpoint_url},
        "queues": [{"url": stage.source, "quarantine_url": stage.quarantine}],
        "descriptors": {"path": "/etc/protobridge/descriptors"},
        "route": {"customers_file": "/etc/protobridge/customers/customers.yaml"},
        "taps": {"customer": ["meta.tenant_id", "tenant_id"], "event_id": ["meta.event_id", "event_id"]},
        # Long enough to send SIGTERM while a batch still waits.
        "publish": {"linger_ms": LINGER_MS},
    }
    customers = [{"id": customer, "topic": topic} for customer, topic in stage.topics.items()]
    # JSON is YAML.
    (folder / "config/protobridge.yaml").write_text(json.dumps(config))
    (folder / "customers/customers.yaml").write_text(json.dumps({"customers": customers}))
    for descriptors in (ROOT / "descriptors").glob("*.binpb"):
        shutil.copy(descriptors, folder / "descriptors")
    return [part for mount in folder.iterdir() for part in ("--volume", f"{mount}:/etc/protobridge/{mount.name}:ro")]


def check_service(stage):
    port = free_port()
    address = f"127.0.0.1:{port}"
    environment = {"PROTOBRIDGE_ADMIN_LISTEN": address} | AWS
    options = [part for key, value in environment.items() for part in ("--env", f"{key}={value}")] + mounts(stage)
    # `check` finds mistakes in the files before a deployment.
    container("check", options=["--rm", *options])
    print("image: `check` accepts the mounted files")

    container(options=["--detach", "--name", name, *options])
    until("the service is ready", lambda: get(f"http://{address}/readyz") == (200, "running\n") or ended(), logs)
    health()
    print("image: the service is ready, and its health check passes")
    check_confinement()

    # These events fill their batches, which are then published at once.
    stage.produce("image", 90)
    report = stage.consume("image", 90)
    correct = report["received"] == 90 and not (report["missing"] or report["duplicates"] or report["different"])
    check(correct, "90 events arrived once each, with the same JSON as from Python's Protobuf", report, logs())

    until("nothing is in flight", lambda: in_flight(address) == 0, logs)
    stage.produce("drain", 5)
    until("5 events are in flight", lambda: in_flight(address) == 5, logs)
    podman("kill", "--signal", "TERM", name)
    code = podman("wait", name).stdout.strip()
    lines = [json.loads(line) for line in logs(1_000_000).splitlines()]
    messages = [line["message"] for line in lines]
    check(code == "0" and messages[-1] == "stopped", "on SIGTERM with 5 events in flight it exits 0", code, logs())
    check({"stopping", "draining"} <= set(messages), "it logs that it drains", logs())
    report = stage.consume("drain", 5)
    correct = report["received"] == 5 and not (report["missing"] or report["different"])
    left = stage.messages_left()
    check(correct and left == 0, "the 5 events were published, and none is left on the queue", report, left)
    warnings = [line for line in lines if line["level"] not in ("INFO", "DEBUG")]
    check(not warnings, "it logged no warning and no error", warnings)
    check(health(wanted=None).returncode != 0, "the health check of the stopped container fails")


def health(wanted=0):
    """Runs the image's health check. Under QEMU, runs the same command through the emulator."""
    if args.through:
        return podman("exec", name, "/emulator", BINARY, "healthcheck", wanted=wanted)
    return podman("healthcheck", "run", name, wanted=wanted)


def in_flight(address):
    return json.loads(get(f"http://{address}/status")[1])["in_flight"]


def ended():
    """Returns False while the container runs. If it has ended, exits with an error."""
    state = podman("inspect", "--format", "{{.State.Status}}", name).stdout.strip()
    alive = state in ("running", "created", "configured")
    return not alive and sys.exit(f"image: FAILED: the container is {state}\n{logs()}")


def check_confinement():
    """Checks the rights of the process, as the kernel shows them."""
    process = Path("/proc") / podman("inspect", "--format", "{{.State.Pid}}", name).stdout.strip()
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    status = {key: value.split() for key, value in status.items()}
    check(status["Uid"] == status["Gid"] == [str(USER)] * 4, f"it runs as {USER}", status["Uid"])
    capabilities = {key: int(status[key][0], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    check(not any(capabilities.values()), "it has no capabilities and cannot gain any", capabilities)
    check(status["NoNewPrivs"] == ["1"], "it cannot gain privileges")
    mounted = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    writable = sorted(fields[4] for fields in mounted if "rw" in fields[5].split(","))
    # The container runtime provides these file systems. They are not on a disk.
    writable = [path for path in writable if not path.startswith(("/dev", "/proc", "/sys"))]
    check(not writable, "its root and its mounts are read-only", writable)


LINGER_MS = 15_000
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
# Podman would schedule the health check with systemd, which need not run here.
os.environ["DISABLE_HC_SYSTEMD"] = "true"
isolate()
podman("rm", "--force", "--ignore", name)
try:
    check_description()
    check_files()
    check_binary()
    check_commands()
    with ministack(args.work) as endpoint_url:
        check_service(Stage(endpoint_url, logs))
finally:
    podman("rm", "--force", "--ignore", "--time", "0", name)
