"""As much of W&B's service as an upload needs, on this machine: it keeps what arrives, so that a test can look at it.

Its answers have the shape that W&B's own client asks for; what it does not know is kept in ``unknown``.
"""

import gzip
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = "team"
PROJECT = {"id": "project", "internalId": "1", "name": "earthsnap", "entity": {"id": "entity", "name": ENTITY}}
ARTIFACT = {
    "__typename": "Artifact", "versionIndex": 0, "artifactType": {"name": "dataset"}, "description": None,
    "metadata": "{}", "ttlDurationSeconds": -2, "ttlIsInherited": False, "tags": [], "historyStep": None,
    "state": "COMMITTED", "size": 1, "digest": "digest", "commitHash": "hash", "fileCount": 1,
    "createdAt": "2026-11-22T10:00:00", "updatedAt": None, "aliases": [],
}  # fmt: skip
RUN = {
    "projectId": "1", "tags": [], "state": "finished", "config": "{}", "readOnly": False, "summaryMetrics": "{}",
    "createdAt": "2026-11-22T10:00:00", "historyLineCount": 0, "historyKeys": None, "systemMetrics": "{}",
    "user": {"name": "Anna", "username": "anna"}, "sweepName": None, "commit": None, "description": None, "notes": None,
    "heartbeatAt": None,
}  # fmt: skip


@dataclass
class Arrived:
    """``runs``: id -> its record. ``history``: id -> lines. ``uploads``: path -> bytes.

    ``artifacts``: its own id -> ``name:alias``. ``uses``: (run id, ``name:alias``). ``linked``: (``name:alias``, collection).
    Once ``is_silent``, it takes requests and never answers.
    """

    url: str = ""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    uploads: dict[str, bytes] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    uses: list[tuple[str, str]] = field(default_factory=list)
    linked: list[tuple[str, str]] = field(default_factory=list)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    is_silent: threading.Event = field(default_factory=threading.Event)
    is_over: threading.Event = field(default_factory=threading.Event)

    def files_of(self, reference: str) -> dict[str, bytes]:
        """Of an artifact that is there for good: name inside -> bytes."""
        number = next(one for one, name in self.artifacts.items() if name == reference)
        assert number in self.committed
        place = f"/artifact/{number}/"
        return {path.removeprefix(place): data for path, data in self.uploads.items() if path.startswith(place)}


@contextmanager
def service() -> Iterator[Arrived]:
    arrived = Arrived()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"arrived": arrived}))
    server.daemon_threads = True
    arrived.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield arrived
    finally:
        arrived.is_over.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    arrived: Arrived

    def log_message(self, *_: object) -> None: ...

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # whoever asked is gone
            self.close_connection = True

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self.arrived.uploads[self.path] = self._body()
        self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        if self.arrived.is_silent.is_set():
            self.arrived.is_over.wait()
            return
        if self.path.endswith("/file_stream"):
            history = json.loads(body or b"{}").get("files", {}).get("wandb-history.jsonl", {})
            self.arrived.history[self.path.split("/")[-2]] += map(json.loads, history.get("content", ()))
        if self.path != "/graphql":
            self._answer({})
            return
        asked = json.loads(body)
        name = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
        answer = getattr(self, f"on_{name[1]}", None) if name else None
        if answer is None and name:
            self.arrived.unknown.append(name[1])
        self._answer({"data": answer(asked.get("variables") or {}) if answer is not None else {}})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, answer: object) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    # ---- what is asked while runs go up, by the names that W&B gives its questions

    def on_ServerFeaturesQuery(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        return {"serverInfo": {"features": []}}

    def on_UpsertBucket(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        run = self.arrived.runs.setdefault(asked["name"], {})
        run.update({name: value for name, value in asked.items() if value is not None})
        bucket = {
            **RUN,
            "id": asked["name"],
            "name": asked["name"],
            "displayName": run.get("displayName"),
            "project": PROJECT,
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def on_CreateRunFiles(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        files = [
            {"name": name, "uploadUrl": f"{self.arrived.url}/run/{asked['run']}/{name}"} for name in asked["files"]
        ]
        return {"createRunFiles": {"runID": asked["run"], "uploadHeaders": [], "files": files}}

    def on_CreateArtifact(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        said = asked["input"]
        alias = next((one["alias"] for one in said["aliases"] if one["alias"] != "latest"), "latest")
        number = f"artifact-{len(self.arrived.artifacts)}"
        self.arrived.artifacts[number] = f"{said['artifactCollectionName']}:{alias}"
        artifact = {"id": number, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": artifact}}

    def on_CreateArtifactManifest(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        number = asked["artifactID"]
        file = {"id": "file", "uploadUrl": f"{self.arrived.url}/manifest/{number}", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": f"{number}-manifest", "file": file}}}

    def on_CreateArtifactFiles(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        edges = [
            {"node": {"storagePath": one["name"], "uploadHeaders": [], "uploadMultipartUrls": None,
                      "uploadUrl": f"{self.arrived.url}/artifact/{one['artifactID']}/{one['name']}",
                      "artifact": {"id": one["artifactID"]}}}
            for one in asked["input"]["artifactFiles"]
        ]  # fmt: skip
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def on_CommitArtifact(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        self.arrived.committed.add(asked["artifactID"])
        return {"commitArtifact": {"artifact": {"id": asked["artifactID"], "digest": "digest"}}}

    # ---- what is asked when links are replayed and a report is made

    def on_Viewer(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        viewer = {"id": "viewer", "entity": ENTITY, "username": "anna", "email": None, "flags": "{}"}
        return {"viewer": {**viewer, "teams": {"edges": []}}}

    def on_GetDefaultEntity(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        return {"viewer": {"id": "viewer", "entity": ENTITY}}

    def on_ArtifactMembershipByName(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        known = {name: number for number, name in self.arrived.artifacts.items()}
        known |= {f"{collection}:v0": known[name] for name, collection in self.arrived.linked}
        number = known.get(asked["name"])
        if number is None:
            return {"project": {"artifactCollectionMembership": None}}
        name, _, alias = asked["name"].partition(":")
        collection = {"__typename": "ArtifactSequence", "name": name, "project": PROJECT}
        membership = {
            "__typename": "ArtifactCollectionMembership", "id": "membership", "versionIndex": 0,
            "createdAt": "2026-11-22T10:00:00", "artifactCollection": collection,
            "artifact": {**ARTIFACT, "id": number, "artifactSequence": collection},
            "aliases": [{"__typename": "ArtifactAlias", "id": "alias", "alias": alias}],
        }  # fmt: skip
        return {"project": {"artifactCollectionMembership": membership}}

    def on_Run(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        run = self.arrived.runs.get(asked["name"])
        if run is None:
            return {"project": {"run": None}}
        said = {
            "id": asked["name"],
            "name": asked["name"],
            "displayName": run["displayName"],
            "group": run["groupName"],
        }
        return {"project": {"run": {**RUN, **said, "jobType": run["jobType"]}}}

    def on_UseArtifact(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        self.arrived.uses.append((asked["runName"], self.arrived.artifacts[asked["artifactID"]]))
        return {"useArtifact": {"artifact": {**ARTIFACT, "id": asked["artifactID"]}}}

    def on_FetchOrgInfoFromEntity(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        return {"entity": {"organization": {"name": "org", "orgEntity": {"name": "org-team"}}, "user": None}}

    def on_LinkArtifact(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        said = asked["input"]
        self.arrived.linked.append((self.arrived.artifacts[said["artifactID"]], said["artifactPortfolioName"]))
        return {"result": {"versionIndex": 0}}

    def on_ProjectInternalId(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        return {"project": {"id": "project", "internalId": "1"}}

    def on_GetProjects(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        project = {"__typename": "Project", "id": "project", "name": PROJECT["name"], "entityName": ENTITY,
                   "createdAt": "2026-11-22T10:00:00", "isBenchmark": False, "user": None}  # fmt: skip
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"models": {"pageInfo": page, "edges": [{"node": project}]}}

    def on_upsertView(self, asked: Mapping[str, Any]) -> object:  # noqa: N802
        number = asked["id"] or f"report-{len(self.arrived.reports)}"
        self.arrived.reports[number] = dict(asked)
        names = ("name", "type", "displayName", "description", "spec")
        view = {**{name: asked[name] for name in names}, "id": number, "updatedAt": "2026-11-22T10:00:00",
                "project": {"id": "project", "name": PROJECT["name"], "entityName": ENTITY}}  # fmt: skip
        return {"upsertView": {"view": view, "inserted": True}}
