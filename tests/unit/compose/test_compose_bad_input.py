"""Bad input: each mistake has its own error, says where, and all of a file's are said at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bluegreen.compose import load
from bluegreen.model.errors import Exit, UsageError
from tests.unit.compose.composefile import around, error, notices, problems, read, service, service_problems

WEB = "  web: {image: a, x-bluegreen: {route: /, port: 80}}\n"


def services(*lines: str) -> str:
    return "services:\n" + "".join(f"  {line}\n" for line in lines)


# The file itself


def test_a_missing_file_says_what_was_looked_for_and_suggests_init(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(None, directory=tmp_path, env={}, tag="v1")
    assert caught.value.code == "file-missing"
    assert str(caught.value).endswith("looked for compose.yaml, compose.yml, docker-compose.yaml, docker-compose.yml")
    assert "bg init" in caught.value.problem.next
    assert caught.value.exit is Exit.USAGE


def test_a_file_that_was_named_and_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*/none\.yaml") as caught:
        load(tmp_path / "none.yaml", env={}, tag="v1")
    assert caught.value.code == "file-missing"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "a: [1,\nb: 2\n",
            "file-not-yaml",
            (
                "compose.yaml:3: is not YAML: did not find expected ',' or ']' (while parsing "
                "a flow sequence from line 1 on)"
            ),
        ),
        (
            "services:\n\tweb: {}\n",
            "file-not-yaml",
            "compose.yaml:2: is not YAML: the line is indented with a tab; YAML takes spaces",
        ),
        (
            "a: *x\n",
            "file-not-yaml",
            "compose.yaml:1: is not YAML: *x is not the name of an anchor that ended above it",
        ),
        (
            "a: &a [*a]\n",
            "file-not-yaml",
            "compose.yaml:1: is not YAML: *a is not the name of an anchor that ended above it",
        ),
        (
            "a: 1\n---\nb: 1\n",
            "file-not-yaml",
            "compose.yaml:2: is not YAML: a second document starts here; a Compose file is one",
        ),
        ("a: " + "[" * 500, "file-not-yaml", "compose.yaml:1: is not YAML: nested deeper than 64 levels"),
        ("a: \x01\n", "file-not-yaml", "compose.yaml:1: is not YAML: "),
        ("", "file-empty", "compose.yaml: is empty"),
        ("# only a comment\n", "file-empty", "compose.yaml: is empty"),
        ("---\n", "file-empty", "compose.yaml: is empty"),
        (
            "- a\n",
            "file-not-compose",
            "compose.yaml:1: is no Compose file: at its top stands no mapping such as services: ...",
        ),
        (
            "just words\n",
            "file-not-compose",
            "compose.yaml:1: is no Compose file: at its top stands no mapping such as services: ...",
        ),
    ],
)
def test_a_file_that_is_no_compose_file(tmp_path: Path, text: str, code: str, message: str) -> None:
    caught = error(tmp_path, text)
    assert caught.code == code
    assert str(caught.problem).startswith(message)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        load(None, directory=tmp_path, env={}, tag="v1")


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        load(tmp_path, env={}, tag="v1")


def test_aliases_that_explode_are_stopped(tmp_path: Path) -> None:
    levels = "\n".join(f"x-{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12))
    assert error(tmp_path, f"x-0: &l0 [a]\n{levels}\n" + services(WEB.strip())).code == "file-too-large"


@pytest.mark.parametrize("text", ["name: shop\n", "name: shop\nservices:\n", "name: shop\nservices: {}\n"])
def test_a_file_without_services(tmp_path: Path, text: str) -> None:
    assert error(tmp_path, text).code == "services-missing"


# Keys


def test_an_unknown_key_has_file_line_path_and_a_suggestion(tmp_path: Path) -> None:
    text = "services:\n  backend:\n    image: a\n    helthcheck: {}\n    x-bluegreen: {route: /, port: 80}\n"
    caught = error(tmp_path, text)
    assert caught.code == "key-unknown"
    assert str(caught.problem) == (
        "compose.yaml:4 services.backend.helthcheck: unknown key 'helthcheck'; did you mean 'healthcheck'?"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("servces: {}\n", "6 servces: unknown key 'servces'; did you mean 'services'?"),
        (
            "include: [a.yaml]\n",
            "6 include: bluegreen does not carry out 'include': put the included services into this file",
        ),
        ("models: {}\n", "6 models: bluegreen does not carry out 'models' yet"),
        ("keep: 3\n", "6 keep: unknown key 'keep': it belongs under x-bluegreen"),
        ("x-bluegren: {keep: 3}\n", "6 x-bluegren: unknown key 'x-bluegren'; did you mean 'x-bluegreen'?"),
        ("zzz: 1\n", "6 zzz: unknown key 'zzz'"),
    ],
)
def test_wrong_keys_at_the_top(tmp_path: Path, text: str, problem: str) -> None:
    assert f"compose.yaml:{problem}" in problems(tmp_path, around("") + text)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("privileged: true", "bluegreen does not carry out 'privileged' yet"),
        (
            "network_mode: host",
            (
                "bluegreen does not carry out 'network_mode': each slot has its own network; write the "
                "networks to join under 'networks'"
            ),
        ),
        (
            "container_name: web",
            (
                "bluegreen does not carry out 'container_name': the service runs in two slots at once, "
                "and one name can't be given to two containers; remove it, other services reach this one "
                "by its service name"
            ),
        ),
        ("scale: 2", "bluegreen does not carry out 'scale': write deploy.replicas instead"),
        ("replicas: 2", "unknown key 'replicas': it belongs under deploy"),
        ("route: /", "unknown key 'route': it belongs under x-bluegreen"),
        ("health: /", "unknown key 'health': it belongs under x-bluegreen, or did you mean 'healthcheck'?"),
        ("enviroment: {}", "unknown key 'enviroment'; did you mean 'environment'?"),
        ("depends-on: []", "unknown key 'depends-on'; did you mean 'depends_on'?"),
        ("Image: x", "unknown key 'Image'; did you mean 'image'?"),
    ],
)
def test_a_key_that_is_not_carried_out_is_told_from_an_unknown_one(tmp_path: Path, block: str, problem: str) -> None:
    key = block.partition(":")[0]
    assert service_problems(tmp_path, block) == [f"compose.yaml:5 services.web.{key}: {problem}"]


@pytest.mark.parametrize("block", ["x-anything: {a: [1]}", "deploy: {x-a: 1}", "healthcheck: {x-b: 1}"])
def test_x_keys_may_stand_anywhere(tmp_path: Path, block: str) -> None:
    assert service(tmp_path, block)


def test_a_key_that_is_there_twice(tmp_path: Path) -> None:
    assert service_problems(tmp_path, "user: a\ninit: true\nuser: b") == [
        "compose.yaml:7 services.web.user: the key 'user' is there already, on line 5"
    ]


def test_the_obsolete_version_is_a_notice(tmp_path: Path) -> None:
    assert notices(read(tmp_path, "version: '3.8'\n" + services(WEB.strip()))) == [
        "compose.yaml:1 version: is obsolete; Compose ignores it, and so does bluegreen"
    ]


def test_all_problems_are_said_at_once_in_the_file_s_order(tmp_path: Path) -> None:
    caught = error(
        tmp_path,
        """\
        version: "3"
        x-bluegreen: {kep: 3}
        services:
          backend:
            image: 'A b'
            helthcheck: {}
            environment: {A: "${NEED:?set it}"}
            mem_limit: 12x
            depends_on: [fronten]
            x-bluegreen: {route: /}
          frontend:
            build: ./frontend
            ports: ["80:80", "99999"]
            x-bluegreen: {route: /, port: 80}
          other:
            image: x
        """,
    )
    assert caught.code == "file-invalid"
    assert str(caught) == "compose.yaml has 10 problems"
    assert [(p.code, (p.where or "").split()[0]) for p in caught.problems] == [
        ("key-unknown", "compose.yaml:2"),
        ("image-form", "compose.yaml:5"),
        ("key-unknown", "compose.yaml:6"),
        ("variable-required", "compose.yaml:7"),
        ("value-form", "compose.yaml:8"),
        ("depends-unknown", "compose.yaml:9"),
        ("port-missing", "compose.yaml:10"),
        ("port-form", "compose.yaml:13"),
        ("route-twice", "compose.yaml:14"),
        ("kind-missing", "compose.yaml:15"),
    ]


# Anchors and merging


def test_anchors_and_merge_keys(tmp_path: Path) -> None:
    project = read(
        tmp_path,
        """\
        x-common: &common
          image: a
          environment: &env {A: 1, B: 2}
          restart: always
        x-more: &more {restart: no, user: app}
        services:
          web:
            <<: [*common, *more]
            environment: {<<: *env, B: 3}
            x-bluegreen: {route: /, port: 80}
          work:
            <<: *common
            command: [work]
            x-bluegreen: {worker: true}
        """,
    )
    web, work = project.services["web"], project.services["work"]
    assert (web.restart, web.body) == ("always", {"Env": ["A=1", "B=3"], "User": "app"})
    assert (work.restart, work.body) == ("always", {"Cmd": ["work"], "Env": ["A=1", "B=2"]})


@pytest.mark.parametrize(("line", "code"), [("<<: 3", "merge-form"), ("<<: [3]", "merge-form")])
def test_only_mappings_merge(tmp_path: Path, line: str, code: str) -> None:
    assert error(tmp_path, around(line)).code == code


def test_a_problem_behind_an_anchor_is_said_once_where_it_stands(tmp_path: Path) -> None:
    text = """\
        x-common: &common
          image: a
          init: maybe
        services:
          web: {<<: *common, x-bluegreen: {route: /, port: 80}}
          work: {<<: *common, x-bluegreen: {worker: true}}
        """
    assert problems(tmp_path, text) == ["compose.yaml:3 services.web.init: 'maybe' is neither true nor false"]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("!reset null", "tag-unknown"),
        ("!!python/name:os.system x", "tag-unknown"),
        ("!!binary aGk=", "tag-unknown"),
    ],
)
def test_tags_are_not_carried_out(tmp_path: Path, value: str, code: str) -> None:
    assert error(tmp_path, around(f"user: {value}")).problems[0].code == code


def test_the_core_tags_are_fine(tmp_path: Path) -> None:
    assert service(tmp_path, "user: !!str 1000").body == {"User": "1000"}


# Variables and the tag


def test_an_unset_variable_is_empty_and_noticed(tmp_path: Path) -> None:
    project = read(tmp_path, around("environment: {A: '${NONE}', B: '$ALSO$NONE'}"))
    assert project.services["web"].body["Env"] == ["A=", "B="]
    assert notices(project) == [
        "compose.yaml:5 services.web.environment.A: the variable NONE is not set; it becomes empty",
        "compose.yaml:5 services.web.environment.B: the variable ALSO is not set; it becomes empty",
    ]


def test_a_variable_that_smoke_commands_are_given_is_not_the_files(tmp_path: Path) -> None:
    command = '[{command: "./smoke.sh $BG_PREVIEW_URL $$BG_PREVIEW_TOKEN"}]'
    project = read(tmp_path, f"x-bluegreen: {{smoke: {command}}}\n" + around(""))
    assert [str(script.text) for script in project.smoke_commands] == ["./smoke.sh  $BG_PREVIEW_TOKEN"]
    (said,) = notices(project)
    assert said.endswith("BG_PREVIEW_URL is not set; it becomes empty, where $$BG_PREVIEW_URL leaves it to the command")


def test_an_unset_required_variable(tmp_path: Path) -> None:
    caught = error(tmp_path, around("environment:\n  A: ${DB_PASSWORD:?see the wiki}"))
    assert caught.code == "variable-required"
    assert str(caught.problem) == (
        "compose.yaml:6 services.web.environment.A: DB_PASSWORD is required and is not set: see the wiki"
    )
    assert caught.problem.next == ("DB_PASSWORD=... in .env, or in the environment",)


def test_a_malformed_variable(tmp_path: Path) -> None:
    assert service_problems(tmp_path, "environment: {A: 'pa$$w$'}") == [
        "compose.yaml:5 services.web.environment.A: '$' is no variable; a literal dollar sign is written $$"
    ]


@pytest.mark.parametrize("block", ["environment: {A: $RAW}", "environment: [RAW]"])
def test_a_variable_that_is_no_text(tmp_path: Path, block: str) -> None:
    (problem,) = service_problems(tmp_path, block, env={"RAW": os.fsdecode(b"\xff")})
    assert problem.endswith("is no text in UTF-8")


def test_keys_are_not_interpolated(tmp_path: Path) -> None:
    made = service(tmp_path, "labels: {'$X': $X}", env={"X": "x"})
    assert made.body["Labels"] == {"$X": "x"}


def test_the_tag_goes_over_the_environment_which_goes_over_dotenv(tmp_path: Path) -> None:
    text = around("environment: {TAG: $TAG, A: $A, B: $B}")
    project = read(tmp_path, text, env={"TAG": "env", "A": "env"}, tag="v2", files={".env": "TAG=f\nA=f\nB=${A}f"})
    assert project.services["web"].body["Env"] == ["A=env", "B=envf", "TAG=v2"]


def test_without_a_tag_the_environment_s_counts_else_it_is_empty_without_a_word(tmp_path: Path) -> None:
    text = services("web: {image: 'shop/web:${TAG:?}', environment: ['T=$TAG'], x-bluegreen: {route: /, port: 80}}")
    assert read(tmp_path, text, tag=None, env={"TAG": "v3"}).services["web"].image == "shop/web:v3"
    project = read(tmp_path, text, tag=None)
    assert project.services["web"].image == "shop/web:"
    assert project.services["web"].body["Env"] == ["T="]
    assert project.notices == ()


@pytest.mark.parametrize("tag", ["", "a b", "v1;rm", "v1\n", "a{b}", "$TAG", "-v1", ".v1", "v" * 129, "é"])
def test_a_tag_that_is_no_image_tag(tmp_path: Path, tag: str) -> None:
    caught = error(tmp_path, around(""), tag=tag)
    assert caught.code == "tag-form"
    assert "\n" not in str(caught)


def test_a_wrong_dotenv_is_named_with_its_line(tmp_path: Path) -> None:
    caught = error(tmp_path, around(""), files={".env": "A=1\nB='open\n"})
    assert (caught.code, str(caught.problem)) == ("env-file-form", ".env:2: has a quote that is never closed")


def test_a_dotenv_s_unset_variable_is_noticed(tmp_path: Path) -> None:
    assert notices(read(tmp_path, around(""), files={".env": "A=$NONE"})) == [
        ".env:1: the variable NONE is not set; it becomes empty"
    ]


# Names


@pytest.mark.parametrize(
    ("env", "files", "text", "name"),
    [
        ({}, {}, "name: shop\n", "shop"),
        ({"N": "other"}, {}, "name: my-${N}\n", "my-other"),
        ({"COMPOSE_PROJECT_NAME": "env"}, {}, "name: shop\n", "env"),
        ({}, {".env": "COMPOSE_PROJECT_NAME=file"}, "name: shop\n", "file"),
    ],
)
def test_the_project_s_name(tmp_path: Path, env: dict[str, str], files: dict[str, str], text: str, name: str) -> None:
    block = around("environment: {P: $COMPOSE_PROJECT_NAME}")
    project = read(tmp_path, text + block, env=env, files=files, name=None)
    assert (project.name, project.services["web"].body["Env"]) == (name, [f"P={name}"])


def test_the_directory_names_the_project_at_last(tmp_path: Path) -> None:
    (tmp_path / "My Shop.v2").mkdir()
    assert read(tmp_path / "My Shop.v2", around(""), name=None).name == "myshopv2"


@pytest.mark.parametrize(
    ("text", "env", "problem"),
    [
        (
            "name: My Shop\n",
            {},
            (
                "compose.yaml:1 name: 'My Shop' is no project name: at most 41 lower-case letters, "
                "digits, '-' and '_', the first a letter or digit"
            ),
        ),
        ("name: \n", {}, "compose.yaml:1 name: needs a value"),
        (
            "",
            {"COMPOSE_PROJECT_NAME": "A;b"},
            (
                "compose.yaml COMPOSE_PROJECT_NAME: 'A;b' is no project name: at most 41 "
                "lower-case letters, digits, '-' and '_', the first a letter or digit"
            ),
        ),
    ],
)
def test_a_wrong_project_name(tmp_path: Path, text: str, env: dict[str, str], problem: str) -> None:
    assert problem in problems(tmp_path, text + around(""), env=env, name=None)


def test_a_directory_that_makes_no_project_name(tmp_path: Path) -> None:
    (tmp_path / "日本").mkdir()
    assert error(tmp_path / "日本", around(""), name=None).code == "name-missing"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["'a b': {image: a, x-bluegreen: {internal: true}}"], "name-form"),
        (["'a;b': {image: a, x-bluegreen: {internal: true}}"], "name-form"),
        (["Web: {image: a, x-bluegreen: {internal: true}}"], "name-clash"),
        (["blue-web: {image: a, x-bluegreen: {shared: true}}"], "name-clash"),
        (["r1-web: {image: a, x-bluegreen: {shared: true}}"], "name-clash"),
    ],
)
def test_names_of_services_that_can_not_be(tmp_path: Path, lines: list[str], code: str) -> None:
    assert [p.code for p in error(tmp_path, services(WEB.strip(), *lines)).problems] == [code]


@pytest.mark.parametrize("image", ["a b", "A", "a:", "a:b:c", "a@sha256:12", "a;b", "-a", "a//b", ""])
def test_a_wrong_image_name(tmp_path: Path, image: str) -> None:
    text = services(f"web: {{image: '{image}', x-bluegreen: {{route: /, port: 80}}}}")
    assert error(tmp_path, text).problems[0].code in ("image-form", "image-missing", "value-missing")


@pytest.mark.parametrize(
    "image",
    [
        "a",
        "a:1",
        "a/b_c/d.e__f",
        "localhost:5000/a:v1",
        "reg.example/A".lower(),
        "a@sha256:" + "0" * 64,
        "docker.io/library/redis:7-alpine",
        "[::1]:5000/a",
    ],
)
def test_right_image_names(tmp_path: Path, image: str) -> None:
    text = services(f"web: {{image: '{image}', x-bluegreen: {{route: /, port: 80}}}}")
    assert read(tmp_path, text).services["web"].image == image


def test_a_service_without_image_and_build(tmp_path: Path) -> None:
    assert problems(tmp_path, services("web: {x-bluegreen: {route: /, port: 80}}")) == [
        "compose.yaml:2 services.web: needs 'image' or 'build'"
    ]


# Kinds and routes


def test_a_kind_left_out_lists_the_kinds_and_suggests_init(tmp_path: Path) -> None:
    caught = error(tmp_path, services(WEB.strip(), "db: {image: a}", "work: {image: a, x-bluegreen: {}}"))
    assert [str(p) for p in caught.problems] == [
        (
            "compose.yaml:3 services.db: without a kind: db, work. Each service says under x-bluegreen what it is: "
            "route: /PATH, internal: true, worker: true, job: true or shared: true"
        )
    ]
    assert caught.problem.next == ("bg init",)


def test_a_plain_compose_file_is_one_error_that_suggests_init(tmp_path: Path) -> None:
    caught = error(tmp_path, services("web: {image: a}", "db: {image: a}"))
    assert (caught.code, caught.problem.where, len(caught.problems)) == ("kind-missing", "compose.yaml:1 services", 1)


def test_no_routed_service(tmp_path: Path) -> None:
    caught = error(tmp_path, services("work: {image: a, x-bluegreen: {worker: true}}"))
    assert (caught.code, str(caught.problem)) == (
        "route-missing",
        (
            "compose.yaml:1 services: no service is routed, so there is nothing to switch; give one "
            "x-bluegreen: {route: /}"
        ),
    )


def test_two_services_on_one_route_are_both_named(tmp_path: Path) -> None:
    text = services(WEB.strip(), "two: {image: a, x-bluegreen: {route: [/a/, /], port: 80}}")
    assert problems(tmp_path, text) == [
        (
            "compose.yaml:3 services.two.x-bluegreen.route[1]: the route / is taken by the service 'web', at "
            "compose.yaml:2 services.web.x-bluegreen.route"
        )
    ]


def test_one_path_on_two_hosts_is_two_routes(tmp_path: Path) -> None:
    text = services(
        WEB.strip(),
        "two: {image: a, x-bluegreen: {route: /, host: x.example, port: 80}}",
        "three: {image: a, x-bluegreen: {route: y.example/, port: 80}}",
    )
    assert len(read(tmp_path, text).services) == 3


# Dependencies


def chain(*edges: str, kind: str = "internal") -> str:
    """``a>b,c`` for a service a that depends on b and c."""
    lines = []
    for edge in edges:
        name, _, targets = edge.partition(">")
        lines.append(f"{name}: {{image: x, depends_on: [{targets}], x-bluegreen: {{{kind}: true}}}}")
    return services(WEB.strip(), *lines)


@pytest.mark.parametrize(
    ("edges", "circle"),
    [
        (["a>a"], "a -> a"),
        (["a>b", "b>a"], "a -> b -> a"),
        (["x>a", "a>b", "b>c", "c>a"], "a -> b -> c -> a"),
    ],
)
def test_a_cycle_in_depends_on_is_printed(tmp_path: Path, edges: list[str], circle: str) -> None:
    caught = error(tmp_path, chain(*edges))
    assert (caught.code, len(caught.problems)) == ("depends-cycle", 1)
    assert str(caught).endswith(f"these services wait for each other: {circle}")


def test_two_cycles_are_two_errors(tmp_path: Path) -> None:
    assert [p.code for p in error(tmp_path, chain("a>b", "b>a", "c>d", "d>c")).problems] == ["depends-cycle"] * 2


def test_a_diamond_is_no_cycle(tmp_path: Path) -> None:
    assert len(read(tmp_path, chain("a>b,c", "b>d", "c>d", "d>")).services) == 5


def test_a_long_chain_is_walked_without_recursion(tmp_path: Path) -> None:
    edges = [f"s{n}>s{n + 1}" for n in range(3000)]
    assert len(read(tmp_path, chain(*edges, "s3000>")).services) == 3002


@pytest.mark.parametrize(
    ("who", "on", "problem"),
    [
        ("internal", "depends_on: [dbb]", "there is no service 'dbb'; did you mean 'db'?"),
        ("internal", "depends_on: [work]", "work is a worker, and workers start only after the switch"),
        (
            "shared",
            "depends_on: [web]",
            "a shared service outlives the releases, so it can't wait for web, which is a routed service of one",
        ),
        (
            "shared",
            "depends_on: [job]",
            "a shared service outlives the releases, so it can't wait for job, which is a job of one",
        ),
        (
            "internal",
            "depends_on: {db: {condition: service_completed_successfully}}",
            "db does not end; if it does, it is a job: x-bluegreen: {job: true}",
        ),
        (
            "internal",
            "depends_on: {job: {condition: service_healthy}}",
            "job is a job; write service_completed_successfully",
        ),
        ("internal", "depends_on: {off: {condition: service_healthy}}", "the healthcheck of off is disabled"),
    ],
)
def test_dependencies_that_can_not_be(tmp_path: Path, who: str, on: str, problem: str) -> None:
    text = services(
        WEB.strip(),
        "db: {image: a, x-bluegreen: {shared: true}}",
        "work: {image: a, x-bluegreen: {worker: true}}",
        "job: {image: a, x-bluegreen: {job: true}}",
        "off: {image: a, healthcheck: {disable: true}, x-bluegreen: {internal: true}}",
        f"one: {{image: a, {on}, x-bluegreen: {{{who}: true}}}}",
    )
    (found,) = problems(tmp_path, text)
    assert found.startswith("compose.yaml:7 services.one.depends_on")
    assert found.endswith(f": {problem}")


def test_dependencies_that_can_be(tmp_path: Path) -> None:
    text = services(
        "db: {image: a, x-bluegreen: {shared: true}}",
        "cache: {image: a, depends_on: [db], x-bluegreen: {shared: true}}",
        "job: {image: a, depends_on: {db: {condition: service_healthy}}, x-bluegreen: {job: true}}",
        "work: {image: a, depends_on: [web], x-bluegreen: {worker: true}}",
        "more: {image: a, depends_on: [work], x-bluegreen: {worker: true}}",
        "web: {image: a, x-bluegreen: {route: /, port: 80}, depends_on: {job: {condition: "
        "service_completed_successfully}, cache: {required: true}, gone: {condition: service_started, "
        "required: false}}}",
    )
    project = read(tmp_path, text)
    assert [(d.service, d.condition) for d in project.services["web"].depends_on] == [
        ("cache", "service_started"),
        ("job", "service_completed_successfully"),
    ]
    assert notices(project) == [
        (
            "compose.yaml:7 services.web.depends_on.gone: there is no service 'gone'; it is not required, so nothing "
            "waits for it"
        )
    ]


@pytest.mark.parametrize(
    ("extension", "block", "problem"),
    [
        ("route: /, port: 80", "deploy: {replicas: 0}", "a routed service needs at least one replica to answer"),
        ("shared: true", "deploy: {replicas: 2}", "a shared service runs once, so replicas must be 1"),
        ("job: true", "deploy: {replicas: 2}", "a job runs once, so replicas must be 1"),
    ],
)
def test_replicas_that_can_not_be(tmp_path: Path, extension: str, block: str, problem: str) -> None:
    text = around(block, extension) + WEB.replace("web", "other").replace("route: /", "route: /o/")
    assert problems(tmp_path, text) == [f"compose.yaml:5 services.web.deploy.replicas: {problem}"]


def test_replicas(tmp_path: Path) -> None:
    assert service(tmp_path, "deploy: {replicas: 3}").replicas == 3
    assert service(tmp_path, "deploy: {replicas: '${N}'}", env={"N": "2"}).replicas == 2


def test_a_job_that_would_be_restarted_for_ever(tmp_path: Path) -> None:
    text = around("restart: always", "job: true") + WEB.replace("web", "other")
    assert problems(tmp_path, text) == [
        "compose.yaml:5 services.web.restart: a job ends, so it can't be restarted always; write no or on-failure"
    ]


# Files beside it


def test_files_that_compose_would_merge_are_noticed(tmp_path: Path) -> None:
    project = read(tmp_path, around(""), files={"compose.override.yaml": "", "docker-compose.yml": ""})
    assert notices(project) == [
        "compose.override.yaml: is not read; Compose would merge it, bluegreen takes one file",
        "docker-compose.yml: is not read: compose.yaml comes first",
    ]
    named = load(tmp_path / "compose.yaml", env={}, tag="v1", project_name="shop")
    assert named.notices == ()
