"""`make` alone lists the targets, and .ci/run runs the README's test command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.template import ROOT


def test_make_alone_describes_every_target() -> None:
    """The targets are the ones that make itself knows."""
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


def cluster_kit(folder: Path) -> Path:
    """Write a cluster kit whose `down` leaves a file behind."""
    folder.mkdir(parents=True)
    for name, command in (("up", "echo export KUBECONFIG=made"), ("down", f"touch {folder}/down")):
        (folder / name).write_text(f"#!/bin/sh\n{command}-called\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


CLUSTER_MAKEFILE = "test test-cluster:\n\t@echo $@ on $(KUBECONFIG) $(CLUSTER_LOAD)\n"


def test_ci_runs_the_tests_and_then_the_cluster_tests_without_input(tmp_path: Path) -> None:
    makefile = "test test-cluster:\n\t@cat\n\t@echo $@ on $(KUBECONFIG)\n"
    expected = (0, ["test on here", "test-cluster on here"])
    assert ci(tmp_path, makefile, KUBECONFIG="here") == expected


def test_ci_fails_if_either_of_them_fails(tmp_path: Path) -> None:
    """Finding no tests, which pytest reports with code 5, is a failure, too."""
    first = "test:\n\t@exit 5\ntest-cluster:\n\t@echo on\n"
    second = "test:\n\t@echo on\ntest-cluster:\n\t@exit 5\n"
    assert ci(tmp_path, first, KUBECONFIG="here") == (2, [])
    assert ci(tmp_path, second, KUBECONFIG="here") == (2, ["on"])


def test_ci_starts_the_cluster_kit_for_the_cluster_tests_and_stops_it(tmp_path: Path) -> None:
    """By default, the kit is the folder shared/kube next to the clone."""
    kit = cluster_kit(tmp_path / "shared/kube")
    makefile = CLUSTER_MAKEFILE + f"\t@! test -e {kit}/down-called\n"
    expected = ["test on", f"test-cluster on made-called {kit}/load"]
    assert ci(tmp_path, makefile) == (0, expected)
    assert (kit / "down-called").exists()


def test_ci_uses_the_cluster_kit_that_the_environment_names(tmp_path: Path) -> None:
    cluster_kit(tmp_path / "shared/kube")
    kit = cluster_kit(tmp_path / "kit")
    expected = ["test on", f"test-cluster on made-called {kit}/load"]
    assert ci(tmp_path, CLUSTER_MAKEFILE, CLUSTER_KIT=str(kit)) == (0, expected)
