"""Runs one pipeline definition on this machine, as the service would: each job a process, or a container of an image, with a
/opt/ml of its own.

It knows the language of definitions and the contract of containers, and nothing of plans or stages. S3 is a folder. Of
the language it knows what ours use: processing and training jobs, conditions on property files, failing, parameters,
``Get``, ``Std:Join`` and ``Std:JsonGet``. It tries again and takes spot capacity away as ``faults`` says, since of itself a
job here fails for reasons of its own. It does not: build networks, encrypt, or run several jobs side by side.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import earthsnap_train
import launchers
from earthsnap_train.errors import StageError
from earthsnap_train.processes import LIFELINE_VARIABLE
from launchers.sagemaker import places
from launchers.sagemaker.engine import in_engine
from launchers.sagemaker.faults import Attempts, Faults

Json = Mapping[str, Any]
GRACE_S = 120  # between SIGTERM and SIGKILL, as the service has it
LOOK_EVERY_S = 0.02  # for the moment at which spot capacity is taken away


class Execution:
    """``s3``: a folder with one for each bucket. ``work``: where containers' folders and logs lie. ``about``: told of a job
    before it runs. ``in_containers``: of the images that requests name; else as processes. ``told``: of each fault, by job."""

    def __init__(
        self, definition: Json, parameters: Mapping[str, str], *, s3: Path, work: Path,
        about: Callable[[str], None] = lambda job: None, after: Callable[[str], None] = lambda job: None,
        in_containers: bool = False, faults: Faults | None = None, told: Callable[[str, str], None] = lambda job, text: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.steps: Sequence[Json] = definition["Steps"]
        self.parameters = _parameters(definition, parameters)
        self.s3, self.work = s3.resolve(), work.resolve()  # a container starts in a folder of its own
        self.about, self.after, self.in_containers = about, after, in_containers
        self.attempts = Attempts(faults or Faults(), told=told, sleep=sleep)
        self.property_files: dict[str, Path] = {}

    def run(self) -> str | None:
        """Why the pipeline ended as failed, by a step that says so; None where it succeeded. Raises StageError for a job."""
        return self._run(self.steps)

    def _run(self, steps: Sequence[Json]) -> str | None:
        named = {step["Name"]: step for step in steps}
        before = {name: [one for one in _needed(step) if one in named] for name, step in named.items()}
        for name in TopologicalSorter(before).static_order():
            step = named[name]
            if step["Type"] == "Fail":
                return str(self.value(step["Arguments"]["ErrorMessage"]))
            if step["Type"] == "Condition":
                arguments = step["Arguments"]
                holds = all(self._holds(condition) for condition in arguments["Conditions"])
                failed = self._run(arguments["IfSteps" if holds else "ElseSteps"])
                if failed is not None:
                    return failed
            else:
                self._log(name).unlink(missing_ok=True)
                self.attempts.run(step, partial(self._job, step))
        return None

    # ---- what stands in a definition

    def value(self, given: Any) -> Any:
        """``given`` with every function replaced by what it stands for."""
        if isinstance(given, Mapping):
            if set(given) == {"Get"}:
                return self.parameters[given["Get"].removeprefix("Parameters.")]
            if set(given) == {"Std:Join"}:
                join = given["Std:Join"]
                return str(join["On"]).join(str(self.value(one)) for one in join["Values"])
            if set(given) == {"Std:JsonGet"}:
                get = given["Std:JsonGet"]
                found = json.loads(self.property_files[get["PropertyFile"]["Get"]].read_bytes())
                for part in get["Path"].split("."):
                    found = found[part]
                return found
            return {key: self.value(one) for key, one in given.items()}
        return [self.value(one) for one in given] if isinstance(given, list) else given

    def _holds(self, condition: Json) -> bool:
        assert condition["Type"] == "Equals", condition["Type"]
        return bool(self.value(condition["LeftValue"]) == self.value(condition["RightValue"]))

    # ---- jobs

    def _job(self, step: Json) -> None:
        name, arguments = step["Name"], self.value(step["Arguments"])
        self.about(name)
        root = self.work / "ml" / name
        shutil.rmtree(root, ignore_errors=True)
        command = self._training(root, arguments) if step["Type"] == "Training" else self._processing(root, arguments)
        log = self._log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = self._environment(root, arguments) | self.attempts.environment(name)
        if self.in_containers:
            shown = [*arguments["Environment"], *self.attempts.environment(name), places.S3_VARIABLE]
            command = in_engine(command, image=_image(arguments), root=root, s3=self.s3, variables=shown)
        spot = arguments.get("EnableManagedSpotTraining", False)
        moment = self.attempts.moment(name, root / places.CHECKPOINTS) if spot else None
        code, interrupted = _container(command, root, log, environment, _limit_s(arguments), moment)
        self.attempts.ended(name, code, interrupted=interrupted)
        if code != 0:
            raise StageError(_why(root) or f"it ended with code {code}", where=name, remedy=f"its log is {log}")
        for output in arguments.get("ProcessingOutputConfig", {}).get("Outputs", ()):
            made = _inside(root, output["S3Output"]["LocalPath"])
            shutil.copytree(made, self._object(output["S3Output"]["S3Uri"]), dirs_exist_ok=True)
        for file in step.get("PropertyFiles", ()):
            output = next(
                one["S3Output"]
                for one in arguments["ProcessingOutputConfig"]["Outputs"]
                if one["OutputName"] == file["OutputName"]
            )
            place = self._object(output["S3Uri"]) / file["FilePath"]
            self.property_files[f"Steps.{name}.PropertyFiles.{file['PropertyFileName']}"] = place
        shutil.rmtree(root)
        self.after(name)

    def _log(self, name: str) -> Path:
        """Of several attempts one follows the other in it."""
        return self.work / "logs" / f"{name}.log"

    def _processing(self, root: Path, arguments: Json) -> list[str]:
        for one in arguments["ProcessingInputs"]:
            source = one["S3Input"]
            self._mount(source["S3DataType"], source["S3Uri"], _inside(root, source["LocalPath"]))
        for output in arguments.get("ProcessingOutputConfig", {}).get("Outputs", ()):
            _inside(root, output["S3Output"]["LocalPath"]).mkdir(parents=True)
        _write(root / "config" / "processingjobconfig.json", arguments)
        _write(root / "config" / "resourceconfig.json", {"current_host": "algo-1", "hosts": ["algo-1"]})
        app = arguments["AppSpecification"]
        return [*app["ContainerEntrypoint"], *app["ContainerArguments"]]

    def _training(self, root: Path, arguments: Json) -> list[str]:
        for channel in arguments["InputDataConfig"]:
            source = channel["DataSource"]["S3DataSource"]
            folder = root / places.TRAINING_INPUTS / channel["ChannelName"]
            self._mount(source["S3DataType"], source["S3Uri"], folder)
        checkpoints = arguments["CheckpointConfig"]
        kept = self._object(checkpoints["S3Uri"])
        kept.mkdir(parents=True, exist_ok=True)
        _inside(root, checkpoints["LocalPath"]).symlink_to(kept)  # the service copies both ways, all the time
        for name in ("model", "output/data"):
            (root / name).mkdir(parents=True)
        config = root / "input" / "config"
        _write(config / "hyperparameters.json", arguments.get("HyperParameters", {}))
        _write(config / "inputdataconfig.json", {one["ChannelName"]: one for one in arguments["InputDataConfig"]})
        _write(config / "resourceconfig.json", {"current_host": "algo-1", "hosts": ["algo-1"]})
        algorithm = arguments["AlgorithmSpecification"]
        return [*algorithm["ContainerEntrypoint"], *algorithm["ContainerArguments"]]

    def _environment(self, root: Path, arguments: Json) -> dict[str, str]:
        code = [str(Path(package.__file__ or "").parents[1]) for package in (earthsnap_train, launchers)]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*code, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
            **arguments["Environment"],
            places.ROOT_VARIABLE: str(root),
            places.S3_VARIABLE: str(self.s3),
        }

    # ---- S3

    def _object(self, uri: str) -> Path:
        return self.s3 / uri.removeprefix("s3://")

    def _mount(self, kind: str, uri: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        found = 0
        for source, name in _listed(self.s3, kind, uri):
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            _link(source, place)
            found += 1
        if not found:
            raise StageError("no object is there", where=uri, remedy="the service would end this job in the same way")


def _parameters(definition: Json, given: Mapping[str, str]) -> dict[str, str]:
    """Raises StageError for one without a value, and for a value without one."""
    declared = {one["Name"]: one.get("DefaultValue") for one in definition["Parameters"]}
    values = {name: given.get(name, default) for name, default in declared.items()}
    wrong = [name for name, value in values.items() if value is None] + [name for name in given if name not in declared]
    if wrong:
        raise StageError("no such parameter, or no value for it", where=wrong[0], allowed=", ".join(declared))
    return {name: value for name, value in values.items() if value is not None}


def _needed(step: Json) -> Iterator[str]:
    """Steps that must have ended: named as such, or read from."""
    yield from step.get("DependsOn", ())
    for reference in references(step["Arguments"]):
        if reference.startswith("Steps."):
            yield reference.split(".")[1]


def references(given: Any) -> Iterator[str]:
    """What every ``Get`` in a part of a definition names."""
    if isinstance(given, Mapping):
        if set(given) == {"Get"}:
            yield given["Get"]
        else:
            for one in given.values():
                yield from references(one)
    elif isinstance(given, list):
        for one in given:
            yield from references(one)


def _listed(s3: Path, kind: str, uri: str) -> Iterator[tuple[Path, str]]:
    """(object, its name in the channel)."""
    if kind == "ManifestFile":
        prefix, *names = json.loads((s3 / uri.removeprefix("s3://")).read_bytes())
        for name in names:
            below = prefix["prefix"].removeprefix("s3://") + name
            yield s3 / below, below.partition("/")[2]  # by its whole key, as users of the service report
        return
    below = uri.removeprefix("s3://")
    folder = (s3 / below) if below.endswith("/") else (s3 / below).parent
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if file.relative_to(s3).as_posix().startswith(below):
            yield file, file.relative_to(folder).as_posix()


def _link(source: Path, place: Path) -> None:
    try:
        place.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, place)


def _inside(root: Path, path: str) -> Path:
    """A path of a container, in the folder that stands for its /opt/ml."""
    return root / Path(path).relative_to(places.ROOT)


def _image(arguments: Json) -> str:
    if "AppSpecification" in arguments:
        return str(arguments["AppSpecification"]["ImageUri"])
    return str(arguments["AlgorithmSpecification"]["TrainingImage"])


def _limit_s(arguments: Json) -> int:
    return int(arguments["StoppingCondition"]["MaxRuntimeInSeconds"])


def _container(
    command: list[str], root: Path, log: Path, environment: dict[str, str], limit_s: int,
    moment: Callable[[], bool] | None,
) -> tuple[int, bool]:  # fmt: skip
    """Runs to its end, its limit or the ``moment`` at which it is interrupted; ends with this process, however that ends."""
    python = [sys.executable, *command[1:]] if command[0] == "python" else command
    reading, writing = os.pipe()
    try:
        with log.open("ab") as out:
            process = subprocess.Popen(
                python, cwd=root, stdout=out, stderr=subprocess.STDOUT, pass_fds=(reading,),
                env=environment | {LIFELINE_VARIABLE: str(reading)},
            )  # fmt: skip
        try:
            return _wait(process, limit_s, moment)
        except BaseException:
            _end(process)
            raise
    finally:
        os.close(reading)
        os.close(writing)


def _wait(process: "subprocess.Popen[bytes]", limit_s: int, moment: Callable[[], bool] | None) -> tuple[int, bool]:
    """Its exit code, and whether it was interrupted."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            return process.wait(limit_s if moment is None else LOOK_EVERY_S), False
        except subprocess.TimeoutExpired:
            if moment is not None and moment():
                return _end(process), True
            if time.monotonic() >= deadline:
                return _end(process), False


def _end(process: "subprocess.Popen[bytes]") -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _why(root: Path) -> str:
    for name in ("failure", "message"):
        place = root / "output" / name
        if place.is_file():
            return place.read_text()
    return ""


def _write(place: Path, content: Json) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(content, indent=1))
