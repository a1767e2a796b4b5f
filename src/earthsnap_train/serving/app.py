"""The routes of one server process. SageMaker's contract (``/ping``, ``/invocations``) and our own give the same answer."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException

from earthsnap_train.serving.body import ATTRIBUTES_HEADER, INFO_ATTRIBUTE, Body, ClientGone, photographs_of
from earthsnap_train.serving.documented import IDENTIFY, Answered, Info
from earthsnap_train.serving.front_http import SHADOW_HEADER
from earthsnap_train.serving.pages import add_pages
from earthsnap_train.serving.refusal import Refusal
from earthsnap_train.serving.service import Service, memory_mb


class Feedback(BaseModel):
    """A person's correction of an answer."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,160}$")
    species_id: str = Field(min_length=1, max_length=200)
    comment: str | None = Field(default=None, max_length=2000)


def create_app(service: Service) -> FastAPI:
    """``service`` is closed by whoever made it."""
    app = FastAPI(
        title=f"earthsnap_train {service.identity.release}",
        summary="Names the species on photographs.",
        version=service.identity.release,
        docs_url=None,
        redoc_url=None,
    )
    handle = _Handler(service)
    for path, work in (("/invocations", handle.invoke), ("/v1/identify", handle.identify)):
        app.add_api_route(
            path, handle.route(path, work), methods=["POST"], response_model=None,
            summary="Name the plant on one photograph, or on several of one plant",
            responses={200: {"model": Answered}}, openapi_extra=IDENTIFY,
        )  # fmt: skip
    app.add_api_route(
        "/v1/feedback", handle.route("/v1/feedback", handle.feedback), methods=["POST"], status_code=202,
        response_model=None, summary="Say what it was",
        openapi_extra={"requestBody": {"content": {"application/json": {"schema": Feedback.model_json_schema()}}}},
    )  # fmt: skip
    app.add_api_route("/ping", handle.ping, methods=["GET"], response_model=None, summary="Whether it can answer")
    app.add_api_route(
        "/v1/info", handle.info, methods=["GET"], response_model=None, summary="What answers here",
        responses={200: {"model": Info}},
    )  # fmt: skip
    app.add_api_route("/metrics", handle.metrics, methods=["GET"], response_model=None, summary="For Prometheus")
    add_pages(app, service)
    app.add_exception_handler(HTTPException, handle.no_route)
    return app


class _Handler:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._info: dict[str, object] = {
            "release": service.identity.release,
            "digest": service.identity.digest,
            "family": service.identity.family,
            "species": len(service.family.species),
            "groups": list(service.family.groups),
            "classes_digest": service.family.classes_digest,
            "engine": service.settings.engine,
            "precision": service.precision,
            "preprocessing": asdict(service.family.preprocessing),
        }

    def route(
        self, name: str, work: Callable[[Request, str], Awaitable[Response]]
    ) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Counts and times ``work``, drops it when its client is gone, and says every refusal in one form."""
        service = self._service

        async def answer(request: Request) -> Response:
            start = time.perf_counter()
            request_id = service.new_request_id()
            try:
                if service.draining.is_set():
                    raise Refusal(503, "draining", "this server is about to end", retry_after_s=1)
                response = await work(request, request_id)
            except Refusal as refusal:
                response = _json(refusal.body(request_id), refusal.status, refusal.headers)
            except ClientGone:
                response = Response(status_code=499)  # nobody reads it; it is counted
            service.metrics.answered(name, response.status_code, time.perf_counter() - start)
            return response

        return answer

    async def invoke(self, request: Request, request_id: str) -> Response:
        """The one route that a hosted endpoint leads to, for photographs and for what ``/v1/info`` says."""
        if request.headers.get(ATTRIBUTES_HEADER) == INFO_ATTRIBUTE:
            return await self.info(request)
        return await self.identify(request, request_id)

    async def identify(self, request: Request, request_id: str) -> Response:
        service, settings = self._service, self._service.settings
        with Body(request.receive, request.headers, room=service.room, max_mb=settings.max_body_mb) as body:
            data = await body.read(settings.timeout_s)
            content_type = request.headers.get("content-type")
            photographs = photographs_of(data, content_type, max_photographs=settings.max_photographs)
            # What an endpoint asks beside an answer was said to nobody.
            kept = SHADOW_HEADER.lower() not in request.headers
            return _json(await _while_connected(request, service.identify(photographs, request_id, kept=kept)))

    async def feedback(self, request: Request, request_id: str) -> Response:
        service = self._service
        with Body(request.receive, request.headers, room=service.room, max_mb=0.0625) as body:
            data = await body.read(service.settings.timeout_s)
        try:
            said = Feedback.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Refusal(422, "bad_feedback", f"{where}: {first['msg']}" if where else first["msg"]) from None
        service.feedback(said.request_id, said.species_id, said.comment)
        return _json({"request_id": said.request_id, "species_id": said.species_id}, 202)

    async def ping(self, request: Request) -> Response:
        return Response(status_code=503 if self._service.draining.is_set() else 200)

    async def info(self, request: Request) -> Response:
        return _json(self._info | {"memory_mb": memory_mb()})

    async def metrics(self, request: Request) -> Response:
        return Response(self._service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def no_route(self, request: Request, error: Exception) -> Response:
        """404 and 405 in the form of all other refusals."""
        assert isinstance(error, HTTPException)
        code = {404: "no_such_page", 405: "wrong_method"}.get(error.status_code, "refused")
        message = f"{request.method} {request.url.path[:200]}: {error.detail}"
        self._service.metrics.answered("other", error.status_code, 0.0)
        body = Refusal(error.status_code, code, message).body(self._service.new_request_id())
        return _json(body, error.status_code, dict(error.headers or {}))


async def _while_connected(request: Request, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` returns. Raises ClientGone, and cancels ``work``, when the client closes its connection before."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())  # after the body only ``http.disconnect`` can come
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        working.cancel()
        gone.cancel()


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(content, status_code=status, headers=headers, media_type="application/json")
