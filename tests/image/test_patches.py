"""The patches of Placement in the image: template/image/patches/, and docs/reference/patches.md."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.containers import NEWEST, PYTHON, Run, Server, logs, new_name
from tests.support.servers import DatabaseServer
from tests.support.template import ROOT, Render

URL = "OS_PLACEMENT_DATABASE__CONNECTION"
HEADERS = {"x-auth-token": "admin", "openstack-api-version": "placement 1.39"}


def test_usages_are_answered_on_postgresql(
    any_image: str, postgresql: DatabaseServer, start: Callable[..., Server]
) -> None:
    """From microversion 1.38 on, which groups them by consumer type."""
    server = start(any_image, {URL: postgresql.new_database()})
    answer = server.client.get("/usages?project_id=one", headers=HEADERS)
    assert (answer.status_code, answer.json()) == (200, {"usages": {}})


def test_resource_classes_can_be_created_at_once(
    newest: str, server: DatabaseServer, start: Callable[..., Server]
) -> None:
    """Each gets the next id, and another id if a faster request has taken that one.

    On MariaDB from 11.6 on, this also shows that the entry point disables snapshot isolation.
    """
    env = {URL: server.new_database(), "UWSGI_PROCESSES": "4", "UWSGI_THREADS": "4"}
    placement = start(newest, env)
    names = {f"CUSTOM_CLASS_{number}" for number in range(64)}

    def create(name: str) -> int:
        url = f"/resource_classes/{name}"
        return placement.client.put(url, headers=HEADERS, timeout=60).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(create, names)) == {201}
    created = placement.client.get("/resource_classes", headers=HEADERS).json()["resource_classes"]
    assert names <= {each["name"] for each in created}


def test_one_of_several_changes_of_a_provider_succeeds(
    newest: str, server: DatabaseServer, start: Callable[..., Server]
) -> None:
    """Nova repeats a request after 409, and gives up after 500."""
    env = {URL: server.new_database(), "UWSGI_PROCESSES": "4", "UWSGI_THREADS": "4"}
    placement, provider = start(newest, env), str(uuid.uuid4())
    create_provider(placement, provider, None)
    url = f"/resource_providers/{provider}"
    names = {
        "traits": placement.client.get("/traits", headers=HEADERS).json()["traits"],
        "aggregates": [str(uuid.uuid4()) for _ in range(18)],
    }

    def change(generation: int, kind: str, name: str) -> int:
        body = {"resource_provider_generation": generation, kind: [name]}
        answer = placement.client.put(f"{url}/{kind}", json=body, headers=HEADERS, timeout=60)
        return answer.status_code

    generation = 0
    with ThreadPoolExecutor(16) as pool:
        for kind, (first, second, *others) in names.items():
            different, same = others[:16], ([first] * 16, [second] * 16)
            # In the last rounds, all clients set an aggregate that exists already.
            for of_clients in (different, *same, *same, *same):
                statuses = sorted(pool.map(partial(change, generation, kind), of_clients))
                assert statuses[0] == 200
                # Who asks for the traits that another client has just set has nothing to change.
                late = {200, 409} if kind == "traits" and of_clients != different else {409}
                assert {*statuses[1:]} <= late, (kind, of_clients)
                generation += 1


def test_allocation_candidates_without_a_trait(
    any_image: str, postgresql: DatabaseServer, start: Callable[..., Server]
) -> None:
    """Of two trees, the one whose child has the forbidden trait is no candidate."""
    placement = start(any_image, {URL: postgresql.new_database()})
    body = {"resource_provider_generation": 0, "traits": ["HW_NUMA_ROOT"]}
    roots = []
    for number in range(2):
        root, child = (f"{number}{each}000000-0000-0000-0000-000000000000" for each in "12")
        create_provider(placement, root, None)
        create_provider(placement, child, root)
        inventory = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 4}}}
        url = f"/resource_providers/{child}"
        if number:
            put(placement, f"{url}/traits", body)
            inventory["resource_provider_generation"] = 1
        put(placement, f"{url}/inventories", inventory)
        roots.append(root)
    url = "/allocation_candidates?resources=VCPU:1&required=!HW_NUMA_ROOT"
    answer = placement.client.get(url, headers=HEADERS)
    assert answer.status_code == 200
    found = answer.json()["provider_summaries"].values()
    assert {summary["root_provider_uuid"] for summary in found} == {roots[0]}


def test_whole_floats_are_allocated(
    any_image: str, mariadb: DatabaseServer, start: Callable[..., Server]
) -> None:
    """MariaDB reports the usage as a decimal."""
    placement = start(any_image, {URL: mariadb.new_database()})
    provider = "10000000-0000-0000-0000-000000000000"
    create_provider(placement, provider, None)
    inventory = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 4}}}
    put(placement, f"/resource_providers/{provider}/inventories", inventory)
    for number in range(2):
        body = {
            "allocations": {provider: {"resources": {"VCPU": 1.0}}},
            "project_id": "project",
            "user_id": "user",
            "consumer_generation": None,
            "consumer_type": "INSTANCE",
        }
        put(placement, f"/allocations/{number}0000000-0000-0000-0000-000000000001", body)


def test_provider_over_its_capacity_can_be_used_less(
    image: Callable[[str], str], start: Callable[..., Server]
) -> None:
    """Placement 13.0.1 refuses every change of its allocations: LP#2104040."""
    client = start(image("2025.1")).client
    client.headers.update(HEADERS)
    provider, consumer = str(uuid.uuid4()), f"/allocations/{uuid.uuid4()}"

    def set_total(total: int, generation: int) -> int:
        inventories = {"inventories": {"VCPU": {"total": total}}}
        body = {"resource_provider_generation": generation, **inventories}
        return client.put(f"/resource_providers/{provider}/inventories", json=body).status_code

    def allocate(used: int) -> int:
        body = client.get(consumer).json()
        body |= {"allocations": {provider: {"resources": {"VCPU": used}}}}
        names = {"project_id": "one", "user_id": "one", "consumer_type": "INSTANCE"}
        return client.put(consumer, json={"consumer_generation": None, **names, **body}).status_code

    client.post("/resource_providers", json={"name": "full", "uuid": provider}).raise_for_status()
    assert (set_total(4, 0), allocate(4)) == (200, 204)
    assert set_total(2, 2) == 200
    assert [allocate(used) for used in (5, 4, 3, 4)] == [409, 204, 204, 409]


@pytest.mark.parametrize("optimize", ["False", "True"])
def test_candidates_of_a_wide_provider_tree(
    optimize: str, engine: str, image: Callable[[str], str], start: Callable[..., Server]
) -> None:
    """Placement 14.0.0 lacks the option, LP#2126751, and logs each combination, LP#2126438."""
    env = {
        "OS_WORKAROUNDS__OPTIMIZE_FOR_WIDE_PROVIDER_TREES": optimize,
        "OS_PLACEMENT__MAX_ALLOCATION_CANDIDATES": "100",
        "OS_DEFAULT__DEBUG": "True",
    }
    server = start(image("2025.2"), env)
    client = server.client
    client.headers.update(HEADERS)
    width = 8 if optimize == "True" else 4  # of 8, all combinations are 16 million
    root, *children = (str(uuid.uuid4()) for _ in range(width + 1))
    client.post("/resource_providers", json={"name": "root", "uuid": root}).raise_for_status()
    for child in children:
        body = {"name": child, "uuid": child, "parent_provider_uuid": root}
        client.post("/resource_providers", json=body).raise_for_status()
        inventory = {"resource_provider_generation": 0, "inventories": {"PGPU": {"total": 1}}}
        path = f"/resource_providers/{child}/inventories"
        client.put(path, json=inventory).raise_for_status()
    groups = {f"resources{number}": "PGPU:1" for number in range(width)}
    query = {**groups, "group_policy": "none"}
    found = client.get("/allocation_candidates", params=query).raise_for_status().json()
    assert len(found["allocation_requests"]) == (100 if optimize == "True" else 24)
    assert "Excluding the following AllocationRequest" not in logs(engine, server.name)


# The statements outside of a transaction, the transactions of a database that were rolled back, and
# the scans of its resource classes.
STATISTICS = {
    "postgresql": """
        SELECT xact_commit, xact_rollback, seq_scan + idx_scan
        FROM pg_stat_database, pg_stat_user_tables
        WHERE datname = current_database() AND relname = 'resource_classes'
    """,
    # All queries, each ROLLBACK, and each ping.
    "mysql": """
        SELECT GROUP_CONCAT(variable_value ORDER BY variable_name DESC SEPARATOR '|')
        FROM information_schema.global_status
        WHERE variable_name IN ('COM_SELECT', 'COM_ROLLBACK', 'COM_ADMIN_COMMANDS')
    """,
}


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_read_needs_only_its_queries(
    database: str, any_image: str, request: pytest.FixtureRequest, start: Callable[..., Server]
) -> None:
    """The read of an inventory has two; neither a ping nor a transaction of PostgreSQL is needed.

    With MariaDB, one ROLLBACK ends the transaction. The standard resource classes are known.
    """
    server: DatabaseServer = request.getfixturevalue(database)
    url = server.new_database()
    placement = start(any_image, {URL: url, "UWSGI_PROCESSES": "1", "UWSGI_THREADS": "1"})
    provider = str(uuid.uuid4())
    create_provider(placement, provider, None)
    path = f"/resource_providers/{provider}/inventories"
    inventory = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 4}}}
    put(placement, path, inventory)

    def statistics() -> list[int]:
        time.sleep(1.1)  # after a second, the next request lets the connection report
        placement.client.get(path, headers=HEADERS)
        database = str(sa.make_url(url).database)
        return list(map(int, server.administer(STATISTICS[server.kind], database).split("|")))

    before = statistics()
    for _ in range(100):
        found = placement.client.get(path, headers=HEADERS).raise_for_status().json()
        assert list(found["inventories"]) == ["VCPU"]
    queries, rollbacks, others = (
        later - first for later, first in zip(statistics(), before, strict=True)
    )
    assert 190 < queries < 250
    if server.kind == "postgresql":
        assert (rollbacks < 10, others) == (True, 0)
    else:
        assert (100 <= rollbacks < 150, others < 10) == (True, True)


RANDOM = "OS_PLACEMENT__RANDOMIZE_ALLOCATION_CANDIDATES"


@pytest.mark.parametrize("randomize", ["False", "True"])
def test_limited_candidates(randomize: str, any_image: str, start: Callable[..., Server]) -> None:
    """Each of five candidates has a summary, and no other provider has one."""
    placement = start(any_image, {RANDOM: randomize})
    placement.client.headers.update(HEADERS)
    providers = [str(uuid.uuid4()) for _ in range(20)]
    for number, provider in enumerate(providers):
        create_provider(placement, provider, None)
        inventory = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 4}}}
        put(placement, f"/resource_providers/{provider}/inventories", inventory)
        if number % 2:
            traits = {"resource_provider_generation": 1, "traits": ["HW_CPU_X86_SSE"]}
            put(placement, f"/resource_providers/{provider}/traits", traits)
    chosen = set[str]()
    for query in ("required=HW_CPU_X86_SSE", "root_required=HW_CPU_X86_SSE"):
        for amount in (1, 1, 2, 2, 3, 3, 4, 4):
            url = f"/allocation_candidates?resources=VCPU:{amount}&limit=5&{query}"
            found = placement.client.get(url).raise_for_status().json()
            used = [next(iter(each["allocations"])) for each in found["allocation_requests"]]
            assert len(used) == 5
            assert set(used) == set(found["provider_summaries"])
            chosen |= set(used)
    assert chosen <= set(providers[1::2])
    # Of ten, four choices of five leave out more than two by chance in 1 of 1000 runs.
    assert len(chosen) > 6


def test_image_lists_its_patches(
    image: Callable[[str], str], image_without_speed: Callable[[str], str], run: Run
) -> None:
    """Each patch fits a release, and PATCHES=fixes leaves out those for speed."""

    def listed(image: str) -> set[str]:
        script = "print(open('/etc/placement/patches').read())"
        return set(run(image, "-c", script, options=(PYTHON,)).stdout.split())

    patches = sorted((ROOT / "template/image/patches").iterdir())
    releases = ("2025.1", "2025.2", NEWEST)
    in_images = set[str]().union(*(listed(image(release)) for release in releases))
    in_entrypoint = {"aliases-once", "signatures-once"}
    assert in_images == {path.stem for path in patches} | in_entrypoint
    speed = {path.stem for path in patches if "\nPurpose: speed\n" in path.read_text("utf-8")}
    speed |= in_entrypoint
    without = listed(image_without_speed(NEWEST))
    assert len(speed) > 5
    assert without == listed(image(NEWEST)) - speed
    assert "concurrent-updates" in without


def test_selection_of_patches_is_checked() -> None:
    command = ["sh", str(ROOT / "template/image/patch.sh"), "speed"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    error = "PATCHES is 'speed': set it to all, fixes or none\n"
    assert (done.returncode, done.stderr) == (1, error)


CHECKS = """
from placement import util

checks = []
util._VALIDATOR.check_schema = checks.append
schema = {"type": "object"}
for body in ('{"name": "one"}', '{"name": "two"}'):
    util.extract_json(body, schema)
print(len(checks))
"""


def test_schema_is_checked_once(any_image: str, run: Run) -> None:
    assert run(any_image, "-c", CHECKS, options=(PYTHON,)).stdout == "1\n"


def create_provider(placement: Server, uuid: str, parent: str | None) -> None:
    """Create a provider, whose name is its UUID."""
    body = {"name": uuid, "uuid": uuid, "parent_provider_uuid": parent}
    assert placement.client.post("/resource_providers", json=body, headers=HEADERS).is_success


def put(placement: Server, path: str, body: object) -> None:
    """Send a PUT request that succeeds."""
    answer = placement.client.put(path, json=body, headers=HEADERS)
    assert answer.is_success, answer.text


@pytest.mark.usefixtures("newest")
def test_build_skips_a_patch_that_does_not_apply(
    engine: str, render: Render, tmp_path: Path
) -> None:
    """A release may contain the fix, or other lines: the build reports that and continues."""
    repository = shutil.copytree(render({"release": NEWEST}), tmp_path / "repository")
    patches = repository / "image/patches"
    ours = sorted(patches.iterdir())
    # Applied after the real ones: each patch once more, and each for other lines.
    for path in ours:
        text = path.read_text(encoding="utf-8")
        (patches / f"z-again-{path.name}").write_text(text, encoding="utf-8")
        (patches / f"z-other-{path.name}").write_text(
            text.replace("\n- ", "\n-#"), encoding="utf-8"
        )
    name = f"localhost/{new_name()}"
    command = [engine, "build", "--target=builder", f"--tag={name}", str(repository)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    subprocess.run([engine, "rmi", name], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    left_out = set(re.findall(r"(\S+) does not apply", done.stdout + done.stderr))
    assert left_out == {f"z-{why}-{path.name}" for why in ("again", "other") for path in ours}
