"""A stand-in for the server of a release: the same HTTP, answers at once, and misbehaves as it is told.

``python stand_in.py RELEASE SOCKET FOLDER``. ``FOLDER/RELEASE.json`` holds what it is told, read anew for each question:

``start``        what it says on stderr before it gives up, instead of starting
``delay_s``      before each answer
``status``       of each answer
``species``      of each answer (default rosa-canina)
``reason``       of each answer (default certain)
``die``          true: ends without an answer
``draining``     true: says that it is about to end
"""

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn


class StandIn:
    def __init__(self, release: str, folder: Path) -> None:
        self.release = release
        self.orders = folder / f"{release}.json"
        self.asked = folder / f"{release}.asked"
        self.num = 0

    def told(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.orders.read_bytes()))
        except FileNotFoundError:
            return {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        status, said = 200, {}
        if scope["path"] in ("/invocations", "/v1/identify"):
            told = self.told()
            await asyncio.sleep(told.get("delay_s", 0))
            if told.get("die"):
                os.kill(os.getpid(), signal.SIGKILL)
            status = told.get("status", 200)
            self.num += 1
            self.asked.write_text(str(self.num))
            said = {
                "request_id": f"{self.release}.{self.num}", "release": self.release, "num_bytes": len(body),
                "reason": told.get("reason", "certain"), "species": [{"species_id": told.get("species", "rosa-canina")}],
            }  # fmt: skip
            if told.get("draining"):
                status, said = 503, {"error": {"code": "draining", "message": "this server is about to end"}}
        elif scope["path"] != "/ping":
            said = {"path": scope["path"], "release": self.release, "body": body.decode(errors="replace")}
        answer = json.dumps(said).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def end_with_endpoint() -> None:
    lifeline = int(os.environ["EARTHSNAP_LIFELINE"])
    threading.Thread(target=lambda: (os.read(lifeline, 1), os._exit(1)), daemon=True).start()


if __name__ == "__main__":
    release, socket, folder = sys.argv[1:]
    end_with_endpoint()
    stand_in = StandIn(release, Path(folder))
    (Path(folder) / f"{release}.{os.getpid()}.pid").touch()
    if "start" in stand_in.told():
        sys.exit(stand_in.told()["start"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(stand_in, uds=socket, lifespan="off", log_level="warning", access_log=False)
    uvicorn.Server(config).run()
