"""An account that moto keeps: one server for all tests, and a way to have everything end in the middle."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

REGION = "eu-west-1"
BUCKET = "photographs"
ACCOUNT = DEFAULT_ACCOUNT_ID
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/earthsnap:1"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": REGION, "AWS_MAX_ATTEMPTS": "1",
}  # fmt: skip
_CUT = {
    "s3": b"<Error><Code>Cut</Code><Message>the connection is cut</Message></Error>",
    "sagemaker": b'{"__type": "Cut", "message": "the connection is cut"}',
}


# (status, headers, body) of what is answered in moto's place; None: moto answers.
Instead = Callable[[dict[str, Any]], tuple[str, list[tuple[str, str]], bytes] | None]


class Account:
    """``cut_after``: requests that may still change something; then nothing is answered any more, to anybody."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.instead: Instead = lambda environ: None
        self.cut_after: int | None = None
        self.num_changes = 0

    @property
    def environment(self) -> dict[str, str]:
        return {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.url}

    def client(self, service: str) -> Any:
        return boto3.client(
            service, region_name=REGION, endpoint_url=self.url, aws_access_key_id="x", aws_secret_access_key="x"
        )

    def is_cut(self, environ: dict[str, Any]) -> bool:
        if self.cut_after is not None and self.num_changes > self.cut_after:
            return True
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        self.num_changes += target.startswith(("SageMaker.Create", "SageMaker.Update")) or (
            not target and environ["REQUEST_METHOD"] not in ("GET", "HEAD")
        )
        return self.cut_after is not None and self.num_changes > self.cut_after


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object, **__: object) -> None:
        """Requests are nobody's business here."""


@contextmanager
def serve() -> Iterator[Account]:
    """One request after the other, so that a conditional write is as indivisible as S3's is."""
    moto = DomainDispatcherApplication(create_backend_app)
    account = Account("")

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if (instead := account.instead(environ)) is not None:
            status, headers, body = instead
            start_response(status, headers)
            return [body]
        if not account.is_cut(environ):
            answer: Iterable[bytes] = moto(environ, start_response)
            return answer
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        service = "sagemaker" if "HTTP_X_AMZ_TARGET" in environ else "s3"
        start_response("403 Forbidden", [("Content-Type", "application/xml")])
        return [_CUT[service]]

    server = make_server("127.0.0.1", 0, app, request_handler=_Quiet)
    account.url = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield account
    server.shutdown()
    server.server_close()
    thread.join()
