"""Loads folders of Transformers and compares their logits with those of the program. Usage: transformers_logits.py FOLDER,
which holds NAME/ and NAME-BxHxW.bin: images as bytes, then logits on the grid of the first level as f32."""

import pathlib
import sys

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation, SegformerForSemanticSegmentation

LIMIT = 1e-4
CLASSES = ["background", "cat", "dog", "Österreich"]

folder, cases = pathlib.Path(sys.argv[1]), 0
for network in sorted(path for path in folder.iterdir() if path.is_dir()):
    model, loading = SegformerForSemanticSegmentation.from_pretrained(network, output_loading_info=True)
    assert not any(loading.values()), loading
    assert isinstance(AutoModelForSemanticSegmentation.from_pretrained(network), SegformerForSemanticSegmentation)
    assert [model.config.id2label[index] for index in range(len(CLASSES))] == CLASSES
    assert [model.config.label2id[name] for name in CLASSES] == list(range(len(CLASSES)))
    assert model.dtype == torch.float32
    processor = AutoImageProcessor.from_pretrained(network)
    model.eval()
    for case in sorted(folder.glob(f"{network.name}-*.bin")):
        batch, height, width = (int(side) for side in case.stem.rsplit("-", 1)[1].split("x"))
        data, count = case.read_bytes(), batch * height * width
        images = np.frombuffer(data[: 3 * count], dtype=np.uint8).reshape(batch, height, width, 3)
        expected = np.frombuffer(data[3 * count :], dtype="<f4")
        pixels = processor(list(images), return_tensors="pt")["pixel_values"]
        assert pixels.shape == (batch, 3, height, width), pixels.shape
        with torch.no_grad():
            found = model(pixel_values=pixels).logits.numpy()
        assert found.shape == (batch, len(CLASSES), -(-height // 4), -(-width // 4)), found.shape
        assert np.std(expected) > 1e-3, "the logits differ from pixel to pixel"
        worst = np.abs(found.ravel() - expected).max()
        print(f"{case.stem}: worst {worst:.1e} of {np.abs(expected).max():.2f}")
        assert worst <= LIMIT, case
        cases += 1
print(f"{cases} cases")
