"""What was made elsewhere, brought into the store."""

from earthsnap_train.errors import IntegrityError
from earthsnap_train.pipeline.store import Artifact, Store
from launchers.sagemaker.shelf import ARTIFACT_FILE, Shelf


def bring_home(artifact: Artifact, shelf: Shelf, store: Store) -> Artifact:
    """Raises IntegrityError where the store has something else under the same key."""
    with store.lock(artifact.key):
        found = store.find(artifact.key)
        if found is None:
            with store.building(artifact.key) as folder:
                shelf.fetch(artifact, folder)
                (folder / ARTIFACT_FILE).unlink()
                found = store.publish(
                    folder, key=artifact.key, kind=artifact.kind, stage=artifact.stage,
                    made_of=artifact.ingredients, seconds=artifact.seconds, num_images=artifact.num_images,
                )  # fmt: skip
    if found.digest != artifact.digest:
        raise IntegrityError(
            f"{artifact.stage} came out otherwise in its container than in the store, for the same inputs",
            where=str(store.path(artifact.key)),
            remedy="remove that folder and run again",
        )
    return found
