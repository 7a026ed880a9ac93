"""``x-bluegreen.proxy.canary``: how visitors keep their places, and how a tester chooses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bluegreen.compose.digest import release_digest
from bluegreen.compose.render import to_data, to_yaml
from bluegreen.model.codec import encode
from bluegreen.model.project import Force, Project, ProxySettings
from bluegreen.planning.deploy import draft
from tests.unit.compose.composefile import around, notices, problems, read

SECRET = "0123456789-abcdef_XYZ"  # noqa: S105 - guards nothing


def text(block: str) -> str:
    return f"x-bluegreen: {{proxy: {{canary: {block}}}}}\n" + around("")


def project(directory: Path, block: str, **env: str) -> Project:
    return read(directory, text(block), env=env)


def test_everything_is_read_and_no_part_of_a_releases_identity(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        "{affinity: cookie, cookie_domain: shop.io, skew: 10m, force: {header: X-Shop, cookie: pick, secret: '${S}'}}",
        S=SECRET,
    )
    assert (found.proxy.affinity, found.proxy.cookie_domain, found.proxy.skew) == ("cookie", "shop.io", 600.0)
    assert found.force == Force("X-Shop", "pick", SECRET)
    assert found.notices == ()
    plain = project(tmp_path, "{}")
    assert (plain.proxy, plain.force) == (ProxySettings(), Force())
    assert release_digest(found) == release_digest(plain)


def test_the_secret_is_in_nothing_that_is_stored_or_shown(tmp_path: Path) -> None:
    found = project(tmp_path, "{force: {secret: '${S}'}}", S=SECRET)
    release = draft(found, 7, "v1", release_digest(found), dict.fromkeys(found.services, "sha256:1"))
    for said in (json.dumps(encode(release)), to_yaml(found), json.dumps(to_data(found)), repr(found), str(found)):
        assert SECRET not in said
    assert SECRET in to_yaml(found, reveal=True)


def test_a_secret_in_the_file_is_said_and_none_at_all_is_nobody_s(tmp_path: Path) -> None:
    written = project(tmp_path, f"{{force: {{secret: {SECRET}}}}}")
    assert ["FORCE_SECRET" in line for line in notices(written)] == [True]
    assert SECRET not in "".join(notices(written))
    assert project(tmp_path, "{force: {secret: '${S:-}'}}").force.secret == ""
    unset = project(tmp_path, "{force: {secret: '${S}'}}")
    assert unset.force.secret == ""
    assert "S is not set" in "".join(notices(unset))


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("{afinity: cookie}", ".canary.afinity: unknown key 'afinity'; did you mean 'affinity'?"),
        ("{affinity: cookies}", ".canary.affinity: 'cookies' is none of cookie, address, none"),
        ("{cookie_domain: com}", ".canary.cookie_domain: 'com' is no domain such as example.com"),
        ("{cookie_domain: 10.0.0.1}", "is no domain such as example.com"),
        ("{cookie_domain: 'a.io; HttpOnly'}", "is no domain such as example.com"),
        ("{affinity: address, cookie_domain: a.io}", ".cookie_domain: there is no cookie with affinity: address"),
        ("{skew: 2h}", ".canary.skew: must be from 0s to 3600s"),
        ("{force: {}}", ".canary.force: needs a secret"),
        ("{force: {secret: short}}", ".force.secret: is 16 to 128 letters, digits, - and _"),
        (f"{{force: {{header: Cookie, secret: {SECRET}}}}}", ".force.header: Cookie has a meaning already"),
        (f"{{force: {{header: x-forwarded-by, secret: {SECRET}}}}}", "has a meaning already"),
        (f"{{force: {{header: X_A, secret: {SECRET}}}}}", "'X_A' is no header's name of letters, digits and -"),
        (f"{{force: {{cookie: bluegreen_place, secret: {SECRET}}}}}", "bluegreen_place is bluegreen's own"),
        (f"{{force: {{cookie: a-b, secret: {SECRET}}}}}", "'a-b' is no cookie's name of letters, digits and _"),
    ],
)
def test_what_makes_no_sense_is_an_error_with_its_place(tmp_path: Path, block: str, problem: str) -> None:
    assert problem in "\n".join(problems(tmp_path, text(block)))


def test_a_secret_of_the_wrong_form_is_not_shown(tmp_path: Path) -> None:
    assert "hunter2" not in "\n".join(problems(tmp_path, text("{force: {secret: hunter2 is it}}")))
