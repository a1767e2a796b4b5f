"""From Hydra's command line to the jobs of a sweep, new or resumed."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.tuning import Search
from earthsnap_train.spec.unheard import check_heard
from earthsnap_train.sweep.axes import Axis, Values, combinations, declared_axes, overrides, word
from earthsnap_train.sweep.conduct import conduct
from earthsnap_train.sweep.ended import Ended
from earthsnap_train.sweep.objectives import check_objectives
from earthsnap_train.sweep.propose import propose
from earthsnap_train.sweep.record import Job, SweepRecord, held, new_sweep_folder, read_record
from earthsnap_train.sweep.secret import refuse_secrets
from earthsnap_train.sweep.settings import CHANGEABLE, PREFIX, SweepSettings, sweep_settings
from hydra_plugins.earthsnap_optuna._snapshot import loader, take
from hydra_plugins.earthsnap_optuna._typed import Typed, read

# What a person may say anew when a sweep goes on, for it changes no job.
SAID_ANEW = ("json", "traceback")


def begin(arguments: Sequence[str], config: DictConfig, context: HydraContext, task: TaskFunction) -> None:
    """Raises ConfigError for what cannot be a sweep, before anything is written."""
    door = Door(config=config, context=context, task=task)
    plain = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    assert isinstance(plain, dict)
    settings = sweep_settings({str(key): value for key, value in plain.items() if key != "_target_"})
    if settings.resume is not None:
        _resume(arguments, settings, door)
        return
    check_objectives(settings.directions)
    said = [*(f"{key}={value}" for key, value in settings.params.items()), *arguments]
    typed = read(said, context.config_loader, as_list=settings.sampler == "grid")
    refuse_secrets(typed.axes)
    if settings.sampler == "grid":
        values = combinations(typed.axes)
        declared: Mapping[str, Any] = {}
    else:
        typed, declared = _with_space(typed, settings, door)
        first, _ = propose(typed.axes, [], declared, settings)
        values = [first]
    composed = [door.compose([*typed.fixed, *overrides(typed.axes, one)]) for one in values]
    if all(OmegaConf.select(one, "job.verb") != "train" for one in composed):
        _one_after_the_other(typed, values, settings, door)
        return
    if settings.sampler != "grid":
        check_heard(door.validate(composed[0]), composed[0].hydra.overrides.task)
    setup_globals()
    folder = new_sweep_folder(Path(str(OmegaConf.select(composed[0], "hydra.sweep.dir"))))
    record = SweepRecord(
        name=str(composed[0].name),
        started=round(time.time(), 3),
        settings=settings,
        config_name=str(config.hydra.job.config_name),
        sources=take(config, folder),
        overrides=typed.fixed,
        of_hydra=tuple(one for one in config.hydra.overrides.hydra if not one.startswith("hydra.searchpath=")),
        axes=typed.axes,
        declared=dict(declared),
        jobs=tuple(Job(number=number, values=one) for number, one in enumerate(values, start=1))
        if settings.sampler == "grid"
        else (),
    )
    with held(folder):
        record.write(folder)
        _conduct(record, folder, door)


def _resume(arguments: Sequence[str], settings: SweepSettings, door: "Door") -> None:
    assert settings.resume is not None
    folder = Path(settings.resume)
    read_record(folder)  # a folder without a sweep is refused before a lock lies in it
    said = [one.partition("=")[0].lstrip("+~") for one in arguments]
    known = {*(f"{PREFIX}{name}" for name in (*CHANGEABLE, "resume")), "hydra/sweeper", "hydra.mode"}  # -m is a mode
    own = [one.partition("=")[0].lstrip("+~") for one in door.config.hydra.overrides.hydra]
    for key in [key for key in said if key not in SAID_ANEW] + [key for key in own if key not in known]:
        raise ConfigError(
            "a sweep goes on as it was declared",
            where=key,
            allowed=", ".join(f"{PREFIX}{name}" for name in CHANGEABLE),
            remedy=f"leave {key} out, or begin a new sweep",
        )
    changed = {name: getattr(settings, name) for name in CHANGEABLE if f"{PREFIX}{name}" in own}
    with held(folder):
        # Only now: until then another process may have written what its last job came to.
        record = read_record(folder)
        record = record.model_copy(update={"settings": record.settings.model_copy(update=changed)})
        kept = [one for one in record.overrides if one.partition("=")[0] not in said]
        record = record.model_copy(update={"overrides": (*kept, *arguments)})
        _conduct(record, folder, door)


def _conduct(record: SweepRecord, folder: Path, door: "Door") -> None:
    """Every job is composed from the sweep's own copies, also after a restart. The sweep's lock is the caller's."""
    inside = replace(
        door, context=HydraContext(config_loader=loader(record.sources, folder), callbacks=door.context.callbacks)
    )
    launch = inside.launcher(record.of_hydra, record.config_name, folder)

    def perform(job: Job) -> Ended:
        return launch([*record.overrides, *overrides(record.axes, job.values)], job.number)

    is_json = OmegaConf.select(inside.compose(_plainly(record)), "json") is True
    conduct(record, folder, perform, is_json=is_json)


def _plainly(record: SweepRecord) -> list[str]:
    """Overrides of some job."""
    first = record.jobs[0].values if record.jobs else {}
    return [*record.overrides, *overrides(record.axes, first)]


def _one_after_the_other(typed: Typed, values: Sequence[Values], settings: SweepSettings, door: "Door") -> None:
    """Verbs without figures: nothing is recorded, compared or resumed."""
    if settings.sampler != "grid":
        raise ConfigError(
            f"only train has figures that {settings.sampler} could search by",
            where=f"{PREFIX}sampler",
            allowed="grid",
            remedy="leave the sampler out, or the verb",
        )
    launch = door.launcher(door.config.hydra.overrides.hydra, door.config.hydra.job.config_name, Path())
    for number, one in enumerate(values, start=1):
        if launch([*typed.fixed, *overrides(typed.axes, one)], number).was_interrupted:
            return


def _with_space(typed: Typed, settings: SweepSettings, door: "Door") -> tuple[Typed, Mapping[str, Any]]:
    """What was typed; where nothing was, the declared space. Its jobs are not searched once more by themselves."""
    if typed.axes:
        return typed, {}
    spec = door.validate(door.compose(typed.fixed))
    if not isinstance(spec.tuning, Search) or not spec.tuning.space:
        raise ConfigError(
            f"there is nothing for {settings.sampler} to vary",
            where=f"{PREFIX}sampler",
            allowed="ranges that are typed, as in training.lr='interval(0.001,0.1)', or a declared tuning.space",
            remedy="tuning=quick declares one",
        )
    axes = declared_axes(spec.tuning.space)
    fixed = [one for one in typed.fixed if one.partition("=")[0].lstrip("+~").partition(".")[0] != "tuning"]
    return Typed(fixed=(*fixed, "tuning=none"), axes=tuple(axes)), _declared(axes, spec.training.model_dump())


def _declared(axes: Sequence[Axis], training: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a condition asks for, as the declaration has them; None for what lies below a null."""
    asked = {key for axis in axes for key in axis.dimension.when}
    found: dict[str, Any] = {}
    for key in sorted(asked):
        place: Any = training
        for part in key.split(".")[1:]:
            place = place.get(part) if isinstance(place, Mapping) else None
        found[key] = place
    return found


@dataclass(frozen=True, kw_only=True)
class Door:
    """What Hydra gave: how to compose a job, and how to run one."""

    config: DictConfig
    context: HydraContext
    task: TaskFunction

    def compose(self, job: Sequence[str]) -> DictConfig:
        setup_globals()
        return self.context.config_loader.load_sweep_config(self.config, list(job))

    def validate(self, composed: DictConfig) -> Any:
        """The declaration as all other code sees it; raises ConfigError."""
        from earthsnap_train.__main__ import through_the_door

        plain = copy.deepcopy(composed)
        with open_dict(plain):
            del plain["hydra"]
        return through_the_door(plain)

    def launcher(
        self, of_hydra: Sequence[str], config_name: str, folder: Path
    ) -> Callable[[Sequence[str], int], Ended]:
        """(overrides, number) -> what the job ended with."""
        config = copy.deepcopy(self.config)
        with open_dict(config):
            config.hydra.overrides.hydra = [*of_hydra, f"hydra.sweep.dir={word(folder)}"]
            config.hydra.job.config_name = config_name
            config.hydra.sweep.dir = str(folder)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=self.task, config=config
        )

        def launch(job: Sequence[str], number: int) -> Ended:
            returned = launcher.launch([list(job)], initial_job_idx=number)[0]
            ended: Ended = returned.return_value
            return ended

        return launch
