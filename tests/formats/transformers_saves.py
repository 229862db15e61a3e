"""Saves a SegFormer of random weights as Transformers does, whole and in several files, and computes its logits. Usage:
transformers_saves.py FOLDER HEIGHT WIDTH, with the bytes of an image in FOLDER/images.bin."""

import pathlib
import sys

import numpy as np
import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation

folder, height, width = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(3)
model = SegformerForSemanticSegmentation(SegformerConfig(num_labels=3)).eval()
with torch.no_grad():
    for name, values in model.state_dict().items():
        if name.endswith("running_mean"):
            values.normal_(0, 0.2)
        elif name.endswith("running_var"):
            values.uniform_(0.5, 1.5)
        elif name.endswith("bias"):
            values.normal_(0, 0.1)
model.save_pretrained(folder / "whole")
model.save_pretrained(folder / "sharded", max_shard_size="4MB")
model.save_pretrained(folder / "torch", safe_serialization=False)
model.save_pretrained(folder / "torch-sharded", safe_serialization=False, max_shard_size="4MB")

image = np.frombuffer((folder / "images.bin").read_bytes(), dtype=np.uint8).reshape(height, width, 3)
mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
pixels = torch.tensor((image - mean) / std, dtype=torch.float32).permute(2, 0, 1)[None]
with torch.no_grad():
    logits = model(pixel_values=pixels).logits
(folder / "logits.bin").write_bytes(logits.numpy().astype("<f4").tobytes())
