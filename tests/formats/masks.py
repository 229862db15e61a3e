"""Reads a folder of masks in all forms with the programs that read them, and compares every region of every class with
the index PNGs. Usage: masks.py FOLDER SEGMENTATION, where SEGMENTATION is `runs` or `polygons`."""

import csv
import importlib.util
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

folder, segmentation = pathlib.Path(sys.argv[1]), sys.argv[2]
pngs = sorted((folder / "SegmentationClassAug").glob("**/*.png"))
masks = {png.relative_to(folder / "SegmentationClassAug").with_suffix("").as_posix(): np.array(Image.open(png)) for png in pngs}
assert masks, "there are masks"
tags = json.loads((folder / "labels.json").read_text())["classes"] if (folder / "labels.json").exists() else None


def regions(mask):
    return {int(value): mask == value for value in np.unique(mask) if value not in (0, 255)}


def same(found, expected, where):
    """Every region, exactly."""
    assert found.keys() == expected.keys(), f"{where}: classes {sorted(found)} instead of {sorted(expected)}"
    for value, region in expected.items():
        ious = (found[value] & region).sum() / (found[value] | region).sum()
        assert ious == 1, f"{where}, class {value}: IoU {ious:.4f}"


# MS-COCO: pycocotools.
coco = COCO(str(folder / "annotations.json"))
names = {category["id"]: category["name"] for category in coco.dataset["categories"]}
assert tags is None or list(names.values()) == tags, names
by_stem = {image["file_name"].rsplit(".", 1)[0]: image for image in coco.dataset["images"]}
assert list(by_stem) == list(masks), "an image for each mask, in order"
for name, mask in masks.items():
    image = by_stem[name]
    assert (image["height"], image["width"]) == mask.shape, name
    found = {}
    for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
        assert isinstance(annotation["segmentation"], list) == (segmentation == "polygons")
        region = coco.annToMask(annotation).astype(bool)
        assert annotation["area"] == region.sum(), (name, annotation["area"], region.sum())
        rows, columns = np.where(region)
        low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
        assert annotation["bbox"] == [low[0], low[1], high[0] - low[0], high[1] - low[1]], (name, annotation["bbox"])
        found[annotation["category_id"]] = region
        if segmentation == "runs":
            # The reference's own text of the same runs.
            encoded = coco_mask.encode(np.asfortranarray(region))
            assert encoded["counts"].decode() == annotation["segmentation"]["counts"], name
    same(found, regions(mask), f"coco, {name}")

# YOLO: the polygons of a class together, filled by pycocotools.
yaml = (folder / "data.yaml").read_text()
for number, name in enumerate(names.values()):
    assert f"\n  {number}: {json.dumps(name, ensure_ascii=False)}\n" in yaml, yaml
for name, mask in masks.items():
    (height, width), polygons = mask.shape, {}
    for line in (folder / "labels" / f"{name}.txt").read_text().splitlines():
        value, *numbers = line.split()
        numbers = np.array(numbers, dtype=float).reshape(-1, 2)
        assert len(numbers) >= 3 and 0 <= numbers.min() and numbers.max() <= 1, line
        polygons.setdefault(int(value) + 1, []).append((numbers * [width, height]).ravel().tolist())
    fill = lambda parts: coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(parts, height, width))).astype(bool)
    same({value: fill(parts) for value, parts in polygons.items()}, regions(mask), f"yolo, {name}")

# Label Studio: the brushes of its converter.
spec = importlib.util.find_spec("label_studio_converter")
brush_file = pathlib.Path(spec.submodule_search_locations[0]) / "brush.py"
brush_spec = importlib.util.spec_from_file_location("brush", brush_file)
brush = importlib.util.module_from_spec(brush_spec)
brush_spec.loader.exec_module(brush)
tasks = {task["data"]["image"].rsplit(".", 1)[0]: task for task in json.loads((folder / "label-studio.json").read_text())}
interface = ElementTree.parse(folder / "label-studio.xml").getroot()
assert [label.get("value") for label in interface.iter("Label")] == list(names.values())
control, image = interface.find("BrushLabels"), interface.find("Image")
for name, mask in masks.items():
    found = {}
    for result in tasks[name]["predictions"][0]["result"]:
        assert (result["from_name"], result["to_name"]) == (control.get("name"), image.get("name"))
        assert (result["original_height"], result["original_width"]) == mask.shape
        (label,) = result["value"]["brushlabels"]
        pixels = brush.decode_rle(result["value"]["rle"]).reshape(*mask.shape, 4)
        assert (pixels == pixels[..., :1]).all() and set(np.unique(pixels)) <= {0, 255}
        found[list(names.values()).index(label) + 1] = pixels[..., 3] > 0
    same(found, regions(mask), f"label studio, {name}")

# CVAT: as its importer reads a mask, row by row in its box.
images = {image.get("name").rsplit(".", 1)[0]: image for image in ElementTree.parse(folder / "cvat.xml").getroot().iter("image")}
for name, mask in masks.items():
    assert (int(images[name].get("height")), int(images[name].get("width"))) == mask.shape
    found = {}
    for element in images[name].iter("mask"):
        left, top, width, height = (int(element.get(side)) for side in ("left", "top", "width", "height"))
        runs = [int(run) for run in element.get("rle").split(",")]
        assert sum(runs) == width * height, name
        region = np.zeros(mask.shape, dtype=bool)
        values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        region[top : top + height, left : left + width] = values.reshape(height, width)
        found[list(names.values()).index(element.get("label")) + 1] = region
    same(found, regions(mask), f"cvat, {name}")

# The areas.
rows = list(csv.DictReader((folder / "areas.csv").open(newline="")))
assert len(rows) == len(masks) * (len(names) + 1)
for row in rows:
    mask = masks[row["image"].rsplit(".", 1)[0]]
    area = (mask == int(row["value"])).sum()
    assert int(row["area"]) == area and abs(float(row["share"]) - area / mask.size) < 1e-6, row
    assert row["class"] == ["background", *names.values()][int(row["value"])], row
    assert (row["tag_score"] == "") if row["value"] == "0" else 0 <= float(row["tag_score"]) <= 1, row

print(f"{len(masks)} masks, {sum(len(regions(mask)) for mask in masks.values())} regions")
