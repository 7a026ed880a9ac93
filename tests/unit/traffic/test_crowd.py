"""Who asks."""

from __future__ import annotations

from bluegreen.traffic.crowd import MOST, Crowd
from bluegreen.traffic.lines import parse
from tests.unit.traffic.logs import line


def crowd(*lines: bytes) -> Crowd:
    made = Crowd()
    made.see(parse(b"".join(lines)).hits)
    return made


def test_where_nearly_all_come_from_one_address_that_is_said_and_what_to_do() -> None:
    one = crowd(*[line(bg_client=b"10.0.0.1")] * 190, *[line(bg_client=b"10.0.0.2")] * 10)
    assert one.one_address == "10.0.0.1"
    assert "trusted_proxies" in str(one.warning())
    assert "95% of 200" in str(one.warning())


def test_few_requests_or_many_clients_or_one_visitor_with_a_cookie_warn_of_nothing() -> None:
    assert crowd(*[line()] * 199).warning() is None
    assert crowd(*[line(bg_client=b"10.0.0.%d" % (i % 10)) for i in range(300)]).warning() is None
    assert crowd(*[line(bg_client=b"a" * 32)] * 300).warning() is None
    assert crowd().warning() is None


def test_new_clients_a_second_do_not_count_those_who_were_there_before() -> None:
    lines = []
    for second in range(600):
        lines += [line(msec=b"%d.000" % (1763850000 + second), bg_client=b"10.1.0.%d" % (second % 50))]
        lines += [line(msec=b"%d.500" % (1763850000 + second), bg_client=b"10.2.%d.%d" % divmod(second, 200))] * 2
    assert 0.9 < crowd(*lines).new_per_second() < 1.1
    assert crowd(*lines[:30]).new_per_second() == 0.0


def test_very_many_clients_are_counted_within_bounds() -> None:
    made, one = Crowd(), line(bg_client=b"CLIENT")
    for part in range(3):
        made.see(parse(b"".join(one.replace(b"CLIENT", b"%032x" % (part * 30_000 + i)) for i in range(30_000))).hits)
    assert made.distinct == 90_000
    assert len(made._asked) <= MOST
