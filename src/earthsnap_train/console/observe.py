"""What the endpoints of this machine say of themselves."""

from http.client import HTTPConnection, HTTPException

from pydantic import ValidationError

from earthsnap_train.release.endpoint import Observed

TIMEOUT_S = 1.0
MOST_BYTES = 1_000_000


def observe(family: str, host: str, port: int) -> Observed | None:
    """None where nothing answers, or what answers is no endpoint of this family."""
    connection = HTTPConnection(reachable(host), port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/v1/endpoint")
        answer = connection.getresponse()
        if answer.status != 200:
            return None
        said = Observed.model_validate_json(answer.read(MOST_BYTES))
    except (OSError, HTTPException, ValidationError):
        return None
    finally:
        connection.close()
    return said if said.family == family else None


def reachable(host: str) -> str:
    """Where something that listens on ``host`` is asked from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
