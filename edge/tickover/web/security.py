"""Who may see the page: loopback without a token, anybody else with one, or with a client certificate.

A page on loopback can still be reached by a browser that another site has tricked: the host that the browser names is
checked (DNS rebinding), and what changes something must carry a header that no other site may send.
"""

import hmac
import secrets
import time
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs

import anyio
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
COOKIE: Final = "tickover_session"
OWN_HEADER: Final = b"x-tickover"
"""A browser sends it to its own site only, unless the site allows more; ours does not."""
SESSION_S: Final = 30 * 86_400
MOST_SESSIONS: Final = 1000
SLOW_S: Final = 0.5
"""After a wrong token, one after the other: two guesses a second, from however many connections."""
LARGEST_FORM: Final = 4096
LOGIN: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>tickover</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/static/look.css">
<link rel="stylesheet" href="/static/web.css"></head><body class="login"><main><section><h1>tickover</h1>
<form method="post" action="/login"><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required>
<button>Sign in</button></form><p class="hint">%s</p></section></main></body></html>"""


class Guard:
    """An ASGI application around the page's own.

    ``hosts``: the names under which the page may be asked for, empty: any. ``token``: what opens it, empty: nothing is
    asked for. ``secure``: the page is served over TLS.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], token: str, secure: bool) -> None:
        self._app, self._hosts, self._token, self._secure = app, hosts, token, secure
        self._slow = anyio.Lock()
        self._sessions: OrderedDict[str, float] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = await self._answer(scope, receive)
        await (answer or self._app)(scope, receive, _with_headers(send))

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        headers = dict(scope["headers"])
        if self._hosts and _host(headers) not in self._hosts:
            return PlainTextResponse(f"unknown host; expected one of {', '.join(sorted(self._hosts))}", 421)
        path, method = scope["path"], scope["method"]
        if path == "/login" and self._token:
            return await self._login(headers, receive) if method == "POST" else HTMLResponse(LOGIN % "")
        if self._token and not path.startswith("/static/") and not self._is_known(headers):
            if path.startswith("/api/") or path == "/metrics":
                return PlainTextResponse("expected the header Authorization: Bearer TOKEN", 401)
            return RedirectResponse("/login", 303)
        if method not in ("GET", "HEAD") and OWN_HEADER not in headers:
            return PlainTextResponse("expected the header X-Tickover", 403)
        return None

    def _is_known(self, headers: dict[bytes, bytes]) -> bool:
        bearer = headers.get(b"authorization", b"").decode("latin-1")
        if bearer.startswith("Bearer "):
            return hmac.compare_digest(bearer[7:].encode(), self._token.encode())
        try:
            cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
        except CookieError:
            return False
        since = self._sessions.get(cookie.value) if cookie else None
        return since is not None and time.monotonic() - since < SESSION_S

    async def _login(self, headers: dict[bytes, bytes], receive: Receive) -> Response:
        body = await _body(receive)
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        async with self._slow:
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                await anyio.sleep(SLOW_S)
                return HTMLResponse(LOGIN % "That is not the token.", 401)
        session = secrets.token_urlsafe(32)
        self._sessions[session] = time.monotonic()
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE, session, max_age=SESSION_S, httponly=True, secure=self._secure, samesite="strict", path="/"
        )
        return answer


def _host(headers: dict[bytes, bytes]) -> str:
    """The name that the browser asked for, without its port."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    return host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]


async def _body(receive: Receive) -> bytes:
    body = b""
    while len(body) <= LARGEST_FORM:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body[:LARGEST_FORM]


def _with_headers(send: Send) -> Send:
    """Every answer carries them; one that brings its own keeps it."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own: list[Any] = list(message.get("headers", []))
            names = {name.lower() for name, _ in own}
            own += [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in names]
            message = {**message, "headers": own}
        await send(message)

    return sending
