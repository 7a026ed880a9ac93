"""What is stored comes back, and does so after later versions have added fields."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.model.codec import decode, encode
from bluegreen.model.history import History
from bluegreen.model.names import Kind, Slot
from bluegreen.model.project import Dependency, HealthCheck, Route, SmokeCheck
from bluegreen.model.release import Release, Routes, ServiceRelease, Stack

text = st.text(max_size=20)
services = st.builds(
    ServiceRelease,
    kind=st.sampled_from(Kind),
    image=text,
    replicas=st.integers(1, 9),
    routes=st.lists(st.builds(Route, prefix=text, host=st.none() | text), max_size=2).map(tuple),
    port=st.none() | st.integers(1, 65535),
    health=st.none() | st.builds(HealthCheck, path=text, status=st.just((200, 204))),
    depends_on=st.lists(
        st.builds(Dependency, service=text, condition=st.sampled_from(["service_started", "service_healthy"])),
        max_size=2,
    ).map(tuple),
    networks=st.lists(text, max_size=2).map(tuple),
)
releases = st.builds(
    Release,
    number=st.integers(1),
    tag=text,
    config=text,
    services=st.dictionaries(text, services, max_size=3),
    smoke=st.lists(st.builds(SmokeCheck, method=text, path=text, headers=st.dictionaries(text, text)), max_size=2).map(
        tuple
    ),
    revision=st.none() | text,
)
routes = st.builds(
    Routes,
    generation=st.integers(0),
    parent=st.none() | st.integers(0),
    live=st.none() | st.sampled_from(Slot),
    stacks=st.dictionaries(
        st.sampled_from(Slot),
        st.builds(Stack, release=releases, upstreams=st.dictionaries(text, st.lists(text, max_size=3).map(tuple))),
        max_size=2,
    ),
)


@given(routes)
def test_routes_survive_json(value: Routes) -> None:
    assert decode(Routes, json.loads(json.dumps(encode(value)))) == value


@given(routes)
def test_fields_of_a_later_version_are_passed_over(value: Routes) -> None:
    assert decode(Routes, {**encode(value), "later": [1]}) == value


@pytest.mark.parametrize("data", [None, [], {"number": "one"}, {"number": 1}, {"number": 1, "tag": 2}])
def test_what_does_not_fit_is_a_value_error(data: object) -> None:
    with pytest.raises(ValueError, match=r"Release|expected"):
        decode(Release, data)


def test_an_empty_history_survives() -> None:
    assert decode(History, json.loads(json.dumps(History().snapshot()))) == History()
