"""Finding the file, and the project's name without YAML."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bluegreen.compose import find, project_name
from bluegreen.model.errors import UsageError

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def test_the_first_of_composes_names_is_found(tmp_path: Path) -> None:
    for name in reversed(NAMES):
        (tmp_path / name).touch()
        assert find(tmp_path, {}) == tmp_path / name


def test_bg_file_goes_first(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/other.yaml").touch()
    assert find(tmp_path, {"BG_FILE": "sub/other.yaml"}) == tmp_path / "sub/other.yaml"
    assert find(tmp_path, {"BG_FILE": str(tmp_path / "sub/other.yaml")}) == tmp_path / "sub/other.yaml"
    assert find(tmp_path, {"BG_FILE": ""}) == tmp_path / "compose.yaml"


def test_a_bg_file_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").touch()
    with pytest.raises(UsageError, match=r"BG_FILE names none\.yaml, and there is no such file"):
        find(tmp_path, {"BG_FILE": "none.yaml"})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name: shop\n", "shop"),
        ("name: 'shop'\n", "shop"),
        ('name: "shop"  # ours\n', "shop"),
        ("# name: x\n\nservices: {}\nname:   shop   \n", "shop"),
        ("services:\n  name:\n    name: inner\nname: shop", "shop"),
        ("\ufeffname: shop\n", "shop"),
        ("name: shop\r\nservices: {}\r\n", "shop"),
        ("name: shop\nservices: [broken\n  : : :\n\t", "shop"),
        ("services: {}\n", "fallback"),
        ("", "fallback"),
        ("name: ${NAME}\n", None),
        ("name: $NAME\n", None),
        ("name: >\n  shop\n", None),
        ("name: &a shop\n", None),
        ("'name': shop\n", None),
        ("name: My Shop\n", None),
        ("name: Shop\n", None),
        ("name:\n", None),
        ("{name: shop, services: {}}\n", None),
    ],
)
def test_the_name_is_read_without_yaml(tmp_path: Path, text: str, name: str | None) -> None:
    file = tmp_path / "Fall Back!" / "compose.yaml"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    assert project_name(file, {}) == name


def test_the_environment_names_it_first_then_dotenv(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("name: shop")
    (tmp_path / ".env").write_text("A=1\nCOMPOSE_PROJECT_NAME='from-file'\n")
    assert project_name(file, {}) == "from-file"
    assert project_name(file, {"COMPOSE_PROJECT_NAME": "from-env"}) == "from-env"
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME='broken\n")
    assert project_name(file, {}) == "shop"


def test_a_file_that_is_missing_leaves_the_directory_s_name(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    assert project_name(tmp_path / "shop" / "compose.yaml", {}) == "shop"


def test_bytes_that_are_no_text_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(b"# \xff\xfe\nname: shop\n")
    assert project_name(tmp_path / "compose.yaml", {}) == "shop"


def test_asking_for_the_name_imports_neither_yaml_nor_the_loader(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("name: shop\n")
    script = (
        "import sys\nfrom pathlib import Path\nfrom bluegreen.compose import project_name\n"
        f"assert project_name(Path({str(tmp_path)!r}) / 'compose.yaml', {{}}) == 'shop'\n"
        "heavy = {'yaml', 'bluegreen.compose.loader', 'difflib', 'json'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
