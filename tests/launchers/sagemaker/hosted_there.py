"""What moto's server lacks, answered in its place: containers, updates of endpoints, steps of executions.

Requests come from botocore, through its checks and its parsing of answers. An endpoint answers from the files that its model
names, as a container would that loaded them. An update has happened as soon as it is asked for: how one goes step by step,
and back, is in ``fake_aws`` and test_rollout.py, and what exactly is sent and answered in test_aws.py.
"""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends

from earthsnap_train.models.family import Family
from earthsnap_train.release.golden import read_golden
from earthsnap_train.serving.body import INFO_ATTRIBUTE
from tests.launchers.release_stand_in import StandIn
from tests.launchers.sagemaker.account import ACCOUNT, REGION

Said = tuple[str, list[tuple[str, str]], bytes]


class _Loaded(StandIn):
    """What a container says that knows its release from its files alone."""

    def __init__(self, folder: Path) -> None:
        told = json.loads((folder / "release.json").read_bytes())
        self.release: Any = SimpleNamespace(**told, name=f"{told['family']}-{told['number']}")
        self.golden = {photograph.data: photograph for photograph in read_golden(folder, "float32")}
        self.family = Family.model_validate_json((folder / "family.json").read_bytes())


class Hosted:
    """For ``Account.instead``. ``updates``: endpoints' names, in their order. ``fails``: a step, in every execution; why."""

    fails: tuple[str, str] | None = None

    def __init__(self, folder: Path) -> None:
        self.updates: list[str] = []
        self._folder = folder
        self._loaded: dict[str, _Loaded] = {}

    def __call__(self, environ: dict[str, Any]) -> Said | None:
        if invoked := re.fullmatch(r"/endpoints/([\w-]+)/invocations", environ["PATH_INFO"]):
            return self._answer(invoked[1], _body(environ), environ)
        match environ.get("HTTP_X_AMZ_TARGET"):
            case "SageMaker.UpdateEndpoint":
                return self._update(json.loads(_body(environ)))
            case "SageMaker.DescribePipelineExecution" if self.fails is not None:
                for pipeline in sagemaker_backends[ACCOUNT][REGION].pipelines.values():
                    for execution in pipeline.pipeline_executions.values():
                        execution.pipeline_execution_status = "Failed"  # moto says that all succeeded
            case "SageMaker.ListPipelineExecutionSteps":
                return _said("200 OK", {"PipelineExecutionSteps": self._steps()})
        return None

    def serves(self, endpoint: str) -> str:
        """The release whose files the endpoint loads."""
        return str(self._load(self._place(endpoint)).release.name)

    def _place(self, endpoint: str) -> str:
        there = sagemaker_backends[ACCOUNT][REGION]
        config = there.endpoint_configs[there.endpoints[endpoint].endpoint_config_name]
        model = there._models[config.production_variants[0]["ModelName"]]
        uri: str = model.primary_container["ModelDataSource"]["S3DataSource"]["S3Uri"]
        return uri.removeprefix("s3://")

    def _steps(self) -> list[dict[str, Any]]:
        if self.fails is None:
            return []
        job = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:processing-job/pipelines-abc-{self.fails[0]}"
        return [
            {
                "StepName": self.fails[0], "StepStatus": "Failed", "FailureReason": self.fails[1], "AttemptCount": 1,
                "Metadata": {"ProcessingJob": {"Arn": job}},
            }
        ]  # fmt: skip

    def _update(self, request: dict[str, Any]) -> Said:
        there = sagemaker_backends[ACCOUNT][REGION]
        assert request["EndpointConfigName"] in there.endpoint_configs
        endpoint = there.endpoints[request["EndpointName"]]
        endpoint.endpoint_config_name = request["EndpointConfigName"]
        self.updates.append(request["EndpointName"])
        return _said("200 OK", {"EndpointArn": endpoint.arn})

    def _answer(self, endpoint: str, body: bytes, environ: dict[str, Any]) -> Said:
        loaded = self._load(self._place(endpoint))
        if environ.get("HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES") == INFO_ATTRIBUTE:
            return _said("200 OK", loaded.info({}))
        status, answer = loaded.answer({}, body, environ["CONTENT_TYPE"])
        if status == 200:
            return _said("200 OK", answer)
        error = {"Message": "from the model", "OriginalStatusCode": status, "OriginalMessage": json.dumps(answer)}
        return _said("424 Failed Dependency", error, ("x-amzn-ErrorType", "ModelError"))

    def _load(self, place: str) -> _Loaded:
        if place not in self._loaded:
            bucket, _, prefix = place.partition("/")
            folder = self._folder / str(len(self._loaded))
            for key, one in s3_backends[ACCOUNT]["aws"].buckets[bucket].keys.items():
                if key.startswith(prefix):
                    file = folder / key.removeprefix(prefix)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(one.value)
            self._loaded[place] = _Loaded(folder)
        return self._loaded[place]


def _body(environ: dict[str, Any]) -> bytes:
    content: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return content


def _said(status: str, content: object, *headers: tuple[str, str]) -> Said:
    body = json.dumps(content).encode()
    return status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers], body
