"""Runs one pipeline definition on this machine, as the service would: each job a process, or a container of an image, with a
/opt/ml of its own.

It knows the language of definitions and the contract of containers, and nothing of plans or stages. S3 is a folder. Of
the language it knows what ours use: processing, training and tuning jobs, conditions on property files, failing, parameters,
``Get``, ``Std:Join`` and ``Std:JsonGet``. It tries again and takes spot capacity away as ``faults`` says, since of itself a
job here fails for reasons of its own. It does not: build networks, encrypt, or run several jobs side by side. The machines
of one job are processes side by side; names of hosts lead nowhere here, so that each is told where the first is to be met.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import earthsnap_train
import launchers
from earthsnap_train.errors import StageError
from launchers.sagemaker import places
from launchers.sagemaker.containers import Container, free_port, run_together
from launchers.sagemaker.engine import in_engine
from launchers.sagemaker.faults import Attempts, Faults
from launchers.sagemaker.trials import Ended, tune

Json = Mapping[str, Any]


class Execution:
    """``s3``: a folder with one for each bucket. ``work``: where containers' folders and logs lie. ``about``: told of a job
    before it runs. ``in_containers``: of the images that requests name; else as processes. ``told``: of each fault, by job.
    ``train``: what an image runs as ``train``, where a request names no entrypoint."""

    def __init__(
        self, definition: Json, parameters: Mapping[str, str], *, s3: Path, work: Path,
        about: Callable[[str], None] = lambda job: None, after: Callable[[str], None] = lambda job: None,
        train: Sequence[str] = ("python", "-m", "launchers.sagemaker.job", "training"),
        in_containers: bool = False, faults: Faults | None = None, told: Callable[[str, str], None] = lambda job, text: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.steps: Sequence[Json] = definition["Steps"]
        self.parameters = _parameters(definition, parameters)
        self.s3, self.work = s3.resolve(), work.resolve()  # a container starts in a folder of its own
        self.about, self.after, self.train, self.in_containers = about, after, train, in_containers
        self.attempts = Attempts(faults or Faults(), told=told, sleep=sleep)
        self.property_files: dict[str, Path] = {}
        self.properties: dict[str, Json] = {}

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
            elif step["Type"] == "Tuning":
                self.about(name)
                self.properties[name] = tune(name, self.value(step["Arguments"]), self._trial)
                self.after(name)
            else:
                for log in (self._log(name), *self.work.glob(f"logs/{name}.algo-*.log")):
                    log.unlink(missing_ok=True)  # of an earlier run
                self.attempts.run(step, partial(self._job, step))
        return None

    # ---- what stands in a definition

    def value(self, given: Any) -> Any:
        """``given`` with every function replaced by what it stands for."""
        if isinstance(given, Mapping):
            if set(given) == {"Get"}:
                return self._got(given["Get"])
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

    def _got(self, reference: str) -> Any:
        if not reference.startswith("Steps."):
            return self.parameters[reference.removeprefix("Parameters.")]
        _, step, *path = reference.split(".")
        found: Any = self.properties[step]
        for part in path:
            found = found[part]
        return found

    def _holds(self, condition: Json) -> bool:
        assert condition["Type"] == "Equals", condition["Type"]
        return bool(self.value(condition["LeftValue"]) == self.value(condition["RightValue"]))

    # ---- jobs

    def _job(self, step: Json) -> None:
        name, arguments = step["Name"], self.value(step["Arguments"])
        self.about(name)
        work = self.work / "ml" / name
        shutil.rmtree(work, ignore_errors=True)
        hosts = [f"algo-{number}" for number in range(1, _num_machines(arguments) + 1)]
        own = self.attempts.environment(name)
        if len(hosts) > 1:
            own |= {places.MEETING_VARIABLE: f"127.0.0.1:{free_port()}"}
        containers = self._containers(step["Type"], name, arguments, work, hosts, own)
        spot = arguments.get("EnableManagedSpotTraining", False)
        moment = self.attempts.moment(name, containers[0].root / places.CHECKPOINTS) if spot else None
        ended = run_together(containers, _limit_s(arguments), moment)
        self.attempts.ended(name, ended.code, interrupted=ended.interrupted)
        if ended.code != 0:
            raise StageError(
                _why(ended.first.root) or f"it ended with code {ended.code}",
                where=name,
                remedy=f"its log is {ended.first.log}",
            )
        for output in arguments.get("ProcessingOutputConfig", {}).get("Outputs", ()):
            for container in containers:
                made = _inside(container.root, output["S3Output"]["LocalPath"])
                shutil.copytree(made, self._object(output["S3Output"]["S3Uri"]), dirs_exist_ok=True)
        for file in step.get("PropertyFiles", ()):
            output = next(
                one["S3Output"]
                for one in arguments["ProcessingOutputConfig"]["Outputs"]
                if one["OutputName"] == file["OutputName"]
            )
            place = self._object(output["S3Uri"]) / file["FilePath"]
            self.property_files[f"Steps.{name}.PropertyFiles.{file['PropertyFileName']}"] = place
        shutil.rmtree(work)
        self.after(name)

    def _trial(self, name: str, arguments: Json) -> Ended:
        """One of a tuning job's, which may fail."""
        root = self.work / "ml" / name
        shutil.rmtree(root, ignore_errors=True)
        self._log(name).unlink(missing_ok=True)
        own = {places.TRAINING_JOB_VARIABLE: name}
        (container,) = self._containers("Training", name, arguments, root, ["algo-1"], own)
        code = run_together([container], _limit_s(arguments)).code
        ended = Ended(code=code, log=container.log, reason=_why(root))
        shutil.rmtree(root)
        return ended

    def _containers(
        self, kind: str, name: str, arguments: Json, work: Path, hosts: Sequence[str], own: Mapping[str, str]
    ) -> list[Container]:
        """One for each machine of a job, with all that it is given. ``own``: variables besides those of the request."""
        mount = self._processing if kind == "Processing" else self._training
        containers = []
        for host in hosts:
            root = work / host if len(hosts) > 1 else work
            root.mkdir(parents=True)
            command = mount(root, arguments, hosts, host)
            if self.in_containers:
                shown = [*arguments["Environment"], *own, places.S3_VARIABLE]
                command = in_engine(command, image=_image(arguments), root=root, s3=self.s3, variables=shown)
            log = self._log(name, host if len(hosts) > 1 else None)
            containers.append(Container(command, root, log, {**self._environment(root, arguments), **own}))
        return containers

    def _log(self, name: str, host: str | None = None) -> Path:
        """Of several attempts one follows the other in it."""
        return self.work / "logs" / (f"{name}.{host}.log" if host else f"{name}.log")

    def _processing(self, root: Path, arguments: Json, hosts: Sequence[str], host: str) -> list[str]:
        for one in arguments["ProcessingInputs"]:
            self._mount(one["S3Input"], _inside(root, one["S3Input"]["LocalPath"]), hosts, host)
        for output in arguments.get("ProcessingOutputConfig", {}).get("Outputs", ()):
            _inside(root, output["S3Output"]["LocalPath"]).mkdir(parents=True)
        _write(root / "config" / "processingjobconfig.json", arguments)
        _write(root / "config" / "resourceconfig.json", {"current_host": host, "hosts": list(hosts)})
        app = arguments["AppSpecification"]
        return [*app["ContainerEntrypoint"], *app["ContainerArguments"]]

    def _training(self, root: Path, arguments: Json, hosts: Sequence[str], host: str) -> list[str]:
        for channel in arguments["InputDataConfig"]:
            folder = root / places.TRAINING_INPUTS / channel["ChannelName"]
            self._mount(channel["DataSource"]["S3DataSource"], folder, hosts, host)
        checkpoints = arguments["CheckpointConfig"]
        kept = self._object(checkpoints["S3Uri"])
        kept.mkdir(parents=True, exist_ok=True)
        _inside(root, checkpoints["LocalPath"]).symlink_to(kept)  # the service copies both ways, all the time
        for name in ("model", "output/data"):
            (root / name).mkdir(parents=True)
        config = root / "input" / "config"
        _write(config / "hyperparameters.json", arguments.get("HyperParameters", {}))
        _write(config / "inputdataconfig.json", {one["ChannelName"]: one for one in arguments["InputDataConfig"]})
        _write(config / "resourceconfig.json", {"current_host": host, "hosts": list(hosts)})
        algorithm = arguments["AlgorithmSpecification"]
        if "ContainerEntrypoint" not in algorithm:
            return list(self.train)
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

    def _mount(self, given: Json, folder: Path, hosts: Sequence[str], host: str) -> None:
        folder.mkdir(parents=True)
        listed = list(_listed(self.s3, given["S3DataType"], given["S3Uri"]))
        if given.get("S3DataDistributionType") == "ShardedByS3Key":
            listed = listed[hosts.index(host) :: len(hosts)]
        for source, name in listed:
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            _link(source, place)
        if not listed:
            raise StageError(
                "no object is there", where=given["S3Uri"], remedy="the service would end this job in the same way"
            )


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


def _num_machines(arguments: Json) -> int:
    resources = arguments.get("ResourceConfig") or arguments.get("ProcessingResources", {}).get("ClusterConfig", {})
    return int(resources.get("InstanceCount", 1))


def _why(root: Path) -> str:
    for name in ("failure", "message"):
        place = root / "output" / name
        if place.is_file():
            return place.read_text()
    return ""


def _write(place: Path, content: Json) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(content, indent=1))
