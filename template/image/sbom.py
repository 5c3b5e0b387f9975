"""Print the software bill of materials of the image that runs this script, in CycloneDX format.

`make build` passes the script to the image's Python, with the image's name and ID as arguments. The
output contains no time, so the same image always has the same bill.
"""

import json
import platform
import sys
from email import message_from_string
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote


def component(kind: str, name: str, version: str, qualifiers: str = "") -> dict[str, Any]:
    """Describe one package."""
    purl = f"pkg:{kind}/{quote(name.lower())}@{quote(version, safe=':')}{qualifiers}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


image, image_id = sys.argv[1:]
components = []
system = platform.freedesktop_os_release()
# Debian's next release has no number yet.
distro = f"{system['ID']}-{system.get('VERSION_ID', system['VERSION_CODENAME'])}"

# Each paragraph of dpkg's list has the syntax of a mail's header.
for paragraph in Path("/var/lib/dpkg/status").read_text().strip().split("\n\n"):
    fields = message_from_string(paragraph)
    # Debian's security tracker lists source packages.
    source = fields.get("Source", fields["Package"]).split()[0]
    qualifiers = f"?arch={fields['Architecture']}&distro={distro}&upstream={quote(source)}"
    kind = f"deb/{system['ID']}"
    components.append(component(kind, fields["Package"], fields["Version"], qualifiers))

for distribution in distributions():
    name = distribution.metadata["Name"].replace("_", "-")
    package = component("pypi", name, distribution.version)
    # Wheels describe the libraries that were linked into them, such as OpenSSL (PEP 770).
    package["components"] = [
        {key: part[key] for key in ("type", "name", "version", "purl") if key in part}
        for path in distribution.files or ()
        if path.match("sboms/*.json")
        for part in json.loads(path.read_text()).get("components", ())
    ]
    components.append(package)

components.sort(key=lambda package: package["purl"])
root = {"type": "container", "bom-ref": image_id, "name": image, "version": image_id}
bom = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "version": 1,
    "metadata": {"component": root},
    "components": components,
    "dependencies": [{"ref": image_id, "dependsOn": [package["purl"] for package in components]}],
}
print(json.dumps(bom, indent=2))
