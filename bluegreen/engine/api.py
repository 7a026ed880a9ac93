"""Requests to one engine: one API version, and our errors."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from bluegreen.engine import wire
from bluegreen.engine.errors import edge, refusal
from bluegreen.engine.wire import Answer, Wire
from bluegreen.model.errors import EngineUnreachable
from bluegreen.model.value import dataclass

if TYPE_CHECKING:
    from docker import APIClient
    from docker.tls import TLSConfig
    from docker.transport import UnixHTTPAdapter

    from bluegreen.engine.ssh import Tunnel

OLDEST = (1, 41)  # engine 20.10
NEWEST = (1, 44)  # engine 25, the oldest that engine 29 still speaks; later ones may mean things differently

PATIENCE = 60.0
"""Seconds that the engine may be silent before it counts as hanging; BG_ENGINE_TIMEOUT changes it."""

TCP_PORT, TLS_PORT = 2375, 2376  # where an address names none


@dataclass(frozen=True, slots=True)
class Address:
    """Where the engine is, and who said so."""

    url: str
    origin: str  # "--engine", "DOCKER_HOST", ...
    tls: Mapping[str, str] = field(default_factory=dict)  # ca, cert, key: paths
    verify: bool = True

    def __str__(self) -> str:
        return self.url

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        """Name of the engine's machine; empty for a unix socket."""
        return urlsplit(self.url).hostname or "" if self.scheme != "unix" else ""

    @property
    def local(self) -> bool:
        """Whether the engine's loopback is this machine's."""
        return self.scheme == "unix" or self.host in ("localhost", "::1") or self.host.startswith("127.")


class Api:
    """A connection to one engine. Safe for several threads, as far as each reads its own response."""

    def __init__(self, address: Address, env: Mapping[str, str]) -> None:
        """Connects, and agrees on a version with the cheapest of all requests. ``env`` is what ssh runs with.

        Raises `EngineUnreachable`, with code ``engine.too-old`` where the engine is older than 20.10.
        """
        self.address = address
        self.patience = patience(env)
        self.engine = ""  # its version, for messages
        self._tunnel: Tunnel | None = None
        if address.scheme == "ssh":
            from bluegreen.engine.ssh import Tunnel

            self._tunnel = Tunnel(address.url, env)
        try:
            with edge("connecting", str(address)):
                self._wire = self._open()
                answer = self._wire.request("GET", "/_ping", timeout=self.patience)
        except EngineUnreachable as error:
            if self._tunnel is None:
                raise
            said = self._tunnel.last_words()
            self._tunnel.close()
            raise EngineUnreachable(error.code, said or error.problem.message) from error
        self.version = ".".join(map(str, self._agree(answer)))
        self._base = f"/v{self.version}"

    def call(
        self,
        method: str,
        path: str,
        *,
        what: str,
        where: str | None = None,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        endless: bool = False,
        stream: bool = False,
        allow: tuple[int, ...] = (),
    ) -> Answer:
        """One request. An answer of 400 and above is raised, unless its status is in ``allow``.

        ``path`` is made with `path`, ``what`` says in words what is being done. ``timeout`` bounds each wait for a
        part of the answer, in seconds; None is the usual patience, and ``endless`` waits as long as it takes.
        """
        sent = dict(headers or {})
        seconds = None if endless else self.patience if timeout is None else timeout
        if body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        query = f"?{urlencode(params)}" if params else ""
        with edge(what, str(self.address)):
            answer = self._wire.request(
                method, self._base + path + query, headers=sent, body=data, timeout=seconds, stream=stream
            )
            if answer.status < 400 or answer.status in allow:
                return answer
            answer.load()
        raise refusal(answer.status, _message(answer), what, where)

    def get(self, path: str, *, what: str, where: str | None = None, **params: Any) -> Any:
        """The JSON of a GET. Parameters that are mappings travel as JSON, as the engine wants its filters."""
        sent = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in params.items()}
        answer = self.call("GET", path, what=what, where=where, params=sent)
        with edge(what, str(self.address)):
            return answer.json()

    @contextmanager
    def sdk(self) -> Iterator[APIClient]:
        """A client of the SDK of its own, for what the SDK does better (registry logins, the classic builder)."""
        with edge("connecting", str(self.address)):
            from docker import APIClient

            url = f"unix://{self._tunnel.socket}" if self._tunnel else self.address.url
            seconds = math.ceil(self.patience)
            client = APIClient(url, version=self.version, tls=_tls(self.address), timeout=seconds)
            if url.startswith("unix://"):
                client.mount("http+docker://", _one_pool(url, seconds))
            # Requests' own idea of proxies from the environment would send tcp:// engines through them.
            client.trust_env = False
        try:
            yield client
        finally:
            client.close()

    def close(self) -> None:
        self._wire.close()
        if self._tunnel is not None:
            self._tunnel.close()

    def _open(self) -> Wire:
        if self._tunnel is not None:
            return Wire(wire.unix(str(self._tunnel.socket)), "localhost")
        parts = urlsplit(self.address.url)
        if parts.scheme == "unix":
            return Wire(wire.unix(parts.path), "localhost")
        secure = bool(self.address.tls) or parts.scheme == "https"
        context = wire.tls(self.address.tls, verify=self.address.verify) if secure else None
        host = parts.hostname or "localhost"
        return Wire(wire.tcp(host, parts.port or (TLS_PORT if secure else TCP_PORT), context), parts.netloc)

    def _agree(self, ping: Answer) -> tuple[int, int]:
        named = re.fullmatch(r"(\d+)\.(\d+)", ping.headers.get("api-version", ""))
        if named is None:
            detail = "it wants TLS" if "HTTPS server" in ping.text else f"HTTP {ping.status}"
            raise EngineUnreachable(
                "engine.unreachable",
                f"what answers at {self.address} (from {self.address.origin}) is no Docker engine that can be used: "
                f"{detail}",
                next=("export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=...", "bg doctor")
                if "TLS" in detail
                else ("bg doctor",),
            )
        offered = (int(named[1]), int(named[2]))
        server = re.search(r"Docker/(\S+)", ping.headers.get("server", ""))
        self.engine = server[1] if server else "of unknown version"
        if offered < OLDEST:
            raise EngineUnreachable(
                "engine.too-old",
                f"the engine at {self.address} is {self.engine} with API {named[0]}; bluegreen needs API "
                f"{OLDEST[0]}.{OLDEST[1]}, which is Docker 20.10 or later",
                next=("upgrade the engine: https://docs.docker.com/engine/install/",),
            )
        return min(offered, NEWEST)


def patience(env: Mapping[str, str]) -> float:
    """BG_ENGINE_TIMEOUT in seconds, 1 to 3600; else `PATIENCE`. Raises `EngineUnreachable` where it makes no sense."""
    text = env.get("BG_ENGINE_TIMEOUT", "")
    if not text:
        return PATIENCE
    if re.fullmatch(r"\d{1,4}(\.\d+)?", text) and 1 <= float(text) <= 3600:
        return float(text)
    raise EngineUnreachable(
        "engine.bad-timeout",
        f"BG_ENGINE_TIMEOUT is {text!r}; expected are seconds, from 1 to 3600",
        next=("unset BG_ENGINE_TIMEOUT",),
    )


def path(pattern: str, *names: str) -> str:
    """Fill ``{}`` with quoted names. Slashes and colons stay: image names have them."""
    return pattern.format(*(quote(name, safe="/:@") for name in names))


def _one_pool(url: str, seconds: int) -> UnixHTTPAdapter:
    """The SDK's transport over a unix socket, with one pool: its own has one for each path and query, and so a new
    connection for each request. Over ssh each is a login."""
    from docker.transport import UnixHTTPAdapter

    class OnePool(UnixHTTPAdapter):
        def get_connection(self, _url: object, proxies: object = None) -> Any:
            return super().get_connection("http+docker://localhost", proxies)

    return OnePool(f"http+{url}", timeout=seconds)


def _message(answer: Answer) -> str:
    try:
        return str(json.loads(answer.text)["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text or f"HTTP {answer.status}"


def _tls(address: Address) -> TLSConfig | bool:
    if not address.tls:
        return False
    from docker.tls import TLSConfig

    files = address.tls
    pair = (files["cert"], files["key"]) if "cert" in files and "key" in files else None
    return TLSConfig(client_cert=pair, ca_cert=files.get("ca"), verify=address.verify)
