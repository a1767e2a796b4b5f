"""Whether the service would take a definition, as far as can be known without it.

Steps' arguments are held against botocore's model, with functions replaced by what they would give; every reference has
to lead to something that is there and has ended before; and what a job reads, some job before it has to write.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from tests.launchers.sagemaker.shapes import problems_of, request, response
from tests.launchers.sagemaker.validator_tuning import tuning_problems

Json = Mapping[str, Any]
MOST_CHANNELS = {"Processing": 10, "Training": 20, "Tuning": 20}
MOST_BYTES = 1024 * 1024
MOST_OF_A_MESSAGE = 3072  # of a step that fails
CREATE = {
    "Processing": "CreateProcessingJob", "Training": "CreateTrainingJob", "Tuning": "CreateHyperParameterTuningJob",
}  # fmt: skip
DESCRIBE = {sort: operation.replace("Create", "Describe") for sort, operation in CREATE.items()}
GIVEN_NAME = {  # by the service, to every step
    "Processing": "ProcessingJobName", "Training": "TrainingJobName", "Tuning": "HyperParameterTuningJobName",
}  # fmt: skip
PARAMETER_TYPES = {"String": str, "Integer": int, "Float": float, "Boolean": bool}
EXECUTION = ("PipelineName", "PipelineArn", "PipelineExecutionId", "PipelineExecutionArn", "StartDateTime")
ON_STEPS = ("Step.SERVICE_FAULT", "Step.THROTTLING")
ON_JOBS = (
    "SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT",
)  # fmt: skip
COMPARISONS = ("Equals", "GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo")
STEP_KEYS = {
    "Processing": {"Name", "Type", "Arguments", "DependsOn", "RetryPolicies", "PropertyFiles"},
    "Training": {"Name", "Type", "Arguments", "DependsOn", "RetryPolicies"},
    "Tuning": {"Name", "Type", "Arguments", "DependsOn", "RetryPolicies"},
    "Condition": {"Name", "Type", "Arguments", "DependsOn"},
    "Fail": {"Name", "Type", "Arguments", "DependsOn"},
}


def problems(text: str) -> list[str]:
    """One line each; none where the definition holds."""
    found = [] if len(text.encode()) < MOST_BYTES else [f"{len(text.encode())} bytes"]
    return found + list(_Definition(json.loads(text)).problems())


class _Definition:
    def __init__(self, definition: Json) -> None:
        self.definition = definition
        self.steps = list(_all_steps(definition.get("Steps", [])))
        self.by_name = {step.get("Name"): step for step in self.steps}
        self.parameters = {one.get("Name"): one for one in definition.get("Parameters", [])}
        self.branch_of = dict(_branches_of(definition.get("Steps", []), ()))

    def problems(self) -> Iterator[str]:
        if self.definition.get("Version") != "2020-12-01":
            yield "Version: not 2020-12-01"
        yield from _keys(self.definition, {"Version", "Metadata", "Parameters", "Steps"}, {"Version", "Steps"}, "")
        yield from self._parameters()
        if not self.steps:
            yield "Steps: none"
        for name, count in Counter(step.get("Name") for step in self.steps).items():
            if count > 1:
                yield f"{name}: {count} steps of this name"
        for step in self.steps:
            yield from self._step(step)
        try:
            list(TopologicalSorter({name: self._before(step) for name, step in self.by_name.items()}).static_order())
        except CycleError as error:
            yield f"steps wait for each other: {error.args[1]}"

    def _parameters(self) -> Iterator[str]:
        for one in self.definition.get("Parameters", []):
            yield from _keys(one, {"Name", "Type", "DefaultValue", "EnumValues"}, {"Name", "Type"}, "Parameters")
            wanted = PARAMETER_TYPES.get(one.get("Type"))
            if wanted is None:
                yield f"Parameters: {one.get('Type')!r} is no type"
            elif "DefaultValue" in one and not isinstance(one["DefaultValue"], wanted):
                yield f"Parameters.{one.get('Name')}: its default is no {one['Type']}"

    # ---- steps

    def _step(self, step: Json) -> Iterator[str]:
        name, sort = step.get("Name"), step.get("Type")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9\-_]{1,64}", name):
            yield f"{name!r} is no name of a step"
        if sort not in STEP_KEYS:
            yield f"{name}: {sort!r} is no type of step"
            return
        yield from _keys(step, STEP_KEYS[sort], {"Name", "Type", "Arguments"}, str(name))
        if not {"Name", "Arguments"} <= set(step):
            return
        for before in step.get("DependsOn", ()):
            if before not in self.by_name or before == name:
                yield f"{name}: waits for {before!r}, which is no other step"
        yield from self._references(step)
        for policy in step.get("RetryPolicies", ()):
            yield from _retry(policy, str(name))
        arguments = step["Arguments"]
        if sort in CREATE:
            yield from self._job(step, arguments)
        elif sort == "Condition":
            yield from self._condition(step, arguments)
        else:
            yield from _keys(arguments, {"ErrorMessage"}, {"ErrorMessage"}, str(name))
            if not 0 < len(str(self._plain(arguments.get("ErrorMessage", "")))) <= MOST_OF_A_MESSAGE:
                yield f"{name}: says nothing, or more than {MOST_OF_A_MESSAGE} characters"

    def _job(self, step: Json, arguments: Json) -> Iterator[str]:
        name, sort = step["Name"], step["Type"]
        plain = self._plain(arguments)
        yield from (
            f"{name}: {problem}" for problem in problems_of({GIVEN_NAME[sort]: "x", **plain}, request(CREATE[sort]))
        )
        if sort == "Tuning":
            yield from tuning_problems(plain, str(name))
            plain = plain.get("TrainingJobDefinition", {})  # of which each trial is a training job
        sources = list(_sources(plain))
        for channel, count in Counter(one for one, _ in sources).items():
            if count > 1:
                yield f"{name}: {count} channels are called {channel}"
        for channel, uri in sources:
            writer = re.search(r"/runs/.*/([^/]+?)\.manifest$", uri)
            if writer and writer[1] in self.by_name and writer[1] not in step.get("DependsOn", ()):
                yield f"{name}: reads what {writer[1]} writes and does not wait for it ({channel})"
            if writer and writer[1] == f"{name}.before":  # whichever of several ends last
                if len(step.get("DependsOn", ())) < 2:
                    yield f"{name}: nobody joins what is before it ({channel})"
            elif writer and not writer[1].endswith((".earlier", ".photographs")) and writer[1] not in self.by_name:
                yield f"{name}: nobody writes {uri}"
        if len(sources) > MOST_CHANNELS[sort]:
            yield f"{name}: {len(sources)} channels"
        yield from _spot(plain, str(name))
        yield from _inside_of_processing(plain, str(name))
        outputs = [one.get("OutputName") for one in plain.get("ProcessingOutputConfig", {}).get("Outputs", ())]
        for file in step.get("PropertyFiles", ()):
            keys = {"PropertyFileName", "OutputName", "FilePath"}
            yield from _keys(file, keys, keys, f"{name}.PropertyFiles")
            if file.get("OutputName") not in outputs:
                yield f"{name}: a property file of output {file.get('OutputName')!r}, which is not there"

    def _condition(self, step: Json, arguments: Json) -> Iterator[str]:
        wanted = {"Conditions", "IfSteps", "ElseSteps"}
        yield from _keys(arguments, wanted, wanted, step["Name"])
        if not arguments.get("Conditions"):
            yield f"{step['Name']}: decides by nothing"
        for condition in arguments.get("Conditions", ()):
            sides = {"Type", "LeftValue", "RightValue"}
            yield from _keys(condition, sides, sides, step["Name"])
            if condition.get("Type") not in COMPARISONS:
                yield f"{step['Name']}: {condition.get('Type')!r} compares nothing"

    # ---- references

    def _references(self, step: Json) -> Iterator[str]:
        own = {key: value for key, value in step.items() if key != "Arguments"}
        arguments = step.get("Arguments", {})
        if step.get("Type") == "Condition":  # the steps inside of it are looked at by themselves
            arguments = {key: value for key, value in arguments.items() if key == "Conditions"}
        for function, given in _functions([own, arguments]):
            if function == "Std:JsonGet":
                yield from _keys(given, {"PropertyFile", "Path"}, {"PropertyFile", "Path"}, str(step.get("Name")))
            elif function == "Std:Join":
                yield from _keys(given, {"On", "Values"}, {"On", "Values"}, str(step.get("Name")))
            elif function == "Get" and not self._is_there(given, step):
                yield f"{step.get('Name')}: {given!r} leads nowhere"
            elif function == "Get" and not self._has_run(given, step):
                yield f"{step.get('Name')}: {given!r} leads into a branch that may be left out"
            elif function not in ("Get", "Std:Join", "Std:JsonGet"):
                yield f"{step.get('Name')}: there is no function {function}"

    def _is_there(self, reference: str, step: Json) -> bool:
        kind, _, rest = reference.partition(".")
        if kind == "Parameters":
            return rest in self.parameters
        if kind == "Execution":
            return rest in EXECUTION
        other, _, path = rest.partition(".")
        if kind != "Steps" or other not in self.by_name or other == step.get("Name"):
            return False
        source = self.by_name[other]
        if path.startswith("PropertyFiles."):
            return path.removeprefix("PropertyFiles.") in [
                f.get("PropertyFileName") for f in source.get("PropertyFiles", ())
            ]
        if source.get("Type") not in DESCRIBE:
            return False
        shape = response(DESCRIBE[source["Type"]])
        for part in re.split(r"[.\[\]]+", path):
            if shape.type_name != "structure" or part not in shape.members:
                return False
            shape = shape.members[part]
        return True

    def _has_run(self, reference: str, step: Json) -> bool:
        """Whether what is read lies outside of every branch, or in one that the reader is in too."""
        kind, _, rest = reference.partition(".")
        branch = self.branch_of.get(rest.partition(".")[0], ()) if kind == "Steps" else ()
        return self.branch_of.get(step.get("Name"), ())[: len(branch)] == branch

    def _before(self, step: Json) -> set[str]:
        read = {given.split(".")[1] for function, given in _functions(step.get("Arguments", {}))
                if function == "Get" and isinstance(given, str) and given.startswith("Steps.")}  # fmt: skip
        inside = {one.get("Name") for one in _all_steps(_branches(step))}
        return {one for one in read | set(step.get("DependsOn", ())) if one in self.by_name} - inside

    def _plain(self, given: Any) -> Any:
        """``given`` as the service would make it of the parameters' defaults; what is known only later has a stand-in."""
        if isinstance(given, Mapping):
            if set(given) == {"Get"}:
                parameter = self.parameters.get(str(given["Get"]).removeprefix("Parameters."), {})
                return parameter.get("DefaultValue", "stand-in")
            if set(given) == {"Std:Join"}:
                join = given["Std:Join"]
                return str(join.get("On")).join(str(self._plain(one)) for one in join.get("Values", ()))
            return {key: self._plain(one) for key, one in given.items()}
        return [self._plain(one) for one in given] if isinstance(given, list) else given


def _all_steps(steps: Any) -> Iterator[Json]:
    for step in steps:
        yield step
        yield from _all_steps(_branches(step))


def _branches_of(steps: Any, inside: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """(step, the branches that it lies in, from the outermost)."""
    for step in steps:
        yield step.get("Name"), inside
        if step.get("Type") == "Condition":
            for branch in ("IfSteps", "ElseSteps"):
                inner = (*inside, f"{step.get('Name')}.{branch}")
                yield from _branches_of(step.get("Arguments", {}).get(branch, ()), inner)


def _branches(step: Json) -> list[Json]:
    arguments = step.get("Arguments", {})
    return [*arguments.get("IfSteps", ()), *arguments.get("ElseSteps", ())] if step.get("Type") == "Condition" else []


def _functions(given: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(given, Mapping):
        for key, value in given.items():
            if key == "Get" or key.startswith("Std:"):
                yield key, value
            yield from _functions(value)
    elif isinstance(given, list):
        for one in given:
            yield from _functions(one)


def _keys(given: Json, known: set[str], required: set[str], where: str) -> Iterator[str]:
    yield from (f"{where}: no key {key!r} is known" for key in given if key not in known)
    yield from (f"{where}: {key} is missing" for key in required if key not in given)


def _retry(policy: Json, where: str) -> Iterator[str]:
    known = {"ExceptionType", "IntervalSeconds", "BackoffRate", "MaxAttempts", "ExpireAfterMin"}
    yield from _keys(policy, known, {"ExceptionType", "IntervalSeconds", "BackoffRate"}, f"{where}.RetryPolicies")
    if ("MaxAttempts" in policy) == ("ExpireAfterMin" in policy):
        yield f"{where}: a retry has either MaxAttempts or ExpireAfterMin"
    types = policy.get("ExceptionType", [])
    if not types or not (set(types) <= set(ON_STEPS) or set(types) <= set(ON_JOBS)):
        yield f"{where}: nothing retries on {types}"
    if not 1 <= policy.get("MaxAttempts", 1) <= 20 or policy.get("IntervalSeconds", 1) < 1:
        yield f"{where}: a retry without an attempt, or without a wait"
    if policy.get("BackoffRate", 1) < 1:
        yield f"{where}: waits become shorter"


def _sources(arguments: Json) -> Iterator[tuple[str, str]]:
    for one in arguments.get("ProcessingInputs", ()):
        yield one.get("InputName", ""), one.get("S3Input", {}).get("S3Uri", "")
    for one in arguments.get("InputDataConfig", ()):
        yield one.get("ChannelName", ""), one.get("DataSource", {}).get("S3DataSource", {}).get("S3Uri", "")


def _spot(arguments: Json, where: str) -> Iterator[str]:
    stopping = arguments.get("StoppingCondition", {})
    longest = stopping.get("MaxWaitTimeInSeconds")
    if arguments.get("EnableManagedSpotTraining", False) != (longest is not None):
        yield f"{where}: spot capacity, and only that, has MaxWaitTimeInSeconds"
    elif longest is not None and longest < stopping.get("MaxRuntimeInSeconds", 0):
        yield f"{where}: waits for less than it may run"
    if arguments.get("EnableManagedSpotTraining") and "CheckpointConfig" not in arguments:
        yield f"{where}: spot capacity without checkpoints"


def _inside_of_processing(arguments: Json, where: str) -> Iterator[str]:
    places = [one.get("S3Input", {}).get("LocalPath") for one in arguments.get("ProcessingInputs", ())]
    outputs = arguments.get("ProcessingOutputConfig", {}).get("Outputs", ())
    places += [one.get("S3Output", {}).get("LocalPath") for one in outputs]
    for place, count in Counter(places).items():
        if not str(place).startswith("/opt/ml/processing/") or count > 1:
            yield f"{where}: {place!r} is no place of its own below /opt/ml/processing"
