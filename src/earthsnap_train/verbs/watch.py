"""``watch``: starts the rollout of what is approved, and sends messages, until it is told to end."""

import threading

from earthsnap_train.release.messages import messengers
from earthsnap_train.spec.deployment import SageMaker
from earthsnap_train.spec.job import Watch
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.driving import endpoints, kind_of_driver, told_to_end
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.terminal import console as console_for_people
from launchers.rollout import roll_out
from launchers.rollout_progress import Follower
from launchers.watch import watch


def run(spec: RunSpec) -> tuple[int, None]:
    job = spec.job
    assert isinstance(job, Watch)
    stop = told_to_end()
    registry = open_registry(spec)
    console = console_for_people(stderr=spec.json_output)
    watcher = Follower(console, family="watch")

    def drive(release: str, stop: threading.Event) -> None:
        family = registry.get(release).family
        follower = Follower(console, family=family)
        arrived = roll_out(
            release,
            registry,
            spec.deployment,
            endpoints(spec, registry, family, stop),
            follower,
            precision=spec.serving.precision,
            origin="watch",
            stop=stop,
            kind=kind_of_driver(spec),
        )
        follower.line(
            f"{release} is live at {arrived.url}"
            if arrived.at == "live"
            else f"{release} waits for a person: it is at {arrived.url}, and then earthsnap promote release={release}"
        )

    if not job.once:
        watcher.line(f"looks for approvals in {registry.root}")
    if isinstance(spec.deployment, SageMaker):
        from launchers.sagemaker.following import follow_wishes
        from launchers.sagemaker.rollout import endpoints as hosted

        on = spec.deployment
        threading.Thread(
            target=follow_wishes, daemon=True,
            args=(registry, lambda family: hosted(on, spec.serving, registry, family, stop.wait)["prod"], watcher.line, stop),
        ).start()  # fmt: skip
    receivers = messengers(spec.deployment.messages, watcher.line)
    watch(registry, drive, receivers, watcher.line, once=job.once, stop=stop)
    return 0, None
