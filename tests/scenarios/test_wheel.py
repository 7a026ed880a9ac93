"""The wheel, installed where nothing else is: everything it needs is in it."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from bluegreen import __version__
from tests.scenarios.stack import Stack
from tests.support import ROOT

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a fresh environment that only the wheel was installed into."""
    place = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), str(ROOT)]
    subprocess.run(pip, check=True, timeout=300)
    venv.create(place / "venv", with_pip=True)
    (wheel,) = place.glob("*.whl")
    python = place / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, check=True, timeout=600)
    return place / "venv" / "bin" / "bluegreen"


def test_the_installed_wheel_says_its_version(program: Path, tmp_path: Path) -> None:
    done = subprocess.run([str(program), "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert __version__ in done.stdout


def test_the_installed_wheel_deploys_with_its_own_templates_and_image(program: Path, stack: Stack) -> None:
    answer = stack.begin("--json", "deploy", "v1", program=(str(program),)).end().succeeded()
    assert answer.document["outcome"] == "switched"
    assert stack.serving == "v1"
    inside = program.parent.parent / "lib"
    packaged = next(inside.glob("python*/site-packages/bluegreen/_nginx/templates"))
    assert {p.name for p in packaged.iterdir()} >= {"nginx.conf.j2", "upstreams.conf.j2"}
