"""Environment, volumes, ports, networks, secrets, configs and builds, in all their forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bluegreen.model.project import Build, File, Network, NetworkUse, Volume
from tests.unit.compose.composefile import around, notices, problems, read, service, service_problems

VOLUME = {"Type": "volume", "Source": "shop_data", "Target": "/data", "ReadOnly": False}


# Environment


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("environment: {B: '2', A: 1}", ["A=1", "B=2"]),
        ("environment: [B=2, A=1=1, C=]", ["A=1=1", "B=2", "C="]),
        ("environment: {HERE: , GONE: }", ["HERE=host"]),
        ("environment: [HERE, GONE]", ["HERE=host"]),
        ("environment: [TAG]", ["TAG=v1.0.0"]),
        ("environment: {EMPTY: ''}", ["EMPTY="]),
        ("env_file: a.env", ["A=1", "B=from a"]),
        ("env_file: [a.env, ./b.env]", ["A=1", "B=from b"]),
        ("env_file: [{path: a.env}, {path: none.env, required: false}]", ["A=1", "B=from a"]),
        ("env_file: {path: a.env}", ["A=1", "B=from a"]),
        ("env_file: [{path: raw.env, format: raw}]", ["A='$HERE' # x"]),
        ("env_file: a.env\nenvironment: {B: over}", ["A=1", "B=over"]),
        ("env_file: a.env\nenvironment: {B: }", ["A=1"]),
        ("env_file: host.env", ["A=host!"]),
    ],
)
def test_environment(tmp_path: Path, block: str, expected: list[str]) -> None:
    files = {"a.env": "A=1\nB='from a'\n", "b.env": "B=from b", "raw.env": "A='$HERE' # x\n", "host.env": "A=$HERE!"}
    assert service(tmp_path, block, env={"HERE": "host"}, files=files).body["Env"] == expected


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("env_file: none.env", "services.web.env_file: there is no file none.env"),
        ("env_file: [a.env, none.env]", "services.web.env_file[1]: there is no file none.env"),
        ("env_file: [{required: true}]", "services.web.env_file[0]: needs 'path'"),
        ("env_file: [{path: a.env, format: json}]", "services.web.env_file[0].format: 'json' is none of raw"),
        ("env_file: wrong.env", "services.web.env_file: wrong.env:2: is no NAME=value"),
        ("env_file: .", "services.web.env_file: . can't be read: "),
        ("environment: ['=x']", "services.web.environment[0]: '' is no name of a variable"),
        ("environment: {'a b': x}", "services.web.environment.a b: 'a b' is no name of a variable"),
        ("environment: {A: [1]}", "services.web.environment.A: expected a text, found a list"),
        ("environment: text", "services.web.environment: expected a mapping, found a text"),
    ],
)
def test_a_wrong_environment(tmp_path: Path, block: str, problem: str) -> None:
    files = {"a.env": "A=1", "wrong.env": "A=1\n?"}
    (found,) = service_problems(tmp_path, block, files=files)
    assert found.startswith(f"compose.yaml:5 {problem}")


def test_an_env_file_s_unset_variable_is_noticed(tmp_path: Path) -> None:
    project = read(tmp_path, around("env_file: a.env"), files={"a.env": "\nA=$NONE"})
    assert notices(project) == [
        "compose.yaml:5 services.web.env_file: a.env:2: the variable NONE is not set; it becomes empty"
    ]


# Volumes


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ("data:/data", {"Mounts": [VOLUME]}),
        ("data:/data/", {"Mounts": [VOLUME]}),
        ("data:/data:rw", {"Mounts": [VOLUME]}),
        ("data:/data:ro", {"Mounts": [VOLUME | {"ReadOnly": True}]}),
        ("data:/data:nocopy", {"Mounts": [VOLUME | {"VolumeOptions": {"NoCopy": True}}]}),
        ("/cache", {"Mounts": [{"Type": "volume", "Target": "/cache", "ReadOnly": False}]}),
        ("./conf:/etc/app:ro", {"Binds": ["HERE/conf:/etc/app:ro"]}),
        ("../up:/up", {"Binds": ["ABOVE/up:/up"]}),
        (".:/all:z", {"Binds": ["HERE:/all:z"]}),
        ("~/x:/x:ro,rslave", {"Binds": ["/home/me/x:/x:ro,rslave"]}),
        ("~:/home", {"Binds": ["/home/me:/home"]}),
        ("/var/run/docker.sock:/var/run/docker.sock", {"Binds": ["/var/run/docker.sock:/var/run/docker.sock"]}),
        (
            "{type: volume, source: data, target: /data, volume: {nocopy: true}}",
            {"Mounts": [VOLUME | {"VolumeOptions": {"NoCopy": True}}]},
        ),
        ("{type: volume, source: data, target: /data, read_only: true}", {"Mounts": [VOLUME | {"ReadOnly": True}]}),
        ("{type: volume, target: /cache}", {"Mounts": [{"Type": "volume", "Target": "/cache", "ReadOnly": False}]}),
        ("{type: bind, source: ./conf, target: /c}", {"Binds": ["HERE/conf:/c"]}),
        (
            "{type: bind, source: ./conf, target: /c, read_only: yes, bind: {propagation: rslave, selinux: Z}}",
            {"Binds": ["HERE/conf:/c:ro,rslave,Z"]},
        ),
        (
            "{type: bind, source: /c, target: /c, bind: {create_host_path: false, propagation: shared}}",
            {
                "Mounts": [
                    {
                        "Type": "bind",
                        "Source": "/c",
                        "Target": "/c",
                        "ReadOnly": False,
                        "BindOptions": {"Propagation": "shared"},
                    }
                ]
            },
        ),
        (
            "{type: bind, source: '/a:b', target: /c}",
            {"Mounts": [{"Type": "bind", "Source": "/a:b", "Target": "/c", "ReadOnly": False}]},
        ),
        ("{type: tmpfs, target: /t}", {"Mounts": [{"Type": "tmpfs", "Target": "/t", "ReadOnly": False}]}),
        (
            "{type: tmpfs, target: /t, tmpfs: {size: 64m, mode: 01777}}",
            {
                "Mounts": [
                    {
                        "Type": "tmpfs",
                        "Target": "/t",
                        "ReadOnly": False,
                        "TmpfsOptions": {"SizeBytes": 64 * 1024**2, "Mode": 0o1777},
                    }
                ]
            },
        ),
    ],
)
def test_volumes(tmp_path: Path, volume: str, expected: dict[str, Any]) -> None:
    text = around(f"volumes: [{volume!r}]" if not volume.startswith("{") else f"volumes: [{volume}]", "shared: true")
    text += "  api: {image: a, x-bluegreen: {route: /, port: 80}}\nvolumes: {data: }\n"
    project = read(tmp_path, text, env={"HOME": "/home/me"})
    places = {
        key: [
            bind.replace(str(tmp_path), "HERE").replace(str(tmp_path.parent), "ABOVE") if key == "Binds" else bind
            for bind in binds
        ]
        for key, binds in project.services["web"].body["HostConfig"].items()
    }
    assert places == expected


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("volumes: ['a:b:c:d']", "[0]: 'a:b:c:d' is not of the form [SOURCE:]TARGET[:MODE]"),
        ("volumes: [':/x']", "[0]: ':/x' is not of the form [SOURCE:]TARGET[:MODE]"),
        ("volumes: ['data:x']", "[0]: 'x' is no absolute path in the container"),
        ("volumes: ['data:/']", "[0]: '/' is no absolute path in the container"),
        ("volumes: ['/x:/x:rx']", "[0]: 'rx' is no mode of a volume"),
        ("volumes: ['~/x:/x:ro']", "[0]: ~ stands for the home directory, and HOME is not set"),
        (
            "volumes: ['dat:/x']",
            "[0]: volumes: at the top has no 'dat', and a path begins with ./ or /; did you mean 'data'?",
        ),
        ("volumes: [{source: data, target: /x}]", "[0]: needs 'type'"),
        ("volumes: [{type: bind, target: /x}]", "[0]: a bind needs 'source', a path of the host"),
        ("volumes: [{type: volume, source: ./x, target: /x}]", "[0]: './x' is a path; write type: bind"),
        (
            "volumes: [{type: npipe, source: x, target: /x}]",
            "[0]: bluegreen does not carry out mounts of type 'npipe' yet",
        ),
        ("volumes: [{type: disk, target: /x}]", "[0]: 'disk' is no type of mount; write bind, volume or tmpfs"),
        ("volumes: [{type: tmpfs, source: x, target: /x}]", "[0]: a tmpfs has no source"),
        ("volumes: [{type: tmpfs, target: /x, bind: {}}]", "[0].bind: a mount of type tmpfs has no 'bind' options"),
        (
            "volumes: [{type: tmpfs, target: /x, tmpfs: {mode: 755}}]",
            "[0].tmpfs.mode: '755' is no octal file mode; write 0755",
        ),
        (
            "volumes: [{type: volume, source: data, target: /x, volume: {subpath: a}}]",
            "[0].volume.subpath: bluegreen does not carry out 'subpath' yet",
        ),
        (
            "volumes: [{type: bind, source: /x, target: /x, bind: {create_host_path: false, selinux: z}}]",
            "[0].bind.selinux: can't be had together with create_host_path: false",
        ),
        ("volumes: ['/a:/x:ro', '/b:/x/:ro']", "[1]: /x is a mount already, at compose.yaml:5 services.web.volumes[0]"),
    ],
)
def test_a_wrong_volume(tmp_path: Path, block: str, problem: str) -> None:
    text = around(block, "route: /, port: 80, shared_volume: true") + "volumes: {data: }\n"
    assert problems(tmp_path, text) == [f"compose.yaml:5 services.web.volumes{problem}"]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("tmpfs: /run", {"/run": ""}),
        ("tmpfs: [/run, '/data/:mode=755,uid=1009']", {"/data": "mode=755,uid=1009", "/run": ""}),
    ],
)
def test_tmpfs(tmp_path: Path, block: str, expected: dict[str, str]) -> None:
    assert service(tmp_path, block).body["HostConfig"] == {"Tmpfs": expected}


@pytest.mark.parametrize("extension", ["route: /, port: 80", "internal: true"])
@pytest.mark.parametrize("volume", ["data:/data", "./data:/data"])
def test_what_both_slots_would_write_to_has_to_be_meant(tmp_path: Path, extension: str, volume: str) -> None:
    rest = "  api: {image: a, x-bluegreen: {route: /api/, port: 80}}\nvolumes: {data: }\n"
    (problem,) = problems(tmp_path, around(f"volumes: ['{volume}']", extension) + rest)
    assert problem.startswith("compose.yaml:5 services.web.volumes[0]: both slots would write to ")
    assert "x-bluegreen.shared_volume: true" in problem
    for meant in (
        around(f"volumes: ['{volume}:ro']", extension),
        around(f"volumes: ['{volume}']", f"{extension}, shared_volume: true"),
    ):
        assert read(tmp_path, meant + rest).services["web"].body["HostConfig"]


@pytest.mark.parametrize("extension", ["worker: true", "job: true", "shared: true"])
def test_what_runs_once_may_write(tmp_path: Path, extension: str) -> None:
    rest = "  api: {image: a, x-bluegreen: {route: /api/, port: 80}}\nvolumes: {data: }\n"
    assert read(tmp_path, around("volumes: ['data:/data']", extension) + rest).volumes.keys() == {"shop_data"}


def test_an_anonymous_volume_is_each_container_s_own(tmp_path: Path) -> None:
    assert service(tmp_path, "volumes: [/cache]").body["HostConfig"]["Mounts"][0]["Target"] == "/cache"


def test_declared_volumes_and_networks_keep_composes_names(tmp_path: Path) -> None:
    project = read(
        tmp_path,
        """\
        services:
          web:
            image: a
            networks: [front, default]
            volumes: ['data:/d:ro', 'own:/o:ro', 'out:/x:ro']
            x-bluegreen: {route: /, port: 80}
          db:
            image: a
            networks: {back: {aliases: [database, sql]}, out: }
            x-bluegreen: {shared: true}
        volumes:
          data: {driver: local, driver_opts: {type: nfs, o: 1}, labels: [a=b]}
          own: {name: own-name}
          out: {external: true}
        networks:
          front: {internal: true, attachable: yes, labels: {a: b}}
          back:
            driver: bridge
            driver_opts: {com.docker.network.bridge.name: br9}
            ipam: {driver: default, config: [{subnet: 10.9.0.0/24, gateway: 10.9.0.1, ip_range: 10.9.0.0/25}]}
          out: {external: true, name: outside}
        """,
    )
    assert project.volumes == {
        "shop_data": Volume("shop_data", driver="local", options={"o": "1", "type": "nfs"}, labels={"a": "b"}),
        "own-name": Volume("own-name"),
        "out": Volume("out", external=True),
    }
    assert project.networks == {
        "shop_front": Network("shop_front", internal=True, attachable=True, labels={"a": "b"}),
        "shop_back": Network(
            "shop_back",
            driver="bridge",
            options={"com.docker.network.bridge.name": "br9"},
            ipam={
                "Driver": "default",
                "Config": [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1", "IPRange": "10.9.0.0/25"}],
            },
        ),
        "outside": Network("outside", external=True),
        "shop_default": Network("shop_default"),
    }
    assert project.services["web"].networks == (NetworkUse("shop_default"), NetworkUse("shop_front"))
    assert project.services["db"].networks == (
        NetworkUse("outside", ("db",)),
        NetworkUse("shop_back", ("db", "database", "sql")),
    )


def test_without_networks_a_service_joins_the_default_one_where_it_meets_someone_there(tmp_path: Path) -> None:
    alone = read(tmp_path, around("networks: []"))
    assert (alone.services["web"].networks, alone.networks) == ((), {})
    shared = "  db: {image: db, x-bluegreen: {shared: true}%s}\n"
    project = read(tmp_path, around("") + shared % "")
    assert project.services["web"].networks == (NetworkUse("shop_default"),)
    assert project.services["db"].networks == (NetworkUse("shop_default", ("db",)),)
    elsewhere = read(tmp_path, around("") + shared % ", networks: [far]" + "networks: {far: }\n")
    assert elsewhere.services["web"].networks == ()
    declared = read(tmp_path, around("") + "networks: {default: {name: main}}\n")
    assert declared.services["web"].networks == (NetworkUse("main"),)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("networks: [frnt]", "[0]: networks: at the top has no 'frnt'; did you mean 'front'?"),
        (
            "networks: {front: {ipv4_address: 10.0.0.9}}",
            (
                ".front.ipv4_address: bluegreen does not carry out 'ipv4_address': a service that runs in two slots can't have "
                "one address; use its name"
            ),
        ),
        ("networks: {front: {aliases: ['a b']}}", ".front.aliases[0]: 'a b' is no host name"),
        ("networks: {front: {alias: [a]}}", ".front.alias: unknown key 'alias'; did you mean 'aliases'?"),
    ],
)
def test_a_wrong_network(tmp_path: Path, block: str, problem: str) -> None:
    text = around(block) + "networks: {front: }\n"
    assert problems(tmp_path, text)[0] == f"compose.yaml:5 services.web.networks{problem}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "volumes: {data: {external: true, driver: local}}",
            "volumes.data.driver: is external, so it has no 'driver' here",
        ),
        ("volumes: {data: {drivr: local}}", "volumes.data.drivr: unknown key 'drivr'; did you mean 'driver'?"),
        (
            "volumes: {data: {name: shop-bluegreen}}",
            "volumes.data: shop-bluegreen is the volume of the project's proxy",
        ),
        ("networks: {n: {name: shop-blue}}", "networks.n: shop-blue is the network of one of the project's slots"),
        (
            "networks: {n: {enable_ipv6: true}}",
            "networks.n.enable_ipv6: bluegreen does not carry out 'enable_ipv6' yet",
        ),
        ("networks: {n: {ipam: {config: [{subnet: no}]}}}", "networks.n.ipam.config[0].subnet: 'no' is no network"),
        ("networks: {'a b': }", "networks.a b: 'a b' is no name for one of the networks"),
        ("networks: [a]", "networks: expected a mapping, found a list"),
    ],
)
def test_a_wrong_declaration(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, around("") + text + "\n") == [f"compose.yaml:6 {problem}"]


def test_what_nobody_uses_is_noticed_and_left_out(tmp_path: Path) -> None:
    text = around("") + "volumes: {data: }\nnetworks: {front: }\nsecrets: {s: {file: nowhere}}\n"
    project = read(tmp_path, text)
    assert notices(project) == [
        "compose.yaml:6 volumes.data: no service uses it, so it is not created: data",
        "compose.yaml:7 networks.front: no service uses it, so it is not created: front",
        "compose.yaml:8 secrets.s: no service uses the secret s",
    ]
    assert not project.volumes
    assert not project.networks


# Secrets and configs


FILES = (
    around("""\
    user: 1000:1001
    secrets:
      - plain
      - {source: env, target: renamed, uid: '103', gid: 104, mode: 0440}
      - {source: plain, target: /etc/secret, mode: '0600'}
    configs:
      - inline
      - {source: plain, target: /etc/app/config, uid: 0, gid: 0}
    """)
    + """\
secrets:
  plain: {file: ./secret.txt}
  env: {environment: PASSWORD}
configs:
  plain: {file: secret.txt}
  inline: {content: "host ${HOST}\\n"}
"""
)


def test_secrets_and_configs_become_files(tmp_path: Path) -> None:
    given: dict[str, Any] = {"env": {"PASSWORD": "hunter2", "HOST": "h"}, "files": {"secret.txt": "s3cret"}}
    assert read(tmp_path, FILES, **given).services["web"].files == {
        "/run/secrets/plain": File(b"s3cret", 0o444, 1000, 1001),
        "/run/secrets/renamed": File(b"hunter2", 0o440, 103, 104),
        "/etc/secret": File(b"s3cret", 0o400, 1000, 1001),
        "/inline": File(b"host h\n", 0o444, 1000, 1001),
        "/etc/app/config": File(b"s3cret", 0o444, 0, 0),
    }


@pytest.mark.parametrize(
    ("use", "definition", "problem"),
    [
        (
            "secrets: [s]",
            "secrets: {s: {file: none.txt}}",
            "6 secrets.s.file: none.txt can't be read: No such file or directory",
        ),
        ("secrets: [s]", "secrets: {s: {environment: NONE}}", "6 secrets.s.environment: the variable NONE is not set"),
        (
            "secrets: [s]",
            "secrets: {s: {external: true}}",
            "6 secrets.s.external: an external secret exists only in a swarm; write file: or environment:",
        ),
        (
            "configs: [s]",
            "configs: {s: {external: true}}",
            "6 configs.s.external: an external config exists only in a swarm; write file: or environment:",
        ),
        ("secrets: [s]", "secrets: {s: {}}", "6 secrets.s: needs either file: or environment:, and has neither"),
        (
            "secrets: [s]",
            "secrets: {s: {file: a, environment: B}}",
            "6 secrets.s: needs either file: or environment:, and has file and environment",
        ),
        ("secrets: [s]", "secrets: {t: {file: a.txt}}", "5 services.web.secrets[0]: secrets: has no 's'"),
        (
            "secrets: [{target: x}]",
            "secrets: {s: {file: a.txt}}",
            "5 services.web.secrets[0]: needs 'source', the name of a secret",
        ),
        (
            "secrets: [{source: s, mode: 440}]",
            "secrets: {s: {file: a.txt}}",
            "5 services.web.secrets[0].mode: '440' is no octal file mode; write 0440",
        ),
        (
            "secrets: [{source: s, uid: root}]",
            "secrets: {s: {file: a.txt}}",
            "5 services.web.secrets[0].uid: 'root' is no whole number from 0 to 2147483648",
        ),
        (
            "secrets: [{source: s, target: ../x}]",
            "secrets: {s: {file: a.txt}}",
            "5 services.web.secrets[0]: '../x' is no path of a file",
        ),
        (
            "secrets: [s, {source: s, target: s}]",
            "secrets: {s: {file: a.txt}}",
            "5 services.web.secrets[1]: /run/secrets/s is there already, from compose.yaml:5 services.web.secrets[0]",
        ),
        (
            "{secrets: [s], tmpfs: /run}",
            "secrets: {s: {file: a.txt}}",
            (
                "5 services.web.secrets[0]: /run/secrets/s would be hidden by what is mounted at /run; give it another target, "
                "or mount something narrower there"
            ),
        ),
    ],
)
def test_a_wrong_secret(tmp_path: Path, use: str, definition: str, problem: str) -> None:
    text = around(use if not use.startswith("{") else "<<: " + use) + definition + "\n"
    assert f"compose.yaml:{problem}" in problems(tmp_path, text, files={"a.txt": "a"})


def test_a_secret_s_content_in_the_file_is_refused_as_compose_does(tmp_path: Path) -> None:
    found = problems(tmp_path, around("secrets: [s]") + "secrets: {s: {content: x}}\n")
    assert found[0].startswith("compose.yaml:6 secrets.s.content: unknown key 'content': only a config")


# Ports


@pytest.mark.parametrize(
    ("port", "bindings"),
    [
        ("'5432'", {"5432/tcp": [("", "")]}),
        ("5432", {"5432/tcp": [("", "")]}),
        ("'5432:5432'", {"5432/tcp": [("", "5432")]}),
        ("'15432:5432/udp'", {"5432/udp": [("", "15432")]}),
        ("'127.0.0.1:8001:80'", {"80/tcp": [("127.0.0.1", "8001")]}),
        ("'127.0.0.1::80'", {"80/tcp": [("127.0.0.1", "")]}),
        ("'[::1]:6001:80'", {"80/tcp": [("::1", "6001")]}),
        ("'::1:6001:80'", {"80/tcp": [("::1", "6001")]}),
        ("'9090-9091:8080-8081'", {"8080/tcp": [("", "9090")], "8081/tcp": [("", "9091")]}),
        ("'3000-3001'", {"3000/tcp": [("", "")], "3001/tcp": [("", "")]}),
        ("'8000-9000:80'", None),
        ("'8000-8010:80'", {"80/tcp": [("", "8000-8010")]}),
        ("{target: 80}", {"80/tcp": [("", "")]}),
        (
            "{target: 80, published: 8080, host_ip: 127.0.0.1, protocol: udp, mode: host, name: web, app_protocol: http}",
            {"80/udp": [("127.0.0.1", "8080")]},
        ),
        ("{target: 80, published: '8080-8083'}", {"80/tcp": [("", "8080-8083")]}),
    ],
)
def test_ports_of_a_shared_service_are_published(
    tmp_path: Path, port: str, bindings: dict[str, list[tuple[str, str]]] | None
) -> None:
    text = around(f"ports: [{port}]", "shared: true") + "  a: {image: a, x-bluegreen: {route: /, port: 80}}\n"
    if bindings is None:
        assert "range of at most 1000" in problems(tmp_path, text)[0]
        return
    body = read(tmp_path, text).services["web"].body
    assert body["HostConfig"]["PortBindings"] == {
        key: [{"HostIp": ip, "HostPort": number} for ip, number in places] for key, places in bindings.items()
    }
    assert body["ExposedPorts"].keys() == bindings.keys()


@pytest.mark.parametrize(
    ("port", "problem"),
    [
        ("'http:80'", "'http' is no port, or range of at most 1000, within 1 to 65535"),
        ("'80:'", "'' is no port, or range of at most 1000, within 1 to 65535"),
        ("'99999:80'", "'99999' is no port, or range of at most 1000, within 1 to 65535"),
        ("'80/ftp'", "'ftp' is none of the protocols tcp, udp, sctp"),
        ("'nohost:80:80'", "'nohost' is no IP address of the host"),
        ("'80-81:80-82'", "80-81 and 80-82 are ranges of different lengths"),
        ("[80]", "expected a port such as 8080:80, or a mapping"),
        ("{published: 80}", "needs 'target', the container's port"),
        ("{target: a}", ".target: 'a' is no port"),
        ("{target: 80, protocol: icmp}", ".protocol: 'icmp' is none of tcp, udp, sctp"),
        ("{target: 80, mode: bridge}", ".mode: 'bridge' is none of host, ingress"),
        ("{target: 80, publishd: 8080}", ".publishd: unknown key 'publishd'; did you mean 'published'?"),
    ],
)
def test_a_wrong_port(tmp_path: Path, port: str, problem: str) -> None:
    separator = "" if problem.startswith(".") else ": "
    assert service_problems(tmp_path, f"ports: [{port}]") == [
        f"compose.yaml:5 services.web.ports[0]{separator}{problem}"
    ]


# Builds


def test_a_build_s_short_form(tmp_path: Path) -> None:
    project = read(tmp_path, "services: {web: {build: ./web, x-bluegreen: {route: /, port: 80}}}")
    assert project.services["web"].build == Build(tmp_path / "web")
    assert project.services["web"].image is None


def test_a_build_s_long_form(tmp_path: Path) -> None:
    project = read(
        tmp_path,
        """\
        services:
          web:
            image: registry.example:5000/shop/web:${TAG}
            build:
              context: ..
              dockerfile: web.Dockerfile
              args: {B: 2, A: "${TAG}", HERE: , GONE: }
              target: prod
              labels: [x=y]
              network: host
              extra_hosts: {h: 10.0.0.1}
              shm_size: 2gb
              pull: true
              no_cache: "yes"
            x-bluegreen: {route: /, port: 80}
        """,
        env={"HERE": "h"},
    )
    assert project.services["web"].image == "registry.example:5000/shop/web:v1.0.0"
    assert project.services["web"].build == Build(
        tmp_path.parent,
        "web.Dockerfile",
        None,
        (("A", "v1.0.0"), ("B", "2"), ("HERE", "h")),
        "prod",
        (("x", "y"),),
        "host",
        ("h:10.0.0.1",),
        2 * 1024**3,
        pull=True,
        no_cache=True,
    )


def test_equal_builds_are_equal_values(tmp_path: Path) -> None:
    project = read(
        tmp_path,
        """\
        services:
          web: {build: {context: ./app, args: [B=1, A=2]}, x-bluegreen: {route: /, port: 80}}
          work: {build: {context: app, args: {A: 2, B: 1}}, x-bluegreen: {worker: true}}
        """,
    )
    assert project.services["web"].build == project.services["work"].build


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (
            "https://example.com/x.git",
            ": bluegreen does not build from a remote context; check it out and give its path",
        ),
        (
            "{context: ., dockerfile: a, dockerfile_inline: FROM a}",
            ".dockerfile_inline: can't be had together with dockerfile",
        ),
        ("{cache_from: [a]}", ".cache_from: bluegreen does not carry out 'cache_from' yet"),
        ("{contxt: .}", ".contxt: unknown key 'contxt'; did you mean 'context'?"),
        ("{tags: [a]}", ".tags: bluegreen does not carry out 'tags': the image is tagged with the release's TAG"),
        ("[a]", ": expected a mapping, found a list"),
    ],
)
def test_a_wrong_build(tmp_path: Path, build: str, problem: str) -> None:
    assert service_problems(tmp_path, f"build: {build}") == [f"compose.yaml:5 services.web.build{problem}"]
