"""TensorBoard's event files, written without TensorFlow and without torch: a folder a job."""

import io
import json
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.spec.tracking import TensorBoard
from earthsnap_train.tracking.port import Cell, Picture, Table, TrackedFamily, TrackedRun

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

FOLDER = "tensorboard"
MOST_ROWS = 100  # of a table, which is shown as text


class TensorBoardTracker:
    """Raises EnvironmentProblem where TensorBoard is not installed."""

    def __init__(self, spec: TensorBoard) -> None:
        self._spec = spec
        if find_spec("tensorboard") is None:
            raise EnvironmentProblem(
                "TensorBoard is not installed",
                where="tracking.tensorboard",
                remedy='pip install "earthsnap_train[tensorboard]", or tracking=csv',
            )

    def tell(self, told: TrackedFamily, folder: Path) -> str:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        now = time.time()
        for run in told.runs:
            writer = EventFileWriter(str(folder / FOLDER / run.name))
            for step, summary in self._summaries(run, told):
                writer.add_event(Event(wall_time=now, step=step, summary=summary))
            writer.close()
        return f"TensorBoard  tensorboard --logdir {folder / FOLDER}"

    def _summaries(self, run: TrackedRun, told: TrackedFamily) -> "Iterator[tuple[int, Summary]]":
        from tensorboard.compat.proto.summary_pb2 import Summary

        for step, values in run.rows:
            yield step, Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])
        for seconds, values in run.machine:
            named = {f"machine/{name}": value for name, value in values.items()}
            yield seconds, Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in named.items()])
        for name, value in run.summary.items():
            yield 0, Summary(value=[Summary.Value(tag=f"result/{name}", simple_value=value)])
        for table in run.tables:
            yield 0, _text(table.name, _markdown(table))
        yield 0, _text("declaration", f"```json\n{json.dumps(told.config, indent=1)}\n```")
        for gallery in run.galleries:
            for number, picture in enumerate(gallery.pictures[: self._spec.num_pictures], start=1):
                yield 0, _image(f"{gallery.name}/{number:02d}", picture)


def _text(tag: str, words: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    tensor = TensorProto(dtype=DT_STRING, string_val=[words.encode()], tensor_shape=TensorShapeProto())
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])


def _markdown(table: Table) -> str:
    lines = [_line(table.columns), _line(["---"] * len(table.columns)), *map(_line, table.rows[:MOST_ROWS])]
    left_out = len(table.rows) - MOST_ROWS
    return "\n".join(lines) + (f"\n\nand {left_out} more" if left_out > 0 else "")


def _line(cells: "tuple[Cell, ...] | list[str]") -> str:
    words = ("" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells)
    return f"| {' | '.join(words)} |"


def _image(tag: str, picture: Picture) -> Any:
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata

    opened = Image.open(io.BytesIO(picture.image)).convert("RGB")
    encoded = io.BytesIO()
    opened.save(encoded, "JPEG", quality=85)
    image = Summary.Image(
        width=opened.width, height=opened.height, colorspace=3, encoded_image_string=encoded.getvalue()
    )
    said = SummaryMetadata(display_name=tag, summary_description=picture.caption)
    return Summary(value=[Summary.Value(tag=tag, image=image, metadata=said)])
