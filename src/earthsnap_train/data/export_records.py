"""A node's own view of the stored photographs, for readers outside: MXNet, DALI, SageMaker's built-in algorithm."""

from collections.abc import Sequence
from pathlib import Path

from earthsnap_train.context import Events
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.shards import SPLITS, ShardWriter, find_images


def export_records(
    *, examples: Path, classes: Sequence[str], folders: Sequence[Path], out: Path, events: Events
) -> None:
    """Writes ``<split>.rec``, ``.idx`` and ``.lst`` labelled as ``examples`` says, and ``classes.txt``, a class a line.

    Pictures are copied from the records of any groups as they are, never encoded again. Raises ``IntegrityError`` for
    a picture that no folder has, and for one that is not what was written.
    """
    node = Examples.read(examples)
    num_done = 0
    for split in SPLITS:
        rows = node.of(split)
        shards, places = find_images(folders, rows.image_ids)
        writer = ShardWriter(folder=out, split=split, classes=classes)
        for image_id, label, (number, position) in zip(rows.image_ids, rows.labels, places, strict=True):
            writer.append(image_id=image_id, label=int(label), image=shards[number].read(int(position)).image)
            num_done += 1
            events.progress(num_done, len(node), "images")
        writer.finish()
    (out / "classes.txt").write_text("".join(f"{name}\n" for name in classes), "utf-8")
