"""What a server says when it does not answer: a status, a code that never changes, and a sentence."""

from typing import Final

from earthsnap_train.data.image_file import ImageRefused

# What ``data.image_file`` refuses, as HTTP says it; all else is 400.
_STATUS: Final = {"unsupported_format": 415, "too_many_pixels": 413}


class Refusal(Exception):
    """``code`` is for programs, ``message`` for people. ``retry_after_s``: when asking again may help."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s

    @classmethod
    def of_image(cls, refused: ImageRefused) -> "Refusal":
        return cls(_STATUS.get(refused.code, 400), refused.code, refused.what)

    def body(self, request_id: str) -> dict[str, object]:
        return {"error": {"code": self.code, "message": self.message, "request_id": request_id}}

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
