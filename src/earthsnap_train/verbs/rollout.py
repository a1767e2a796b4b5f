"""``rollout``: takes an approved release to stage, tests it there, and moves production to it step by step."""

from earthsnap_train.spec.job import Rollout
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.driving import conclude, drive


def run(spec: RunSpec) -> tuple[int, None]:
    """Goes on where an earlier call was stopped. A release that is live already is no error."""
    job = spec.job
    assert isinstance(job, Rollout)
    conclude(spec, drive(spec, job.release))
    return 0, None
