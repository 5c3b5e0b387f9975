"""Other lists of the user's own places are the same as in extensions/own_places.py."""

from __future__ import annotations

import re

from pathspec import GitIgnoreSpec

from extensions.own_places import CI_PLACES, PLACES, RENDERED_ONCE
from tests.support.template import ROOT, load
from tests.support.work import OWN_PLACES as USED_BY_TESTS

OWN_PLACES = {*PLACES, *(place for places in CI_PLACES.values() for place in places)}


def test_copier_renders_own_places_once() -> None:
    """Copier does not evaluate several patterns from one Jinja expression here."""
    assert load(ROOT / "copier.yml")["_skip_if_exists"] == list(RENDERED_ONCE)
    assert set(RENDERED_ONCE) < set(PLACES)


def test_template_has_no_file_in_other_own_places() -> None:
    """Such a file would be replaced by an update. CI workflows are recognized by their names."""
    places = PLACES.keys() - set(RENDERED_ONCE) | CI_PLACES["gitlab"].keys()
    own = GitIgnoreSpec.from_lines(places)
    template = ROOT / "template"
    names = [path.relative_to(template).as_posix() for path in template.rglob("*")]
    assert [name for name in names if own.match_file(name.removesuffix(".jinja"))] == []


def test_yamllint_ignores_only_own_places_besides_charts_and_tools() -> None:
    ignored = load(ROOT / "template/.yamllint")["ignore"].split()
    patterns = {pattern for pattern in ignored if not pattern.startswith("!")}
    places = {pattern.lstrip("/").removesuffix("*") for pattern in patterns}
    places -= {"placement-chart/templates/", ".venv/"}
    assert places <= OWN_PLACES
    assert places >= {name for name in PLACES if name.endswith(".yaml") and "*" not in name}
    assert places >= {place for service in CI_PLACES.values() for place in service}


def test_yamllint_checks_the_workflows_of_the_template() -> None:
    """Only further workflow files are the user's own."""
    ignored = GitIgnoreSpec.from_lines(load(ROOT / "template/.yamllint")["ignore"].split())
    folder = ROOT / "template/.github/workflows"
    workflows = [path.relative_to(ROOT / "template").as_posix() for path in folder.iterdir()]
    assert workflows
    assert not list(ignored.match_files(workflows))
    assert ignored.match_file(".github/workflows/own.yml")


def test_documentation_lists_own_places() -> None:
    text = (ROOT / "docs/reference/updates.md").read_text()
    table = text.partition("| Place | Read by |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\|[^|]*`([^`]+)` \|", table, re.MULTILINE)) == OWN_PLACES


def test_update_tests_use_each_own_place() -> None:
    for place in OWN_PLACES:
        own = GitIgnoreSpec.from_lines([place])
        assert any(map(own.match_file, USED_BY_TESTS)), place
    assert all(map(GitIgnoreSpec.from_lines(OWN_PLACES).match_file, USED_BY_TESTS))
