"""Writes the bill of materials of a device (CycloneDX, JSON): what pip installed in an environment, with licences.

``python deploy/sbom.py ENVIRONMENT/bin/python OUT.cdx.json`` also compares it with ``requirements-device.txt``: a
package too many, too few, or of another version is an error.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent
OURS = "tickover"


def locked() -> dict[str, str]:
    """Name to version, as the file with the hashes has them."""
    text = (DEPLOY / "requirements-device.txt").read_text()
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))


def write(python: str, out: Path) -> dict[str, str]:
    """Name to version, as the bill has them."""
    tool = [str(Path(sys.executable).parent / "cyclonedx-py"), "environment", "--output-reproducible", "--of", "JSON"]
    subprocess.run([*tool, "--pyproject", DEPLOY.parent / "pyproject.toml", "-o", out, python], check=True)
    bill = json.loads(out.read_text())
    return {component["name"]: component["version"] for component in bill["components"]}


def main(python: str, out: Path) -> None:
    """Write the bill, and compare."""
    out.parent.mkdir(parents=True, exist_ok=True)
    found, wanted = write(python, out), locked()
    found.pop(OURS, None)
    if found != wanted:
        differ = sorted(f"{n}: locked {wanted.get(n)}, installed {found.get(n)}" for n in found.keys() | wanted.keys())
        sys.exit("the bill differs from deploy/requirements-device.txt:\n" + "\n".join(differ))
    sys.stdout.write(f"{out}: {len(found)} packages, as in deploy/requirements-device.txt\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
