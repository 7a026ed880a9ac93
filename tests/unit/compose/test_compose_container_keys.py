"""Every syntax of the keys that map to the Engine API's container body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.compose.composefile import read, service, service_problems

SECOND = 1_000_000_000


def body(directory: Path, block: str, **given: Any) -> dict[str, Any]:
    return dict(service(directory, block, **given).body)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("command: bundle exec thin -p 3000", {"Cmd": ["bundle", "exec", "thin", "-p", "3000"]}),
        ("""command: 'sh -c "echo $$HOME && ls"'""", {"Cmd": ["sh", "-c", "echo $HOME && ls"]}),
        ("command: [bundle, exec, -p, 3000]", {"Cmd": ["bundle", "exec", "-p", "3000"]}),
        ("command: ['']", {"Cmd": [""]}),
        ("command:", {}),
        ("command: null", {}),
        ("entrypoint: /entry.sh --fast", {"Entrypoint": ["/entry.sh", "--fast"]}),
        ("entrypoint: []", {"Entrypoint": []}),
        ("entrypoint: ''", {"Entrypoint": []}),
        ("entrypoint: ''\ncommand: []", {"Entrypoint": [], "Cmd": []}),
        ("user: app", {"User": "app"}),
        ("user: 1000:1000", {"User": "1000:1000"}),
        ("user: 1000", {"User": "1000"}),
        ("working_dir: /srv", {"WorkingDir": "/srv"}),
        ("stop_signal: SIGUSR1", {"StopSignal": "SIGUSR1"}),
        ("stop_signal: 9", {"StopSignal": "9"}),
        ("stop_grace_period: 1m30s", {"StopTimeout": 90}),
        ("stop_grace_period: 1500ms", {"StopTimeout": 2}),
        ("labels: {b: x, a: 1}", {"Labels": {"a": "1", "b": "x"}}),
        ("labels: [a=1, b=c=d, c]", {"Labels": {"a": "1", "b": "c=d", "c": ""}}),
        ("labels: {on: true, off: False, n: }", {"Labels": {"n": "", "off": "false", "on": "true"}}),
        (
            "expose: ['3000', 8080-8082/tcp, 53/udp]",
            {"ExposedPorts": {"3000/tcp": {}, "53/udp": {}, "8080/tcp": {}, "8081/tcp": {}, "8082/tcp": {}}},
        ),
        ("init: true", {"HostConfig": {"Init": True}}),
        ("init: yes", {"HostConfig": {"Init": True}}),
        ("init: 'off'", {"HostConfig": {"Init": False}}),
        ("read_only: true", {"HostConfig": {"ReadonlyRootfs": True}}),
        (
            "cap_add: [net_admin, CAP_SYS_TIME]\ncap_drop: [ALL]",
            {"HostConfig": {"CapAdd": ["CAP_SYS_TIME", "NET_ADMIN"], "CapDrop": ["ALL"]}},
        ),
        (
            "extra_hosts: ['a=10.0.0.1', 'b:10.0.0.2', 'c=[::1]', 'd:::1', 'e:host-gateway']",
            {"HostConfig": {"ExtraHosts": ["a:10.0.0.1", "b:10.0.0.2", "c:::1", "d:::1", "e:host-gateway"]}},
        ),
        (
            "extra_hosts: {a: 10.0.0.1, b: [10.0.0.2, 10.0.0.3]}",
            {"HostConfig": {"ExtraHosts": ["a:10.0.0.1", "b:10.0.0.2", "b:10.0.0.3"]}},
        ),
        (
            "logging: {driver: json-file, options: {max-size: 10m, max-file: 3}}",
            {"HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}}},
        ),
        ("logging: {options: {a: b}}", {"HostConfig": {"LogConfig": {"Type": "", "Config": {"a": "b"}}}}),
        ("mem_limit: 512m", {"HostConfig": {"Memory": 512 * 1024**2}}),
        ("mem_limit: 1.5gb", {"HostConfig": {"Memory": 3 * 1024**3 // 2}}),
        ("mem_limit: 536870912", {"HostConfig": {"Memory": 536870912}}),
        ("cpus: 1.5", {"HostConfig": {"NanoCpus": 1_500_000_000}}),
        ("cpus: '0.25'", {"HostConfig": {"NanoCpus": 250_000_000}}),
        (
            """
     deploy:
       replicas: 3
       resources:
         limits: {cpus: '0.5', memory: 64M, pids: 100}
         reservations: {memory: 32M}
     """,
            {
                "HostConfig": {
                    "Memory": 64 * 1024**2,
                    "MemoryReservation": 32 * 1024**2,
                    "NanoCpus": 500_000_000,
                    "PidsLimit": 100,
                }
            },
        ),
        ("mem_limit: 64m\ndeploy: {resources: {limits: {memory: 64M}}}", {"HostConfig": {"Memory": 64 * 1024**2}}),
        ("healthcheck: {test: curl -f localhost}", {"Healthcheck": {"Test": ["CMD-SHELL", "curl -f localhost"]}}),
        ("healthcheck: {test: [CMD, curl, -f]}", {"Healthcheck": {"Test": ["CMD", "curl", "-f"]}}),
        ("healthcheck: {test: [CMD-SHELL, curl -f]}", {"Healthcheck": {"Test": ["CMD-SHELL", "curl -f"]}}),
        ("healthcheck: {test: [NONE]}", {"Healthcheck": {"Test": ["NONE"]}}),
        ("healthcheck: {disable: true}", {"Healthcheck": {"Test": ["NONE"]}}),
        (
            """
     healthcheck:
       test: [CMD, ok]
       interval: 1m30s
       timeout: 10s
       retries: 3
       start_period: 0.5h
       start_interval: 250ms
     """,
            {
                "Healthcheck": {
                    "Test": ["CMD", "ok"],
                    "Interval": 90 * SECOND,
                    "Timeout": 10 * SECOND,
                    "Retries": 3,
                    "StartPeriod": 1800 * SECOND,
                    "StartInterval": SECOND // 4,
                }
            },
        ),
        ("healthcheck: {interval: 5s}", {"Healthcheck": {"Interval": 5 * SECOND}}),
    ],
)
def test_a_key_becomes_the_engine_s_field(tmp_path: Path, block: str, expected: dict[str, Any]) -> None:
    assert body(tmp_path, block) == expected


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (
            "command: a && b",
            ('5 services.web.command: no shell reads this, so && would be an argument; write ["sh", "-c", "..."]'),
        ),
        ('command: "it\'s"', "5 services.web.command: can't be split into words: no closing quotation"),
        ("command: {a: b}", "5 services.web.command: expected a text, found a mapping"),
        ("working_dir: srv", "5 services.web.working_dir: 'srv' is no absolute path"),
        ("user: 'a b'", "5 services.web.user: 'a b' is no user"),
        ("stop_signal: '!'", "5 services.web.stop_signal: '!' is no signal"),
        (
            "stop_grace_period: 10",
            ("5 services.web.stop_grace_period: '10' is no duration such as 500ms, 30s or 1m30s; a unit is missing"),
        ),
        (
            "stop_grace_period: soon",
            "5 services.web.stop_grace_period: 'soon' is no duration such as 500ms, 30s or 1m30s",
        ),
        ("init: maybe", "5 services.web.init: 'maybe' is neither true nor false"),
        ("read_only:\n  - x", "5 services.web.read_only: expected a text, found a list"),
        ("cap_add: ['a b']", "5 services.web.cap_add[0]: 'a b' is no capability"),
        ("cap_add: NET_ADMIN", "5 services.web.cap_add: expected a list, found a text"),
        ("extra_hosts: ['a=nowhere']", "5 services.web.extra_hosts[0]: 'nowhere' is no IP address, nor host-gateway"),
        ("extra_hosts: ['=10.0.0.1']", "5 services.web.extra_hosts[0]: '' is no host name"),
        ("mem_limit: 12x", "5 services.web.mem_limit: '12x' is no size such as 512m or 1gb"),
        ("mem_limit: 1m", "5 services.web.mem_limit: must be at least 6m, the smallest an engine accepts"),
        ("cpus: many", "5 services.web.cpus: 'many' is no number"),
        (
            "mem_limit: 64m\ndeploy: {resources: {limits: {memory: 32M}}}",
            "6 services.web.deploy.resources.limits.memory: says something else than the service's own mem_limit or cpus",
        ),
        (
            "deploy: {resources: {limits: {memory: 32M}, reservations: {memory: 64M}}}",
            "5 services.web.deploy.resources.reservations.memory: reserves more than the limit",
        ),
        ("deploy: {replicas: -1}", "5 services.web.deploy.replicas: '-1' is no whole number from 0 to 100"),
        ("deploy: {replicas: two}", "5 services.web.deploy.replicas: 'two' is no whole number from 0 to 100"),
        (
            "labels: {com.docker.compose.project: x}",
            (
                "5 services.web.labels.com.docker.compose.project: labels that begin with com.docker.compose or io.bluegreen "
                "are reserved"
            ),
        ),
        ("labels: ['=x']", "5 services.web.labels[0]: a label needs a name"),
        ("expose: [http]", "5 services.web.expose[0]: 'http' is no port, or range of at most 1000, within 1 to 65535"),
        ("expose: [80/icmp]", "5 services.web.expose[0]: 'icmp' is none of the protocols tcp, udp, sctp"),
        (
            "restart: sometimes",
            (
                "5 services.web.restart: 'sometimes' is no restart policy; write no, always, on-failure "
                "or unless-stopped"
            ),
        ),
        (
            "healthcheck: {test: NONE}",
            ('5 services.web.healthcheck.test: is a command called NONE; write it as a list: ["NONE", ...]'),
        ),
        (
            "healthcheck: {test: [curl]}",
            "5 services.web.healthcheck.test: the list must begin with NONE, CMD or CMD-SHELL",
        ),
        ("healthcheck: {test: []}", "5 services.web.healthcheck.test: the list must begin with NONE, CMD or CMD-SHELL"),
        (
            "healthcheck: {test: [CMD]}",
            "5 services.web.healthcheck.test: CMD is followed by a command and its arguments",
        ),
        (
            "healthcheck: {test: [CMD-SHELL, a, b]}",
            "5 services.web.healthcheck.test: CMD-SHELL is followed by one string",
        ),
        ("healthcheck: {interval: 1us}", "5 services.web.healthcheck.interval: must be at least 1ms"),
        (
            "healthcheck: {intervall: 1s}",
            "5 services.web.healthcheck.intervall: unknown key 'intervall'; did you mean 'interval'?",
        ),
        ("logging: json-file", "5 services.web.logging: expected a mapping, found a text"),
        ('command: "\\0"', "5 services.web.command: holds a NUL character or half of a surrogate pair"),
    ],
)
def test_a_wrong_value_is_said_with_its_place(tmp_path: Path, block: str, problem: str) -> None:
    assert service_problems(tmp_path, block) == [f"compose.yaml:{problem}"]


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        ("no", "no"),
        ("'no'", "no"),
        ("always", "always"),
        ("on-failure", "on-failure"),
        ("on-failure:3", "on-failure:3"),
        ("unless-stopped", "unless-stopped"),
    ],
)
def test_restart_policies(tmp_path: Path, written: str, policy: str) -> None:
    assert service(tmp_path, f"restart: {written}").restart == policy


def test_what_serves_restarts_unless_stopped_and_a_job_does_not(tmp_path: Path) -> None:
    project = read(
        tmp_path,
        """\
        services:
          web: {image: a, x-bluegreen: {route: /, port: 80}}
          side: {image: a, x-bluegreen: {internal: true}}
          work: {image: a, x-bluegreen: {worker: true}}
          db: {image: a, x-bluegreen: {shared: true}}
          job: {image: a, x-bluegreen: {job: true}}
        """,
    )
    restarts = {name: s.restart for name, s in project.services.items()}
    assert restarts.pop("job") == "no"
    assert set(restarts.values()) == {"unless-stopped"}


def test_the_grace_period_is_kept_to_the_fraction(tmp_path: Path) -> None:
    assert service(tmp_path, "stop_grace_period: 1500ms").stop_grace == 1.5
    assert service(tmp_path, "").stop_grace == 10.0


def test_an_empty_command_alone_is_noticed_since_the_engine_ignores_it(tmp_path: Path) -> None:
    project = read(tmp_path, "services: {web: {image: a, command: [], x-bluegreen: {route: /, port: 80}}}")
    assert "can't have an empty command: the image's runs" in project.notices[0].message
    assert project.notices[0].where == "compose.yaml:1 services.web.command"


def test_reserved_processors_are_noticed(tmp_path: Path) -> None:
    project = read(
        tmp_path,
        """\
        services:
          web:
            image: a
            deploy: {resources: {reservations: {cpus: '1'}}}
            x-bluegreen: {route: /, port: 80}
        """,
    )
    assert "only in a swarm" in project.notices[0].message


def test_numbers_are_taken_as_they_are_written(tmp_path: Path) -> None:
    written = "{A: 1.10, B: 0777, C: 1_000, D: 12:30, E: yes, F: True, G: 'True', H: 2024-01-01}"
    env = body(tmp_path, f"environment: {written}")
    assert env["Env"] == ["A=1.10", "B=0777", "C=1_000", "D=12:30", "E=yes", "F=true", "G=True", "H=2024-01-01"]
