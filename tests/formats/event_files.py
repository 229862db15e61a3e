"""Reads the event files of a run with TensorBoard's own reader, and compares them with its record. Usage:
event_files.py RUN."""

import io
import json
import math
import pathlib
import sys

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])
events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
events.Reload()
records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
steps = [record for record in records if "eval" not in record]
evaluations = [record for record in records if "eval" in record]
assert steps and evaluations


def check(tag, expected):
    expected = [(step, value) for step, value in expected if value is not None and math.isfinite(value)]
    found = [(event.step, event.value) for event in events.Scalars(tag)] if expected else []
    assert [step for step, _ in found] == [step for step, _ in expected], (tag, found, expected)
    assert np.allclose([value for _, value in found], [value for _, value in expected], rtol=1e-6), tag


for loss in steps[0]["loss"]:
    check(f"loss/{loss}", [(record["step"], record["loss"][loss]) for record in steps])
check("lr", [(record["step"], record["lr"]) for record in steps])
for name in evaluations[0]["eval"]:
    if name.endswith("_miou"):
        check(f"miou/{name.removesuffix('_miou')}", [(record["step"], record["eval"][name]) for record in evaluations])
check("f1/tags", [(record["step"], record["eval"]["cls_f1"]) for record in evaluations])
check("iou/background", [(record["step"], record["eval"]["seg_iou"][0]) for record in evaluations])

sheets = events.Images("pictures")
assert [sheet.step for sheet in sheets] == [record["step"] for record in evaluations]
for sheet in sheets:
    shown = np.array(Image.open(io.BytesIO(sheet.encoded_image_string)))
    stored = np.array(Image.open(run / "pictures" / f"step_{sheet.step:07}.png"))
    assert shown.shape == (sheet.height, sheet.width, 3) and (shown == stored).all()
times = [event.wall_time for event in events.Scalars("loss/total")]
assert times == sorted(times) and times[0] > 1.6e9, times
print(f"{len(steps)} steps, {len(evaluations)} evaluations")
