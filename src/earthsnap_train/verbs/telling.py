"""What verbs that change where a release stands do at their end: people who do not look on are told."""

from earthsnap_train.release.messages import messengers, send_pending
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.terminal import console


def tell(spec: RunSpec) -> None:
    """Sends what is pending to files and webhooks. One that is not there is a line on stderr and no more."""
    for problem in send_pending(open_registry(spec), messengers(spec.deployment.messages, None)):
        console(stderr=True).print(f"not told: {problem}", markup=False, soft_wrap=True)
