"""A search as the service's own tuning: its request, and the steps that look for its result, make it and keep it.

``<search>-find`` is a small job that computes the search's key and says whether the bucket has its artifact; where it
has not, the tuning job teaches its trials, and ``<search>-best`` makes the artifact of what was the best. These steps are
a pipeline of their own: nothing has to wait for a condition's branch, which may be left out.
"""

from collections.abc import Sequence
from typing import Any

from earthsnap_train.pipeline.plan import Stage
from launchers.sagemaker import places
from launchers.sagemaker.strategy import metric_definitions, tuning_config

Json = dict[str, Any]

FOUND = "found"
FIND, BEST = "find", "best"  # what a container of these steps is asked for; that of a trial is only asked to train


def search_steps(
    name: str, stage: Stage, *, processing: Json, training: Json, trials_uri: Json, found_uri: Json, at_once: int,
    retries: Sequence[Json], key: str | None,
) -> list[Json]:  # fmt: skip
    """``processing``, ``training``: requests of a small job and of a training job, as any of this pipeline's.

    ``trials_uri``: where trials write what came of them; ``found_uri``: where it is said whether the result is there.
    """
    tags = {"Tags": training["Tags"]} if "Tags" in training else {}
    algorithm = {  # which runs as `IMAGE train`: a trial can be given no command
        "TrainingImage": training["AlgorithmSpecification"]["TrainingImage"],
        "TrainingInputMode": "File",
        "MetricDefinitions": metric_definitions(stage),
    }
    trial = {name: one for name, one in training.items() if name != "Tags"} | {"AlgorithmSpecification": algorithm}
    tune: Json = {
        "Name": name,
        "Type": "Tuning",
        "Arguments": {
            "HyperParameterTuningJobConfig": tuning_config(stage, at_once=at_once),
            "TrainingJobDefinition": trial,
            **tags,
        },
        "RetryPolicies": list(retries),
    }
    found = {"PropertyFileName": FOUND, "OutputName": FOUND, "FilePath": places.FOUND_FILE}
    find: Json = {
        "Name": f"{name}-{FIND}",
        "Type": "Processing",
        "Arguments": _asked(processing, FIND) | _output(FOUND, places.FOUND_FOLDER, found_uri, key),
        "RetryPolicies": list(retries),
        "PropertyFiles": [found],
    }
    # The names are what the service surely knows of a step's job; a value by its key would be one more thing to trust.
    asked = _asked(
        processing,
        BEST,
        {"Get": f"Steps.{name}.HyperParameterTuningJobName"},
        {"Get": f"Steps.{name}.BestTrainingJob.TrainingJobName"},
    )
    asked["ProcessingInputs"] = [*asked["ProcessingInputs"], _input(places.TRIALS_CHANNEL, trials_uri)]
    best: Json = {
        "Name": f"{name}-{BEST}", "Type": "Processing", "Arguments": asked, "RetryPolicies": list(retries),
    }  # fmt: skip
    there = {"Std:JsonGet": {"PropertyFile": {"Get": f"Steps.{name}-{FIND}.PropertyFiles.{FOUND}"}, "Path": FOUND}}
    condition: Json = {
        "Name": f"{name}-needed",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "Equals", "LeftValue": there, "RightValue": True}],
            "IfSteps": [],
            "ElseSteps": [tune, best],
        },
    }
    return [find, condition]


# ---- pieces of a small job


def _asked(processing: Json, *words: str | Json) -> Json:
    app = processing["AppSpecification"]
    return processing | {
        "AppSpecification": app | {"ContainerArguments": [*app["ContainerArguments"], *words]},
    }


def _input(name: str, uri: Json) -> Json:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri, "LocalPath": f"{places.ROOT}/{places.PROCESSING_INPUTS}/{name}", "S3DataType": "S3Prefix",
            "S3InputMode": "File", "S3DataDistributionType": "FullyReplicated",
        },
    }  # fmt: skip


def _output(name: str, folder: str, uri: Json, key: str | None) -> Json:
    output = {"S3Uri": uri, "LocalPath": f"{places.ROOT}/{folder}", "S3UploadMode": "EndOfJob"}
    return {
        "ProcessingOutputConfig": {
            "Outputs": [{"OutputName": name, "S3Output": output}], **({"KmsKeyId": key} if key else {}),
        }
    }  # fmt: skip
