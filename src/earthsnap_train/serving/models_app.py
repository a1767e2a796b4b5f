"""The routes of a server of several releases: SageMaker's multi-model contract, and no more.

What is sent to a model is answered by that release's own app, as if it were alone.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from earthsnap_train.serving.body import Body, ClientGone, Room
from earthsnap_train.serving.loaded import Loaded
from earthsnap_train.serving.refusal import Refusal

_MAX_MB = 0.0625  # of a body that asks for a model


class Wanted(BaseModel):
    """What is to be loaded, and as what."""

    model_name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,256}$")
    url: str = Field(min_length=1, max_length=1024)


def create_models_app(loaded: Loaded) -> Starlette:
    """``loaded`` is closed by whoever made it."""
    handle = _Handler(loaded)
    return Starlette(
        routes=[
            Route("/ping", handle.ping, methods=["GET"]),
            Route("/models", _told(handle.load), methods=["POST"]),
            Route("/models", _told(handle.all), methods=["GET"]),
            Route("/models/{name}", _told(handle.one), methods=["GET"]),
            Route("/models/{name}", _told(handle.unload), methods=["DELETE"]),
            Route("/models/{name}/invoke", _Invoke(loaded), methods=["POST"]),
        ]
    )


class _Handler:
    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._room = Room(1.0)

    async def ping(self, request: Request) -> Response:
        return Response(status_code=503 if self._loaded.draining.is_set() else 200)

    async def load(self, request: Request) -> Response:
        if self._loaded.draining.is_set():
            raise Refusal(503, "draining", "this server is about to end", retry_after_s=1)
        with Body(request.receive, request.headers, room=self._room, max_mb=_MAX_MB) as body:
            data = await body.read(self._loaded.settings.timeout_s)
        try:
            wanted = Wanted.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            raise Refusal(
                400, "bad_model", f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")
            ) from None
        await asyncio.to_thread(self._loaded.load, wanted.model_name, wanted.url)
        return JSONResponse(_shown(wanted.model_name, wanted.url))

    async def all(self, request: Request) -> Response:
        """In pages of ``limit``; the token of the next is the last name of this one."""
        limit, after = request.query_params.get("limit", ""), request.query_params.get("next_page_token", "")
        names = [name for name in self._loaded.models if name > after]
        page = names[: int(limit)] if limit.isdecimal() and int(limit) else names
        models = self._loaded.models
        answer: dict[str, object] = {"models": [_shown(name, models[name].url) for name in page if name in models]}
        return JSONResponse(answer | ({"nextPageToken": page[-1]} if len(page) < len(names) else {}))

    async def one(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse(_shown(name, self._loaded.get(name).url))

    async def unload(self, request: Request) -> Response:
        await asyncio.to_thread(self._loaded.unload, request.path_params["name"])
        return Response(status_code=200)


class _Invoke:
    """Hands a request on to the app of the release that it names."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            app = self._loaded.get(scope["path_params"]["name"]).app
        except Refusal as refusal:
            await _refused(refusal)(scope, receive, send)
            return
        inside = {**scope, "path": "/invocations", "raw_path": b"/invocations", "root_path": ""}
        await app(inside, receive, send)


def _told(work: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """``work``, whose refusals are said in the form of all others."""

    async def answer(request: Request) -> Response:
        try:
            return await work(request)
        except Refusal as refusal:
            return _refused(refusal)
        except ClientGone:
            return Response(status_code=499)

    return answer


def _refused(refusal: Refusal) -> Response:
    return JSONResponse(refusal.body(uuid.uuid4().hex), refusal.status, refusal.headers)


def _shown(name: str, url: str) -> dict[str, object]:
    return {"modelName": name, "modelUrl": url}
