"""Every mistake in zones.yaml is reported with its line, before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from entrypoint.errors import StartError
from entrypoint.zones import export, file
from tests.support.template import Render
from tests.support.zones import example

ONE = "11111111-1111-4111-8111-111111111111"
TWO = "22222222-2222-4222-8222-222222222222"
VALID = f"""\
owner: test
traits:
  - CUSTOM_ZONE_KVM
resource_classes: [CUSTOM_SLOT]
zones:
  kvm:
    aggregate: {{name: kvm, uuid: {ONE}}}
    traits: [CUSTOM_ZONE_KVM, HW_CPU_X86_AVX2]
    hosts: [one, "two-*"]
  containers:
    aggregate:
      name: docker
      uuid: {TWO}
    hosts: [three]
pools:
  nfs:
    zones: [kvm]
    inventories:
      DISK_GB: {{total: 100}}
      CUSTOM_SLOT: {{total: 5, reserved: 1}}
"""

MISTAKES = {
    "no YAML": ("owner: test", "owner: [", "3: this is not YAML"),
    "not YAML at a tab": ("  kvm:\n", "\tkvm:\n", "6: this is not YAML"),
    "two documents": ("zones:\n", "---\nzones:\n", "5: this is not YAML"),
    "nested too deeply": ("[three]", "[" * 1000, "14: lists or mappings are nested too deeply"),
    "control character": ("kvm:\n", "kvm:\a\n", "6: this is not YAML: delete the control char"),
    "no date": ("owner: test", "owner: 2026-99-99", "1: '2026-99-99' is not valid: put text in"),
    "no number": ("owner: test", "owner: !!int x", "1: 'x' is not valid: put text in quotes"),
    "empty number": ("owner: test", "owner: !!int", "1: '' is not valid: put text in quotes"),
    "unknown key": ("traits:\n", "trais:\n", "2: trais is unknown: did you mean traits?"),
    "key of a zone": (
        "    hosts: [three]",
        "    host: [three]",
        "14: zones.containers: host is unknown: did you mean hosts?",
    ),
    "key that is no text": ("  kvm:\n", "  5:\n", "6: 5 is not text: put it in quotes"),
    "key twice": ("  containers:\n", "  kvm:\n", "10: kvm is defined twice"),
    "name of a zone": ("  kvm:\n", "  -kvm:\n", "6: zones: '-kvm' is not valid: Letters, digits"),
    "text for a list": ("hosts: [three]", "hosts: three", "14: zones.containers.hosts: 'three'"),
    "number for a name": ("hosts: [three]", "hosts: [3]", "14: zones.containers.hosts.0: 3 is"),
    "UUID": (TWO, "docker", "13: zones.containers.aggregate.uuid: 'docker' is not valid"),
    "missing UUID": (f"      uuid: {TWO}\n", "", "11: zones.containers.aggregate: uuid is missing"),
    "UUID twice": (TWO, ONE, f"13: the aggregate UUID {ONE} is also in zones.kvm"),
    "name of an aggregate twice": (
        "name: docker",
        "name: kvm",
        "12: the aggregate name kvm is also in zones.kvm",
    ),
    "host twice": ("[three]", "[three, one]", "14: the host one is also in zones.kvm"),
    "host twice in one zone": (
        '[one, "two-*"]',
        "[one, two, one]",
        "9: the host one is also in zones.kvm",
    ),
    "misspelt trait": (
        "HW_CPU_X86_AVX2",
        "HW_CPU_X86_AVX_2",
        "8: HW_CPU_X86_AVX_2 is not a standard trait: did you mean HW_CPU_X86_AVX2?",
    ),
    "undeclared trait": (
        "[CUSTOM_ZONE_KVM,",
        "[CUSTOM_ZONE_KMV,",
        "8: CUSTOM_ZONE_KMV is not listed under traits: did you mean CUSTOM_ZONE_KVM?",
    ),
    "trait of Nova": (
        "HW_CPU_X86_AVX2",
        "COMPUTE_STATUS_DISABLED",
        "8: COMPUTE_STATUS_DISABLED is Nova's own trait",
    ),
    "declared trait without its prefix": (
        "  - CUSTOM_ZONE_KVM",
        "  - ZONE_KVM",
        "3: traits.0: 'ZONE_KVM' is not valid: CUSTOM_ and then capital letters",
    ),
    "reserved trait": (
        "  - CUSTOM_ZONE_KVM",
        "  - CUSTOM_ZONE_KVM\n  - CUSTOM_OWNED_BY_ME",
        "4: CUSTOM_OWNED_BY_ME is reserved",
    ),
    "misspelt resource class": (
        "DISK_GB",
        "DISK_BG",
        "19: DISK_BG is not a standard resource class: did you mean DISK_GB?",
    ),
    "undeclared resource class": (
        "      CUSTOM_SLOT",
        "      CUSTOM_SLAT",
        "20: CUSTOM_SLAT is not listed under resource_classes: did you mean CUSTOM_SLOT?",
    ),
    "unknown zone of a pool": ("zones: [kvm]", "zones: [kwm]", "17: kwm is not a zone: did you"),
    "no zone of a pool": ("zones: [kvm]", "zones: []", "17: pools.nfs.zones: [] is not valid"),
    "total": ("{total: 100}", "{total: 0}", "19: pools.nfs.inventories.DISK_GB.total: 0 is not"),
    "more reserved than there is": (
        "reserved: 1",
        "reserved: 6",
        "20: pools.nfs.inventories.CUSTOM_SLOT.reserved: 6 is more than the total 5",
    ),
    "ratio that is no number": (
        "reserved: 1",
        "allocation_ratio: .nan",
        "20: pools.nfs.inventories.CUSTOM_SLOT.allocation_ratio: nan is not valid",
    ),
    "owner": ("owner: test", "owner: my--test", "1: owner: 'my--test' is not valid"),
}


def test_valid_file_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "zones.yaml"
    path.write_text(VALID)
    loaded = file.load(str(path))
    assert loaded.zones["kvm"].traits == {"CUSTOM_ZONE_KVM", "HW_CPU_X86_AVX2"}
    assert loaded.pools["nfs"].aggregates == {ONE}
    assert loaded.pools["nfs"].inventories["CUSTOM_SLOT"]["allocation_ratio"] == 1.0


def test_example_in_every_repository_changes_nothing(tmp_path: Path) -> None:
    """The rendered file contains only comments."""
    path = tmp_path / "zones.yaml"
    path.write_text((Path(__file__).parents[3] / "template/zones.yaml").read_text())
    loaded = file.load(str(path))
    assert not [*loaded.traits, *loaded.resource_classes, *loaded.zones, *loaded.pools]


def test_first_line_names_the_schema_for_editors(render: Render) -> None:
    """It names the path from zones.yaml in a repository, where the example is valid."""
    repository = render({})
    page = example(repository)
    assert export.HEAD in page
    for text in ((repository / "zones.yaml").read_text(), page, export.HEAD):
        first = text.splitlines()[0]
        path = repository / first.removeprefix("# yaml-language-server: $schema=")
        schema = json.loads(path.read_text())
        jsonschema.Draft7Validator.check_schema(schema)
        jsonschema.Draft7Validator(schema).validate(yaml.safe_load(text) or {})


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_reported_with_its_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    assert VALID.count(old) == 1
    path = tmp_path / "zones.yaml"
    path.write_text(VALID.replace(old, new))
    with pytest.raises(StartError) as error:
        file.load(str(path))
    lines = [str(error.value), *capfd.readouterr().err.replace("placement: ", "").splitlines()]
    assert any(line.startswith(f"zones.yaml:{message}") for line in lines), lines


def test_missing_uuid_can_be_copied_from_the_message(tmp_path: Path) -> None:
    path = tmp_path / "zones.yaml"
    path.write_text(VALID.replace(f"      uuid: {TWO}\n", ""))
    with pytest.raises(StartError) as error:
        file.load(str(path))
    line = str(error.value).split("`")[1]
    path.write_text(VALID.replace(f"uuid: {TWO}", line))
    assert file.load(str(path)).zones["containers"].aggregate in line


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "zones.yaml"
    with pytest.raises(StartError, match="cannot be read: No such file"):
        file.load(str(path))
    path.write_bytes(b"\xff")
    with pytest.raises(StartError, match="is not text in UTF-8"):
        file.load(str(path))
