"""A service whose jobs take no time: each look at an execution ends one more of its jobs, which makes small things.

What a job reads and makes goes through the bucket as a container's does. Everything is kept in a folder, so that it
outlives whoever started it, as the real one does.
"""

import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from earthsnap_train.data.manifest import FORMAT_VERSION, ManifestHeader
from earthsnap_train.pipeline.plan import split_reference
from earthsnap_train.pipeline.resolve import key_of, stage_ingredients
from earthsnap_train.pipeline.store import Store, write_atomically
from launchers.sagemaker import places
from launchers.sagemaker.bucket import Bucket
from launchers.sagemaker.description import JobDescription
from launchers.sagemaker.service import NotNow, Progress, Step
from launchers.sagemaker.shelf import Done, Shelf

HEADER = ManifestHeader(
    format_version=FORMAT_VERSION, dataset_version="ab" * 32, num_images=1, num_species=1, num_images_by_split={},
    num_quarantined_by_code={}, qa={},
)  # fmt: skip


class MadeUp:
    """``fails``: job -> why. ``misses_gate``: the pipeline that does. ``refused``: starts that are, one after the other.
    ``sleeps``: pipelines whose jobs never end by themselves. ``others``: instances that somebody else uses."""

    look_every_s = 0.001
    outlives = True

    def __init__(self, root: Path, bucket: Bucket, *, name: str = "photographs", prefix: str = "earthsnap") -> None:
        self.root, self.bucket, self.prefix = root, bucket, prefix
        self.shelf = Shelf(bucket, name=name, prefix=prefix)
        self.at_once: int | None = None
        self.fails: dict[str, str] = {}
        self.misses_gate = ""
        self.sleeps: set[str] = set()
        self.refused: list[str] = []
        self.others: dict[str, int] = {}
        self.side_by_side: list[list[str]] = []  # pipelines at work, at each start
        self.puts: list[str] = []

    @property
    def executions(self) -> dict[str, dict[str, Any]]:
        return {path.stem: json.loads(path.read_bytes()) for path in sorted(self.root.glob("executions/*.json"))}

    def started(self) -> list[str]:
        """Pipelines, in the order of their starts."""
        return [one["pipeline"] for one in sorted(self.executions.values(), key=lambda one: one["number"])]

    # ---- the port

    def definition(self, pipeline: str) -> str | None:
        place = self.root / "pipelines" / pipeline
        return place.read_text() if place.is_file() else None

    def put(self, pipeline: str, definition: str, *, role: str) -> None:
        self.puts.append(pipeline)
        self._write(f"pipelines/{pipeline}", definition)

    def start(
        self, pipeline: str, parameters: Mapping[str, str], *,
        token: str, steps: Sequence[str] | None = None, at_once: int | None = None,
    ) -> str:  # fmt: skip
        if self.refused:
            raise NotNow(self.refused.pop(0))
        assert 32 <= len(token) <= 128
        name = token[:20]
        if name not in self.executions:
            definition = self.definition(pipeline)
            assert definition is not None
            declared = {one["Name"] for one in json.loads(definition)["Parameters"]}
            assert set(parameters) == declared, "the service refuses others, and wants all that have no default"
            jobs = [one["Name"] for one in json.loads(definition)["Steps"] if one["Type"] in ("Processing", "Training")]
            self._save(name, {
                "pipeline": pipeline, "definition": definition, "parameters": dict(parameters), "at_once": at_once,
                "jobs": [job for job in jobs if steps is None or job in steps], "done": [], "status": "Executing",
                "reason": "", "number": len(self.executions), "part": steps is not None,
            })  # fmt: skip
            working = [one["pipeline"] for one in self.executions.values() if one["status"] == "Executing"]
            self.side_by_side.append(working)
        return name

    def definition_of(self, execution: str) -> str:
        return str(self.executions[execution]["definition"])

    def progress(self, execution: str) -> Progress:
        one = self.executions[execution]
        if one["status"] == "Executing" and one["pipeline"] not in self.sleeps:
            self._go_on(one)
            self._save(execution, one)
        steps = {job: self._step(execution, job, "Succeeded") for job in one["done"]}
        left = [job for job in one["jobs"] if job not in one["done"]]
        if left and one["status"] != "Stopped":
            status = "Failed" if one["status"] == "Failed" else "Executing"
            steps[left[0]] = self._step(execution, left[0], status, one["reason"])
        return Progress(status=one["status"], reason=one["reason"], steps=steps)

    def stop(self, execution: str) -> None:
        self._save(execution, self.executions[execution] | {"status": "Stopped"})

    def log(self, job: str, num_lines: int) -> Sequence[str]:
        return [f"{job} said {at}" for at in range(100)][-num_lines:]

    def busy(self, *, without: Collection[str]) -> Mapping[str, int]:
        return self.others

    def link(self, execution: str) -> str:
        return f"https://console/{execution}"

    # ---- a job

    def _go_on(self, one: dict[str, Any]) -> None:
        name = next((job for job in one["jobs"] if job not in one["done"]), None)
        if name in self.fails:
            one.update(status="Failed", reason=self.fails[name])
        elif name is None:
            missed = one["pipeline"] == self.misses_gate
            one.update(status="Failed" if missed else "Succeeded", reason="misses a gate" if missed else "")
        else:
            self._job(one["pipeline"], name, one["parameters"])
            one["done"].append(name)

    def _job(self, pipeline: str, name: str, parameters: Mapping[str, str]) -> None:
        content = self.bucket.read(f"{self.prefix}/{parameters['Jobs']}/{pipeline}/{name}/{places.JOB_FILE}")
        assert content is not None
        job, run = JobDescription.model_validate_json(content), parameters["Run"]
        digests = {f"@{one}": digest for one, digest in job.externals.items()}
        for stage in job.stages:
            for _, reference in stage.references():
                before = split_reference(reference)[0]
                if not before.startswith("@"):
                    done = self.shelf.told(run, before)
                    artifact = self.shelf.find(done.key) if done else None
                    assert artifact is not None, f"{stage.name} was begun before {before} was there"
                    digests[before] = artifact.digest
            made_of = stage_ingredients(stage, digests)
            key = key_of(made_of)
            found = self.shelf.find(key)
            if found is None:
                with tempfile.TemporaryDirectory() as folder:
                    store = Store(Path(folder))
                    with store.building(key) as building:
                        (building / "made.txt").write_text(f"{stage.name} {key}")
                        if stage.kind == "ingest":
                            (building / "manifest.json").write_text(HEADER.model_dump_json())
                        made = store.publish(
                            building,
                            key=key,
                            kind=stage.kind,
                            stage=stage.name,
                            made_of=made_of,
                            seconds=1.0,
                            num_images=1,
                        )
                    self.shelf.put(store.path(key), made)
            self.shelf.tell(run, Done(stage=stage.name, key=key, cached=found is not None))

    def _step(self, execution: str, job: str, status: str, reason: str = "") -> Step:
        return Step(name=job, status=status, reason=reason, job=f"{execution}/{job}")

    def _save(self, name: str, one: Mapping[str, Any]) -> None:
        self._write(f"executions/{name}.json", json.dumps(one))

    def _write(self, name: str, content: str) -> None:
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, content.encode())
