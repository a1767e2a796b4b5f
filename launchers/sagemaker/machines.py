"""What each job runs on, and in which image: what is declared for all, then for its kinds of stage, then for its node."""

from collections import Counter
from collections.abc import Mapping

from pydantic import ValidationError

from earthsnap_train.errors import ConfigError, did_you_mean
from earthsnap_train.pipeline.plan import Plan, Stage
from earthsnap_train.pipeline.stages import KINDS
from earthsnap_train.spec.launcher import Machine, SageMaker, TrainingMachine
from earthsnap_train.spec.validate import in_our_words
from launchers.sagemaker.steps import Job


def machine_of(job: Job, settings: SageMaker) -> Machine:
    """Raises ConfigError for an override that cannot be. Where stages of one job differ, the last of them decides."""
    teaches = job.on != "processing"
    model = TrainingMachine if teaches else Machine
    merged = (settings.training if teaches else settings.processing).model_dump()
    own = [("kinds", stage.kind) for stage in job.stages]
    own += [("nodes", name) for name in _names(job.node)]
    where: str = "training" if teaches else "processing"
    for part, name in dict.fromkeys(own):
        change: Mapping[str, object] = getattr(settings, part).get(name, {})
        # A node's jobs are of both sorts: what is said of spot capacity is for its training alone.
        known = set(TrainingMachine.model_fields if part == "nodes" else model.model_fields)
        merged |= {key: value for key, value in change.items() if key in model.model_fields or key not in known}
        where = f"{part}.{name}" if change else where
    if teaches and not _is_shared_out(job.stages[0]):
        merged["instance_count"] = 1
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        raise in_our_words(error, model, f"launcher.{where}.") from None


def image_of(job: Job, settings: SageMaker) -> str:
    kinds = [KINDS[stage.kind] for stage in job.stages]
    needs_torch = any("torch" in kind.libraries or kind.uses_gpu for kind in kinds)
    return settings.image if needs_torch or settings.light_image is None else settings.light_image


def num_machines_of(job: Job, machine: Machine, settings: SageMaker) -> int:
    if isinstance(machine, TrainingMachine):
        return machine.instance_count
    return settings.qa_instances if job.maps else 1


def machines_at_once(job: Job, machine: Machine, settings: SageMaker) -> Mapping[str, int]:
    """Instance type -> how many the job works on at once."""
    own = Counter({machine.instance_type: num_machines_of(job, machine, settings)})
    if job.on != "tuning":
        return own
    trials = Counter({machine.instance_type: own[machine.instance_type] * settings.trials_at_once})
    return trials | Counter({settings.processing.instance_type: 1})  # small jobs, before and after the trials


def _is_shared_out(stage: Stage) -> bool:
    """Whether several machines teach it together: not a search, nor a head, whose step is too short to be divided."""
    training = stage.settings.get("training")
    return stage.kind == "train" and isinstance(training, dict) and training["method"] != "head"


def check_overrides(settings: SageMaker, plan: Plan) -> None:
    """Raises ConfigError for a kind of stage that there is not, or a node that this family does not have."""
    nodes = list(dict.fromkeys(["parent", "child", "flat", *plan.nodes]))
    for part, noun, known in (("kinds", "kind of stage", list(KINDS)), ("nodes", "node", nodes)):
        for name in getattr(settings, part):
            if name not in known:
                raise ConfigError(
                    f"no {noun} is called {name!r}",
                    where=f"launcher.{part}.{name}",
                    allowed=", ".join(known),
                    remedy=did_you_mean(name, known),
                )


def _names(node: str | None) -> tuple[str, ...]:
    """From the general to the particular."""
    if node is None:
        return ()
    return ("child", node) if node.startswith("child/") else (node,)
