"""Packs two small images with .ci/oci-archive, and checks the archive. Exits with an error at the first fault.

    images.py SCRIPT FOLDER
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

HEALTH_CHECK = {"Test": ["CMD", "/usr/local/bin/protobridge", "healthcheck"], "Retries": 3}


def check(condition, what, *details):
    """Prints what was checked. If the condition is false, exits with an error."""
    if not condition:
        sys.exit("\n".join([f"release test: FAILED: {what}", *map(str, details)]))
    print(f"release test: {what}")


def make_image(folder, architecture):
    """Writes an image in Docker's format, as `buildah push IMAGE dir:FOLDER` does."""
    folder.mkdir(parents=True)

    def blob(kind, content):
        digest = hashlib.sha256(content).hexdigest()
        (folder / digest).write_bytes(content)
        return {"mediaType": f"application/vnd.docker.{kind}", "size": len(content), "digest": f"sha256:{digest}"}

    config = {"architecture": architecture, "os": "linux", "config": {"Healthcheck": HEALTH_CHECK}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": blob("container.image.v1+json", json.dumps(config).encode()),
        "layers": [blob("image.rootfs.diff.tar.gzip", f"a layer for {architecture}".encode())],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


class Archive:
    """An archive in the OCI layout, read as a registry client reads it."""

    def __init__(self, path):
        with tarfile.open(path) as tar:
            self.files = {entry.name: tar.extractfile(entry).read() for entry in tar}

    def blob(self, descriptor):
        """Returns the content that a descriptor names, after it checked size and digest."""
        content = self.files[f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"]
        digest = hashlib.sha256(content).hexdigest()
        check(
            (len(content), f"sha256:{digest}") == (descriptor["size"], descriptor["digest"]),
            f"a blob of {descriptor['mediaType']} has its size and digest",
        )
        return content

    def document(self, descriptor):
        return json.loads(self.blob(descriptor))


def main():
    script, work = sys.argv[1], Path(sys.argv[2])
    shutil.rmtree(work, ignore_errors=True)
    folders = [make_image(work / architecture, architecture) for architecture in ["amd64", "arm64"]]

    def pack(archive, *folders):
        return subprocess.run([sys.executable, script, archive, "0.1.0", *folders], capture_output=True, text=True)

    packed = pack(work / "image.tar", *folders)
    check(packed.returncode == 0, ".ci/oci-archive packs two images", packed.stderr)
    pack(work / "again.tar", *folders)
    same = (work / "image.tar").read_bytes() == (work / "again.tar").read_bytes()
    check(same, "the same images make the same archive")

    archive = Archive(work / "image.tar")
    check(json.loads(archive.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}, "the archive is an OCI layout")
    (top,) = json.loads(archive.files["index.json"])["manifests"]
    check(top["annotations"] == {"org.opencontainers.image.ref.name": "0.1.0"}, "the archive names the version")
    images = archive.document(top)["manifests"]
    platforms = [image["platform"] for image in images]
    expected = [{"architecture": architecture, "os": "linux"} for architecture in ["amd64", "arm64"]]
    check(platforms == expected, "the index names both platforms", platforms)
    for image in images:
        manifest = archive.document(image)
        types = [part["mediaType"] for part in [image, manifest["config"], *manifest["layers"]]]
        check(all(kind.startswith("application/vnd.oci.image.") for kind in types), "all media types are OCI's", types)
        config = archive.document(manifest["config"])
        check(config["architecture"] == image["platform"]["architecture"], "the image is for its platform")
        check(config["config"]["Healthcheck"] == HEALTH_CHECK, "the image keeps its health check")
        layers = [archive.blob(layer) for layer in manifest["layers"]]
        check(layers == [f"a layer for {config['architecture']}".encode()], "the image has its layer", layers)

    twice = pack(work / "twice.tar", folders[0], folders[0])
    check("same platform" in twice.stderr and twice.returncode == 1, "two images for one platform are refused")


main()
