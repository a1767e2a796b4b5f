"""A stand-in for the server of a release that knows the golden answers, and misbehaves as it is told.

``python release_stand_in.py RELEASE SOCKET FOLDER REGISTRY``. ``FOLDER/RELEASE.json`` holds what it is told, read anew for
each question: ``delay_s`` before each answer, ``status`` of each answer, ``species`` of each answer, ``digest`` that it
calls its own, ``memory_mb``, ``swallows`` (true: bad input gets an answer, too), ``start`` (what it says before it gives up).
"""

import asyncio
import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn

from earthsnap_train.models.family import Family
from earthsnap_train.release.golden import read_golden
from earthsnap_train.release.registry import Registry


class StandIn:
    def __init__(self, name: str, folder: Path, registry: Path) -> None:
        self.release = Registry(registry).get(name)
        self.orders = folder / f"{name}.json"
        self.golden = {photograph.data: photograph for photograph in read_golden(self.release.path, "float32")}
        self.family = Family.model_validate_json((self.release.path / "family.json").read_bytes())

    def told(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.orders.read_bytes()))
        except FileNotFoundError:
            return {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        told = self.told()
        if scope["path"] in ("/invocations", "/v1/identify"):
            await asyncio.sleep(told.get("delay_s", 0))
            status, said = self.answer(told, body, dict(scope["headers"]).get(b"content-type", b"").decode())
        else:
            status, said = 200, self.info(told)
        answer = json.dumps(said).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def answer(self, told: dict[str, Any], body: bytes, content_type: str) -> tuple[int, dict[str, Any]]:
        photograph = self.golden.get(body)
        is_photograph = photograph is not None and content_type in ("application/octet-stream", "image/jpeg")
        if not is_photograph and not told.get("swallows"):
            return 400, {"error": {"code": "not_an_image", "message": "", "request_id": ""}}
        if "status" in told:
            return told["status"], {"error": {"code": "broken", "message": "", "request_id": ""}}
        top = [[told.get("species", "rosa-alba"), 0.95]] if "species" in told or photograph is None else photograph.top
        return 200, {
            "request_id": f"{self.release.name}.1", "release": self.release.name, "reason": "certain",
            "species": [{"species_id": species, "probability": probability} for species, probability in top],
        }  # fmt: skip

    def info(self, told: dict[str, Any]) -> dict[str, Any]:
        return {
            "release": self.release.name, "digest": told.get("digest", self.release.digest), "family": self.release.family,
            "species": len(self.family.species), "groups": list(self.family.groups),
            "classes_digest": self.family.classes_digest, "preprocessing": asdict(self.family.preprocessing),
            "memory_mb": told.get("memory_mb", 100.0),
        }  # fmt: skip


def end_with_endpoint() -> None:
    lifeline = int(os.environ["EARTHSNAP_LIFELINE"])
    threading.Thread(target=lambda: (os.read(lifeline, 1), os._exit(1)), daemon=True).start()


if __name__ == "__main__":
    name, socket, folder, registry = sys.argv[1:]
    end_with_endpoint()
    stand_in = StandIn(name, Path(folder), Path(registry))
    if "start" in stand_in.told():
        sys.exit(stand_in.told()["start"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(stand_in, uds=socket, lifespan="off", log_level="warning", access_log=False)
    uvicorn.Server(config).run()
