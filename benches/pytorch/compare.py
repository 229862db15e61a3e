#!/usr/bin/env python3
"""Times tagseg against PyTorch on this machine, op by op and for a whole training step, turn and turn about.

    cargo build --release && cargo bench --bench ops --no-run
    python3 -m venv venv && venv/bin/pip install torch numpy
    venv/bin/python benches/pytorch/compare.py [FILTER] [--device cuda] [--tf32] [--record FILE]

`ratio` is PyTorch's time over ours: above 1 we are faster. Both sides are measured in turns and the medians of all turns
are compared, so that what else the machine does falls on both. Ours are times of the device from timestamps for single
ops, and seconds by the clock for the step; PyTorch's are events on CUDA and seconds by the clock on a CPU.
"""

import os

# Threads that spin at a barrier lose whole time slices where others use the machine too.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import argparse
import datetime
import glob
import json
import pathlib
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

from bmp import PRESETS, Par, Step

ROOT = pathlib.Path(__file__).parents[2]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("filter", nargs="?", default="", help="rows whose name holds this; `step` for the step alone")
    parser.add_argument("--device", default="cpu", help="PyTorch's device")
    parser.add_argument("--adapter", default="auto", help="ours, as in `tagseg devices`")
    parser.add_argument("--tf32", action="store_true", help="let PyTorch round products to TF32 on CUDA")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of PyTorch on a CPU")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--profile", default="release", help="the profile that tagseg was built in")
    parser.add_argument("--preset", default="nano", choices=sorted(PRESETS))
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--record", type=pathlib.Path, help="also write the result as JSON")
    return parser.parse_args()


def timed(work, device, runs=5):
    """Median seconds of `work` after one run that pays what comes once."""
    work()
    seconds = []
    for _ in range(runs):
        if device == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work()
            end.record()
            torch.cuda.synchronize()
            seconds.append(start.elapsed_time(end) / 1e3)
        else:
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def op(kind, size, device):
    """The function of a row of rows.json and its real operands, differentiated."""
    real = lambda *shape: torch.rand(*shape, device=device, requires_grad=True)
    if kind == "matmul":
        m, k, n = size
        operands = [real(m, k), real(k, n)]
        return torch.matmul, operands
    if kind == "linear":
        rows, inputs, outputs = size
        return F.linear, [real(rows, inputs), real(outputs, inputs), real(outputs)]
    if kind == "conv":
        batch, height, width, inputs, outputs, kernel, stride, padding = size
        run = lambda x, w, b: F.conv2d(x, w, b, stride, padding)
        return run, [real(batch, inputs, height, width), real(outputs, inputs, kernel, kernel), real(outputs)]
    if kind == "depthwise":
        batch, height, width, channels, kernel, stride, dilation = size
        # TensorFlow's SAME; what differs between the sides stands behind.
        side = (kernel - 1) * dilation + 1
        zeros = [max((-(-extent // stride) - 1) * stride + side - extent, 0) for extent in (height, width)]
        both, behind = [n // 2 for n in zeros], [n % 2 for n in zeros]

        def run(x, w, b):
            x = F.pad(x, (0, behind[1], 0, behind[0])) if any(behind) else x
            return F.conv2d(x, w, b, stride, both, dilation, channels)

        return run, [real(batch, channels, height, width), real(channels, 1, kernel, kernel), real(channels)]
    if kind == "attention":
        batch, tokens, keys, channels, heads = size
        split = lambda t: t.reshape(batch, -1, heads, channels // heads).transpose(1, 2)

        def run(q, k, v):
            scores = split(q) @ split(k).transpose(2, 3)
            mixed = (scores * (channels // heads) ** -0.5).softmax(-1) @ split(v)
            return mixed.transpose(1, 2).reshape(batch, tokens, channels)

        return run, [real(batch, tokens, channels), real(batch, keys, channels), real(batch, keys, channels)]
    if kind == "softmax":
        return lambda x: x.softmax(-1), [real(*size)]
    if kind == "layer_norm":
        return lambda x, g, b: F.layer_norm(x, size[1:], g, b, 1e-6), [real(*size), real(size[1]), real(size[1])]
    if kind == "gelu":
        return F.gelu, [real(*size)]
    if kind == "resize":
        batch, height, width, channels, *target = size
        run = lambda x: F.interpolate(x, size=target, mode="bilinear", align_corners=False)
        return run, [real(batch, channels, height, width)]
    if kind == "margin":
        batch, channels, height, width = size
        label = torch.arange(batch * height * width, device=device).reshape(batch, height, width) // 64 % channels
        hot = F.one_hot(label, channels).permute(0, 3, 1, 2).float()
        return lambda x: F.binary_cross_entropy_with_logits(x, hot, reduction="none").sum(1), [real(*size)]
    if kind == "par":
        batch, height, width, channels, iterations = size
        par = Par(iterations=iterations).to(device)
        picture = torch.rand(batch, 3, height, width, device=device)
        masks = torch.rand(batch, channels, height, width, device=device)
        return lambda: par(picture, masks), []
    if kind == "adamw":
        parameter = torch.nn.Parameter(torch.zeros(*size, device=device))
        parameter.grad = torch.full_like(parameter, 1e-3)
        return torch.optim.AdamW([parameter], lr=1e-3).step, []
    raise SystemExit(f"rows.json: no op `{kind}`")


def time_op(kind, size, device):
    run, operands = op(kind, size, device)

    def forward():
        with torch.no_grad():
            run(*operands)

    seconds = {"forward": timed(forward, device)}
    if operands:
        cotangent = torch.ones_like(run(*operands))

        def both():
            for operand in operands:
                operand.grad = None
            run(*operands).backward(cotangent)

        seconds["both"] = timed(both, device)
    return seconds


def ours(command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def newest(pattern):
    found = [path for path in glob.glob(str(ROOT / "target" / pattern)) if os.access(path, os.X_OK) and "." not in path]
    if not found:
        raise SystemExit(f"no target/{pattern}: build first, as the head of this file says")
    return max(found, key=os.path.getmtime)


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.tf32
    rows = json.loads((ROOT / "benches/rows.json").read_text())
    rows = [row for row in rows if args.filter in row["name"]]
    results, adapter = [], None

    print(f"{'':<26}{'ours ms':>11}{'PyTorch ms':>13}{'ratio':>8}")

    def report(name, our, their):
        our, their = statistics.median(our), statistics.median(their)
        results.append({"name": name, "ours": our, "pytorch": their, "ratio": their / our})
        print(f"{name:<26}{1e3 * our:>11.3f}{1e3 * their:>13.3f}{their / our:>8.3f}", flush=True)

    bench = newest(f"{args.profile}/deps/ops-*") if rows else None
    for row in rows:
        mine, theirs = [], []
        for _ in range(args.turns):
            measured = ours([bench, row["name"], "--device", args.adapter, "--json"])
            adapter = measured["device"]
            mine.append(next(one for one in measured["rows"] if one["name"] == row["name"]))
            theirs.append(time_op(row["op"], row["size"], args.device))
        for part in theirs[0]:
            name = row["name"] if part == "forward" else f"{row['name']} + grad"
            report(name, [one[part] for one in mine], [one[part] for one in theirs])

    if args.filter in "step":
        step = Step(args.preset, args.classes, args.batch, args.crop, 2, args.device)
        sizes = [f"--{name}={getattr(args, name)}" for name in ("preset", "crop", "batch", "classes")]
        mine, theirs = [], []
        for _ in range(args.turns):
            measured = ours([newest(f"{args.profile}/tagseg"), "bench", *sizes, "--rounds=3", "--device", args.adapter, "--json"])
            adapter = measured["device"]
            mine.append(measured["step"])
            theirs.append(timed(step, args.device))
        report(f"step of {args.preset}, {args.batch} x {args.crop}", mine, theirs)

    torch_device = torch.cuda.get_device_name() if args.device == "cuda" else f"CPU, {args.threads} threads"
    if args.record:
        head = {
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "load": round(os.getloadavg()[0], 1),
            "adapter": adapter,
            "pytorch": f"{torch.__version__} on {torch_device}{', TF32' if args.tf32 else ''}",
        }
        lines = ",\n".join("    " + json.dumps(result) for result in results)
        text = json.dumps(head, indent=2)[:-2] + f',\n  "rows": [\n{lines}\n  ]\n}}\n'
        args.record.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
