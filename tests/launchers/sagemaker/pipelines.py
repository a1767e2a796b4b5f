"""A family's pipeline of data, run here with its photographs dealt out to several machines."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.store import Artifact, Store
from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.definition import Compiled, compile_definitions
from launchers.sagemaker.execution import Execution
from launchers.sagemaker.shelf import Shelf
from launchers.sagemaker.steps import Pipeline
from launchers.sagemaker.submit import submit
from tests.conftest import Tiny
from tests.launchers.sagemaker.declared import declared

RUN = "first"


def shelved(shelf: Shelf, store: Store, family: Tiny, stage: str) -> Artifact:
    """What a stage of a tiny family made, as a container would have put it into the bucket."""
    key = sha256(stage.encode()).hexdigest()[:40]
    with store.building(key) as folder:
        shutil.copytree(family.out(stage), folder, dirs_exist_ok=True)
        made_of: dict[str, Any] = {"inputs": {"photographs": family.plan.externals["photographs"]}}
        kind = family.plan.stage(stage).kind
        artifact = store.publish(folder, key=key, kind=kind, stage=stage, made_of=made_of, seconds=0.0, num_images=0)
    return shelf.put(store.path(key), artifact)


@dataclass
class DataPipeline:
    """``folder``: where its stand-in for S3 and its containers lie. ``steps``: in the order in which they began."""

    folder: Path
    typed: tuple[str, ...]
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        spec = declared(*self.typed, f"paths.groupings={self.folder}/groupings", "name=data")
        assert isinstance(spec.launcher, SageMaker)
        self.settings = spec.launcher
        self.prepared: Prepared = prepare(spec, Store(self.folder / "store"))
        self.compiled: Compiled = compile_definitions(self.prepared.plan, self.settings)
        self.s3 = self.folder / "s3"
        self.bucket = FolderBucket(self.s3 / self.settings.bucket)
        self.shelf = Shelf(self.bucket, name=self.settings.bucket, prefix=self.settings.prefix)

    @property
    def pipeline(self) -> Pipeline:
        return self.compiled.pipelines[0]

    @property
    def place(self) -> Path:
        """Of all that is in the bucket."""
        return self.bucket.root / self.settings.prefix

    def log(self, job: str) -> str:
        return (self.folder / "work" / "logs" / f"{job}.log").read_text()

    def run(self, *jobs: str, after: Callable[[str], None] = lambda job: None, **changes: Any) -> None:
        """Only ``jobs``. ``changes``: of the environment of their containers."""
        prefix, region = self.settings.prefix, self.settings.region
        submit(self.compiled, self.prepared.plan, self.prepared.places, self.bucket, prefix=prefix, region=region)
        definition: Mapping[str, Any] = json.loads(self.compiled.definitions[self.pipeline.name])
        steps = [step for step in definition["Steps"] if step["Name"] in jobs]
        for step in steps:
            step["Arguments"]["Environment"] |= {"OMP_NUM_THREADS": "1"} | changes
        chosen = {**definition, "Steps": steps}
        Execution(
            chosen,
            {"Run": RUN, **self.compiled.parameters[self.pipeline.name]},
            s3=self.s3,
            work=self.folder / "work",
            about=self.steps.append,
            after=after,
        ).run()

    def made(self, stage: str) -> Artifact:
        done = self.shelf.told(RUN, stage)
        assert done is not None
        artifact = self.shelf.find(done.key)
        assert artifact is not None
        return artifact
