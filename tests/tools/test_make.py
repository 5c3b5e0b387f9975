"""`make` alone helps, and .ci/run runs what the README says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.template import ROOT


def test_make_alone_lists_every_target_with_what_it_does() -> None:
    """The targets are what make itself knows them to be."""
    known = subprocess.run(
        ["make", "--print-data-base", "--question", "help"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    ).stdout
    phony = re.search(r"^\.PHONY: (.+)$", known, re.MULTILINE)
    assert phony
    listed = subprocess.run(["make"], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    assert dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", listed, re.MULTILINE)).keys() == set(
        phony[1].split()
    )


def ci(folder: Path, makefile: str, **env: str) -> tuple[int, list[str]]:
    """Run .ci/run with another Makefile from elsewhere, and return its exit code and its lines."""
    shutil.copytree(ROOT / ".ci", folder / "main/.ci", dirs_exist_ok=True)
    (folder / "main/Makefile").write_text(makefile, encoding="utf-8")
    done = subprocess.run(
        [folder / "main/.ci/run"],
        cwd="/",
        env={"PATH": os.environ["PATH"], **env},
        text=True,
        input="input\n",
        capture_output=True,
        check=False,
    )
    return done.returncode, [line.strip() for line in done.stdout.splitlines()]


def test_ci_runs_the_tests_and_then_those_on_a_cluster_without_input(tmp_path: Path) -> None:
    makefile = "test test-cluster:\n\t@cat\n\t@echo $@ on $(KUBECONFIG)\n"
    expected = (0, ["test on here", "test-cluster on here"])
    assert ci(tmp_path, makefile, KUBECONFIG="here") == expected


def test_ci_fails_with_either_of_them(tmp_path: Path) -> None:
    """5 is what pytest says where it finds no tests: that is a failure too."""
    first = "test:\n\t@exit 5\ntest-cluster:\n\t@echo on\n"
    second = "test:\n\t@echo on\ntest-cluster:\n\t@exit 5\n"
    assert ci(tmp_path, first, KUBECONFIG="here") == (2, [])
    assert ci(tmp_path, second, KUBECONFIG="here") == (2, ["on"])


def test_ci_starts_the_kit_beside_it_for_the_cluster_alone_and_ends_it(tmp_path: Path) -> None:
    kit = tmp_path / "shared/kube"
    kit.mkdir(parents=True)
    for name, does in (("up", "echo export KUBECONFIG=made"), ("down", f"touch {kit}/ended")):
        (kit / name).write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
        (kit / name).chmod(0o755)
    makefile = "test test-cluster:\n\t@echo $@ on $(KUBECONFIG)$(CLUSTER_LOAD)\n"
    makefile += "\t@! test -e ../shared/kube/ended\n"
    code, lines = ci(tmp_path, makefile)
    assert code == 0
    assert lines == ["test on", f"test-cluster on made{tmp_path}/main/../shared/kube/load"]
    assert (kit / "ended").exists()
