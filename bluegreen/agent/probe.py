"""Requests to a slot or a container through the control socket, and why one was not answered well.

They take the path that real requests take: nginx's locations, upstreams and forwarded headers.
"""

from __future__ import annotations

from .errors import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .nginx import Nginx
    from .wire import Answer

EXCERPT = 300
REDIRECTS = (301, 302, 303, 307, 308)
HOST_STATUSES = (400, 403, 404, 421)


def probe(nginx: Nginx, requests: list[dict[str, Any]], *, diagnose: bool) -> list[dict[str, Any]]:
    """One answer a request, in order. Raises the refusal ``silent`` when nginx itself doesn't answer."""
    answers = nginx.fetch([_wire(request) for request in requests]) if requests else []
    if answers and all(answer.error == "refused" for answer in answers):
        raise Refusal("silent", "nginx does not answer on its control socket")
    verdicts = [_judge(request, answer) for request, answer in zip(requests, answers, strict=True)]
    if diagnose:
        for request, answer, verdict in zip(requests, answers, verdicts, strict=True):
            if not verdict["ok"]:
                _diagnose(nginx, request, answer, verdict)
    return verdicts


def _wire(request: dict[str, Any], host: str | None = None) -> dict[str, Any]:
    headers = {str(k): str(v) for k, v in (request.get("headers") or {}).items()}
    path = str(request.get("path") or "/")
    target = str(request.get("target") or "")
    if target in ("slot:blue", "slot:green"):
        headers["X-Bluegreen-Slot"] = target.partition(":")[2]
    elif address(target) is not None:
        headers["X-Bluegreen-Address"] = target
    else:
        raise Refusal("invalid", f"{target!r} is no target for a probe")
    if not path.startswith("/") or path.startswith("/.bluegreen/"):
        raise Refusal("invalid", f"{path!r} is no path for a probe")
    headers = {"Host": host or str(request.get("host") or "localhost"), **headers}
    headers.setdefault("User-Agent", "bluegreen-probe")
    headers.setdefault("Accept", "*/*")
    method = str(request.get("method") or "GET")
    wire = {
        "method": method,
        "path": path,
        "headers": headers,
        "timeout": float(request.get("timeout") or 5.0),
    }
    if not all(str(v).isprintable() and str(k).isprintable() for k, v in headers.items()) or not path.isprintable():
        raise Refusal("invalid", "a probe's path and headers are single lines")
    if " " in path or not method.isalpha():
        raise Refusal("invalid", f"{method} {path} is no request line")
    return wire


def address(target: str) -> tuple[str, int] | None:
    """(ip, port) of ``ip:port``."""
    ip, _, port = target.rpartition(":")
    parts = ip.split(".")
    numbers = [*parts, port]
    if len(parts) != 4 or not all(n.isascii() and n.isdigit() and len(n) <= 5 for n in numbers):
        return None
    if any(int(p) > 255 for p in parts) or not 0 < int(port) < 65536:
        return None
    return ip, int(port)


def _judge(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    expect = request.get("expect") or {}
    wanted = list(expect.get("status") or [200])
    text = expect.get("body")
    body = answer.body.decode("utf-8", "replace")
    why, detail = _why(answer, wanted)
    if why is None and text is not None and text not in body:
        why, detail = "body", f"the body lacks {text!r}"
    return {
        "name": request.get("name"),
        "ok": why is None,
        "status": answer.status or None,
        "ms": round(answer.ms, 1),
        "why": why,
        "detail": detail,
        "excerpt": body[:EXCERPT] if why in ("status", "body", "redirect") else "",
    }


def _why(answer: Answer, wanted: list[int]) -> tuple[str | None, str]:
    if answer.error is not None:
        return answer.error, ""
    own = _nginx_says(answer)
    if own is not None:
        return own
    if answer.status in wanted:
        return None, ""
    if answer.status in REDIRECTS:
        return "redirect", answer.headers.get("location", "")
    return "status", ""


def _nginx_says(answer: Answer) -> tuple[str, str] | None:
    """Why nginx answered in the container's place; None where it was the container.

    The control socket tells for each try ``address, seconds to connect, seconds to the header``; "-" where it
    did not come to that.
    """
    where, _, times = answer.headers.get("x-bluegreen-upstream", "").partition("|")
    connected, _, answered = times.partition("|")
    if not where:
        # No upstream was asked: nginx has no route for it, or no release.
        return ("status", "no route of this slot matches") if answer.status in (404, 503) else None
    if answer.status not in (502, 504) or _last(answered) != "-":
        return None
    if answer.status == 504:
        return "timeout", f"{where} " + ("did not answer" if _last(connected) != "-" else "did not accept a connection")
    return ("closed", f"{where} closed the connection") if _last(connected) != "-" else ("refused", where)


def _last(tries: str) -> str:
    return tries.replace(" : ", ", ").rpartition(", ")[2].strip()


def _diagnose(nginx: Nginx, request: dict[str, Any], answer: Answer, verdict: dict[str, Any]) -> None:
    """Find out more, by asking again in other ways. Only ever makes a reason more precise."""
    if verdict["why"] in ("refused", "timeout", "closed"):
        where = address(str(request["target"])) or address(_asked(answer))
        if where is not None:
            found = nginx.connect(*where, timeout=min(2.0, float(request.get("timeout") or 5.0)))
            if found == "refused":
                verdict["why"], verdict["detail"] = "refused", f"{where[0]}:{where[1]}"
            elif found in ("timeout", "unreachable"):
                verdict["why"] = "refused" if found == "unreachable" else "timeout"
                verdict["detail"] = f"nothing at {where[0]}:{where[1]} takes connections"
    elif verdict["why"] == "status" and answer.status in HOST_STATUSES:
        used = str(request.get("host") or "localhost")
        where = address(str(request["target"])) or address(_asked(answer))
        others = [h for h in ("localhost", f"{where[0]}:{where[1]}" if where else "") if h and h != used]
        if where is None:
            return
        # To the container itself: with another host nginx could take another route.
        direct = {**request, "target": f"{where[0]}:{where[1]}"}
        again = nginx.fetch([_wire(direct, host) for host in others])
        for host, second in zip(others, again, strict=True):
            if _judge(request, second)["ok"]:
                verdict["why"] = "host-rejected"
                verdict["detail"] = f"answers {second.status} to Host: {host}, and {answer.status} to Host: {used}"
                return


def _asked(answer: Answer) -> str:
    return _last(answer.headers.get("x-bluegreen-upstream", "").partition("|")[0])
