"""The user's file: its YAML, its schema, and the names in it, each error with its line."""

import json
import math
import sys
import textwrap
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from entrypoint.errors import StartError, report
from entrypoint.zones import names

DEFAULT_OWNER = "zones-yaml"
INVENTORY = {
    "reserved": 0,
    "min_unit": 1,
    "max_unit": 2147483647,
    "step_size": 1,
    "allocation_ratio": 1.0,
}
SCHEMA = json.loads(files("entrypoint.zones").joinpath("schema.json").read_text("utf-8"))
# A place in the file, as keys and indexes.
Location = tuple[str | int, ...]
Problem = tuple[Location, str]


@dataclass(frozen=True)
class Zone:
    """A zone: its aggregate, and what its hosts are called and carry."""

    name: str
    aggregate_name: str
    aggregate: str
    traits: frozenset[str]
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Pool:
    """A provider that the file owns."""

    name: str
    traits: frozenset[str]
    aggregates: frozenset[str]
    inventories: dict[str, dict[str, float]]


@dataclass(frozen=True)
class File:
    """A valid file."""

    document: "Document"
    owner: str
    traits: tuple[str, ...]
    resource_classes: tuple[str, ...]
    zones: dict[str, Zone]
    pools: dict[str, Pool]

    def at(self, *location: str | int) -> str:
        """Return a place of the file, in front of a message."""
        return f"{self.document.name}:{self.document.line(location)}"


class Document:
    """The YAML of a file, and the line of each place in it."""

    def __init__(self, name: str, text: str) -> None:
        """Parse the text."""
        self.name = name
        self.problems: list[Problem] = []
        try:
            loader = yaml.SafeLoader(text)
            self._root = loader.get_single_node()
            self._check_nodes(loader, self._root)
            self.data = loader.construct_document(self._root) if self._root else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise StartError(f"{name}:{line}: this is not YAML: {error.problem}") from error
        except RecursionError as error:
            line = loader.marks[-1].line + 1
            raise StartError(f"{name}:{line}: lists or mappings are nested too deeply") from error
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise StartError(
                f"{name}:{line}: this is not YAML: delete the control character {error.character!r}"
            ) from error

    def line(self, location: Location) -> int:
        """Return the line of a place, or of the nearest place around it that the file has."""
        node, mark = self._root, self._root.start_mark if self._root else None
        for step in location:
            if isinstance(node, yaml.MappingNode):
                # In a mapping with merged keys, the last one wins.
                pairs = [pair for pair in node.value if pair[0].value == step]
                if not pairs:
                    break
                key, node = pairs[-1]
                mark = key.start_mark
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                node = node.value[step]
                mark = node.start_mark
        return mark.line + 1 if mark else 1

    def _check_nodes(self, loader: yaml.SafeLoader, root: yaml.Node | None) -> None:
        """Refuse values that PyYAML cannot read, keys that are no text, and a key twice."""
        nodes, seen = [root], {id(None)}
        while nodes:
            node = nodes.pop()
            if isinstance(node, yaml.ScalarNode):
                self._check_value(loader, node)
            if id(node) in seen or not isinstance(node, yaml.CollectionNode):
                continue
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                nodes += node.value
                continue
            used: set[str] = set()
            for key, value in node.value:
                nodes.append(value)
                line = key.start_mark.line + 1
                if key.tag == "tag:yaml.org,2002:merge":
                    continue
                if key.tag != "tag:yaml.org,2002:str":
                    shown = key.value if isinstance(key, yaml.ScalarNode) else "this key"
                    raise StartError(f"{self.name}:{line}: {shown} is not text: put it in quotes")
                if key.value in used:
                    raise StartError(f"{self.name}:{line}: {key.value} is defined twice")
                used.add(key.value)

    def _check_value(self, loader: yaml.SafeLoader, node: yaml.ScalarNode) -> None:
        """Refuse a value that is not of its type, such as a date in month 99 or `!!int x`."""
        try:
            loader.construct_object(node)
        except (ValueError, LookupError, AttributeError) as error:
            line = node.start_mark.line + 1
            raise StartError(
                f"{self.name}:{line}: {node.value!r} is not valid: put text in quotes"
            ) from error


def load(path: str) -> File:
    """Read and check a file; report every error, and fail if there is any."""
    document = Document(Path(path).name, read(path))
    problems = list(schema_problems(document.data)) or list(content_problems(document.data))
    if problems:
        lines = [f"{document.name}:{document.line(place)}: {text}" for place, text in problems]
        *others, last = lines
        for line in others:
            report(line)
        raise StartError(last)
    return parse(document)


def read(path: str) -> str:
    """Return the text of a file, or of standard input."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartError(f"{path} is not text in UTF-8") from error


def parse(document: Document) -> File:
    """Return the file that a valid document describes."""
    data = document.data or {}
    zones = {
        name: Zone(
            name=name,
            aggregate_name=zone["aggregate"]["name"],
            aggregate=zone["aggregate"]["uuid"],
            traits=frozenset(zone.get("traits", ())),
            hosts=tuple(zone["hosts"]),
        )
        for name, zone in data.get("zones", {}).items()
    }
    pools = {
        name: Pool(
            name=name,
            traits=frozenset([names.SHARING, *pool.get("traits", ())]),
            aggregates=frozenset(zones[zone].aggregate for zone in pool["zones"]),
            inventories={
                resource_class: complete(inventory)
                for resource_class, inventory in pool["inventories"].items()
            },
        )
        for name, pool in data.get("pools", {}).items()
    }
    return File(
        document=document,
        owner=data.get("owner", DEFAULT_OWNER),
        traits=tuple(data.get("traits", ())),
        resource_classes=tuple(data.get("resource_classes", ())),
        zones=zones,
        pools=pools,
    )


def complete(inventory: dict[str, float]) -> dict[str, float]:
    """Return an inventory with its defaults. MySQL keeps only six digits of a ratio."""
    values = INVENTORY | inventory
    return values | {"allocation_ratio": float(f"{values['allocation_ratio']:.6g}")}


def schema_problems(data: Any) -> Iterator[Problem]:
    """Yield what breaks the schema. An empty file is valid."""
    validator = jsonschema.Draft7Validator(SCHEMA)
    error: Any
    for error in validator.iter_errors({} if data is None else data):
        place = tuple(error.absolute_path)
        where = f"{'.'.join(map(str, place))}: " if place else ""
        if error.validator == "additionalProperties":
            known = error.schema["properties"]
            for key in sorted(error.instance.keys() - known.keys()):
                yield (*place, key), f"{where}{key} is unknown{names.did_you_mean(key, known)}"
        elif error.validator == "required":
            for key in sorted(set(error.validator_value) - error.instance.keys()):
                yield place, f"{where}{key} is missing{addition(place, key)}"
        else:
            value = textwrap.shorten(repr(error.instance), 60, placeholder=" ...")
            reason = error.schema.get("description") if error.validator == "pattern" else None
            if error.validator == "propertyNames" or "propertyNames" in error.absolute_schema_path:
                place = (*place, error.instance)
            yield place, f"{where}{value} is not valid: {reason or error.message}"


def addition(place: Location, key: str) -> str:
    """Return what to add for a missing key, if it is the UUID of an aggregate."""
    new = f"uuid: {uuid.uuid4()}"
    lines = {"uuid": new, "aggregate": f"aggregate: {{name: {place[-1]}, {new}}}"} if place else {}
    return f": add `{lines[key]}`" if key in lines else ""


def content_problems(data: Any) -> Iterator[Problem]:
    """Yield each wrong name, what is named twice, and numbers that contradict each other."""
    data = data or {}
    traits, classes = data.get("traits", ()), data.get("resource_classes", ())
    zones, pools = data.get("zones", {}), data.get("pools", {})
    for index, name in enumerate(traits):
        if name.startswith(names.RESERVED):
            yield ("traits", index), f"{name} is reserved for the records of `zones apply`"
    for kind, group in (("zones", zones), ("pools", pools)):
        for name, entry in group.items():
            for index, trait in enumerate(entry.get("traits", ())):
                place = (kind, name, "traits", index)
                if problem := names.unknown_trait(trait, traits):
                    yield place, problem
                elif kind == "zones" and trait.startswith(names.NOVA):
                    yield place, f"{trait} is Nova's own trait, which it sets itself: remove it"
    for name, pool in pools.items():
        for resource_class, inventory in pool["inventories"].items():
            place = ("pools", name, "inventories", resource_class)
            if problem := names.unknown_class(resource_class, classes):
                yield place, problem
            yield from inventory_problems(place, inventory)
        for index, zone in enumerate(pool["zones"]):
            if zone not in zones:
                hint = names.did_you_mean(zone, zones)
                yield ("pools", name, "zones", index), f"{zone} is not a zone{hint}"
    yield from duplicates("host", host_places(zones))
    for key, title in (("uuid", "aggregate UUID"), ("name", "aggregate name")):
        places = ((zone["aggregate"][key], ("zones", name)) for name, zone in zones.items())
        yield from duplicates(title, ((value, (*at, "aggregate", key)) for value, at in places))


def inventory_problems(place: Location, inventory: dict[str, Any]) -> Iterator[Problem]:
    """Yield the numbers of an inventory that the schema accepts, but Placement does not."""
    where = ".".join(map(str, place))
    reserved, total = inventory.get("reserved", 0), inventory["total"]
    if reserved > total:
        yield (*place, "reserved"), f"{where}.reserved: {reserved} is more than the total {total}"
    if math.isnan(inventory.get("allocation_ratio", 1)):
        yield (*place, "allocation_ratio"), f"{where}.allocation_ratio: nan is not valid"


def host_places(zones: dict[str, Any]) -> Iterator[tuple[str, Location]]:
    """Yield each name or pattern of hosts, and its place."""
    for name, zone in zones.items():
        for index, host in enumerate(zone["hosts"]):
            yield host, ("zones", name, "hosts", index)


def duplicates(title: str, places: Iterator[tuple[str, Location]]) -> Iterator[Problem]:
    """Yield an error for each value that another place has already."""
    first: dict[str, Location] = {}
    for value, place in places:
        if value in first:
            yield place, f"the {title} {value} is also in {'.'.join(map(str, first[value][:2]))}"
        first.setdefault(value, place)
