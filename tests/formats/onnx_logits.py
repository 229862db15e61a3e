"""Runs ONNX files on the images of cases and compares the logits with those of the program. Usage: onnx_logits.py FOLDER,
which holds NAME.onnx and NAME-BxHxW.bin: images as bytes, then logits of the segmentation and of the tags as f32."""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

LIMIT = 1e-4

folder, cases = pathlib.Path(sys.argv[1]), 0
for file in sorted(folder.glob("*.onnx")):
    model = onnx.load(str(file))
    onnx.checker.check_model(model, full_check=True)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    classes = json.loads(facts["classes"])
    assert classes in (["background", "cat", "dog", "Österreich"], ["background", "cat", "cow", "dog", "horse", "sheep", "person"])
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for case in sorted(folder.glob(f"{file.stem}-*.bin")):
        batch, height, width = (int(side) for side in case.stem.rsplit("-", 1)[1].split("x"))
        data, count = case.read_bytes(), batch * height * width
        images = np.frombuffer(data[: 3 * count], dtype=np.uint8).reshape(batch, height, width, 3)
        expected = np.frombuffer(data[3 * count :], dtype="<f4")
        seg, tags = expected[: count * len(classes)], expected[count * len(classes) :]
        found_seg, found_tags = session.run(["logits", "tags"], {"image": images})
        assert found_seg.shape == (batch, len(classes), height, width), found_seg.shape
        assert found_tags.shape == (batch, len(classes) - 1), found_tags.shape
        assert np.std(seg) > 1e-3, "the logits differ from pixel to pixel"
        # One image alone gives the same.
        (alone,) = session.run(["logits"], {"image": images[1:]})
        worst = max(
            np.abs(found_seg.ravel() - seg).max(),
            np.abs(found_tags.ravel() - tags).max(),
            np.abs(alone - found_seg[1:]).max(),
        )
        largest = np.abs(seg).max()
        print(f"{case.stem}: worst {worst:.1e} of {largest:.2f}")
        assert worst <= LIMIT, case
        cases += 1
print(f"{cases} cases")
