"""The page's addresses: one HTML file and its scripts, JSON beside it, and a stream of what changes."""

import contextlib
import importlib.resources
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tickover.report.look import look
from tickover.web.desk import Desk
from tickover.web.listener import Listener
from tickover.web.marks import MarkError
from tickover.web.messages import LONGEST_NAME
from tickover.web.stream import Bell, events, seen_of

LARGEST_BODY: Final = 16 * 1024
GZIP_FROM: Final = 2048
GZIP_LEVEL: Final = 3
"""The list of 10,000 trucks is packed in a tenth of the time of level 9."""
KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
LOOK: Final = "look.css"
"""The look that all pages share."""
COMMANDS: Final = {"shelve": ("for_s",), "out_of_service": ("for_s",), "verdict": ("alert", "verdict", "note")}
"""What a browser may ask of a daemon, and the keys that are handed on; the daemon checks their values."""
JSON_LINES: Final = "application/x-ndjson"


def _static() -> dict[str, bytes]:
    """The files by name, read once: a request names one of them, never a path."""
    folder = importlib.resources.files("tickover.web") / "static"
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    files[LOOK] = look().encode()
    return files


def _json(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _error(text: str, status: int) -> Response:
    return _json({"error": text}, status)


class Pages:
    """The handlers; each answers from the desk."""

    def __init__(self, desk: Desk, listener: Listener, bell: Bell) -> None:
        self._desk, self._listener, self._bell = desk, listener, bell
        self._files = _static()

    async def index(self, request: Request) -> Response:
        """The one page; what it shows is in the address after ``?``."""
        return Response(self._files["index.html"], media_type=KINDS["html"])

    async def static(self, request: Request) -> Response:
        """A script, a style or a picture."""
        name = request.path_params["name"]
        body, kind = self._files.get(name), KINDS.get(name.rpartition(".")[2])
        if body is None or kind is None:
            return _error(f"no file {name[:LONGEST_NAME]!r}", 404)
        return Response(body, media_type=kind, headers={"cache-control": "no-cache"})

    def fleet(self, request: Request) -> Response:
        """Every truck."""
        return _json(self._desk.fleet_view())

    def recent(self, request: Request) -> Response:
        """The newest episodes of the fleet."""
        seen = self._desk.seen
        return _json({"episodes": self._desk.recent(), "page": self._desk.page(), "seen": seen})

    def truck(self, request: Request) -> Response:
        """One truck."""
        name = request.query_params.get("name", "")
        found = self._desk.truck_view(name)
        return _json(found) if found else _error(f"no truck {name[:LONGEST_NAME]!r} has been heard", 404)

    def episode(self, request: Request) -> Response:
        """One episode."""
        found = self._desk.episode_view(request.query_params.get("id", ""))
        return _json(found) if found else _error("this episode is unknown, or too old for the history kept here", 404)

    def verdicts(self, request: Request) -> Response:
        """JSON Lines for ``retune --verdicts`` and ``evaluate --labels``."""
        lines = b"".join(msgspec.json.encode(one) + b"\n" for one in self._desk.verdicts())
        named = {"content-disposition": 'attachment; filename="verdicts.jsonl"'}
        return Response(lines, media_type=JSON_LINES, headers=named)

    def metrics(self, request: Request) -> Response:
        """Prometheus text."""
        try:
            from tickover.web import metrics
        except ModuleNotFoundError as error:
            return _error(f"needs the package {error.name}: pip install 'tickover[metrics]'", 501)
        return Response(metrics.text(self._desk), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def stream(self, request: Request) -> Response:
        """What changes, until the browser leaves."""
        if self._bell.is_full:
            return _error("too many browsers are connected", 503)
        last = request.headers.get("last-event-id", "")
        seen = seen_of(last, self._desk.epoch, request.query_params.get("seen", ""))
        truck = request.query_params.get("truck", "")
        body = events(self._desk, self._listener, self._bell, seen, truck)
        # A proxy that collects an answer before handing it on would hold the events back.
        return StreamingResponse(body, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def mark(self, request: Request) -> Response:
        """Acknowledge, mute, judge."""
        return await self._change(request, self._mark)

    async def command(self, request: Request) -> Response:
        """Shelve a truck or put it out of service, at its daemon."""
        return await self._change(request, self._command)

    async def forget(self, request: Request) -> Response:
        """Drop a truck that is no longer in the fleet from the list."""
        return await self._change(request, self._forget)

    async def _change(self, request: Request, act: Callable[[dict[str, Any]], Response]) -> Response:
        try:
            body = await _object(request)
        except ValueError as error:
            return _error(str(error), 400)
        return await run_in_threadpool(act, body)

    def _mark(self, body: dict[str, Any]) -> Response:
        try:
            mark = self._desk.mark(str(body.get("episode", "")), body)
        except MarkError as error:
            return _error(str(error), 400)
        if mark is None:
            return _error("this episode is unknown, or too old for the history kept here", 404)
        return _json({"ok": True})

    def _command(self, body: dict[str, Any]) -> Response:
        """Ask a truck's daemon for something, and wait for its answer."""
        name, command = str(body.get("vehicle", "")), str(body.get("command", ""))
        if command not in COMMANDS:
            return _error(f"command: expected one of {', '.join(COMMANDS)}, got {command[:40]!r}", 400)
        if name not in self._desk.fleet.trucks:
            return _error(f"no truck {name[:LONGEST_NAME]!r} has been heard", 404)
        return _json(self._listener.ask(name, command, {key: body[key] for key in COMMANDS[command] if key in body}))

    def _forget(self, body: dict[str, Any]) -> Response:
        name = str(body.get("vehicle", ""))
        return _json({"ok": True}) if self._desk.forget(name) else _error("no such truck", 404)


async def _object(request: Request) -> dict[str, Any]:
    """A JSON object of bounded size; ValueError says what was got."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_BODY:
                raise ValueError(f"expected at most {LARGEST_BODY} bytes")
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ClientDisconnect) as error:
        raise ValueError(f"expected a JSON object: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("expected a JSON object")
    return found


def application(desk: Desk, listener: Listener, bell: Bell) -> Starlette:
    """The page, without who may see it (`tickover.web.security`)."""
    pages = Pages(desk, listener, bell)
    reads: dict[str, Any] = {
        "/": pages.index,
        "/static/{name}": pages.static,
        "/api/fleet": pages.fleet,
        "/api/recent": pages.recent,
        "/api/truck": pages.truck,
        "/api/episode": pages.episode,
        "/api/verdicts.jsonl": pages.verdicts,
        "/api/stream": pages.stream,
        "/metrics": pages.metrics,
    }
    writes: dict[str, Any] = {"/api/mark": pages.mark, "/api/command": pages.command, "/api/forget": pages.forget}
    routes = [Route(path, endpoint) for path, endpoint in reads.items()]
    routes += [Route(path, endpoint, methods=["POST"]) for path, endpoint in writes.items()]
    routes.append(Route("/favicon.ico", _nothing))

    @contextlib.asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        bell.bind()
        yield

    return Starlette(
        routes=routes,
        lifespan=living,
        middleware=[Middleware(GZipMiddleware, minimum_size=GZIP_FROM, compresslevel=GZIP_LEVEL)],
    )


async def _nothing(request: Request) -> Response:
    return PlainTextResponse("", 204)
