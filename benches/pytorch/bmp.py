"""One training step of BMP in PyTorch, eager and as plainly as the method is written: what `tagseg bench` is held against.

Network, label-making passes, PAR in the form of the official release (neighbours by dilated one-hot convolutions, image by
image, the colour weights anew for each run), BSP, the four losses, backward, AdamW. Numbers in comments are sections of the
method's specification.
"""

import torch
import torch.nn.functional as F
from torch import nn

# What `tagseg bench` runs by these presets: encoder, channels of the decoder, scales of the label-making passes.
PRESETS = {
    "nano": dict(encoder=lambda: MixTransformer([16, 32, 64, 96], [1, 2, 4, 8], [1, 1, 1, 2]), embed=64),
    "voc": dict(encoder=lambda: MixTransformer([64, 128, 320, 512], [1, 2, 5, 8], [2, 2, 2, 2]), embed=256),
    "photos": dict(encoder=lambda: EfficientNetLite0(), embed=256, scales=(1.0,)),
}
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def resize(x, size, align_corners=False):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def drop_path(x, rate, training):
    if not training or rate == 0:
        return x
    keep = 1 - rate
    return x * torch.floor(keep + torch.rand(x.shape[0], 1, 1, device=x.device)) / keep


class Block(nn.Module):
    """Attention with reduced keys and mix-FFN (1.3)."""

    def __init__(self, channels, heads, reduction, rate):
        super().__init__()
        self.heads, self.rate = heads, rate
        self.norm1, self.norm2 = nn.LayerNorm(channels, eps=1e-6), nn.LayerNorm(channels, eps=1e-6)
        self.q, self.kv = nn.Linear(channels, channels), nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.sr = nn.Conv2d(channels, channels, reduction, reduction) if reduction > 1 else None
        self.norm = nn.LayerNorm(channels) if reduction > 1 else None
        self.fc1, self.fc2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.dwconv = nn.Conv2d(4 * channels, 4 * channels, 3, padding=1, groups=4 * channels)

    def attend(self, x, grid):
        batch, tokens, channels = x.shape
        source = x
        if self.sr is not None:
            image = self.sr(x.transpose(1, 2).reshape(batch, channels, *grid))
            source = self.norm(image.flatten(2).transpose(1, 2))
        split = lambda t: t.reshape(batch, -1, self.heads, channels // self.heads).transpose(1, 2)
        key, value = self.kv(source).chunk(2, dim=-1)
        scores = split(self.q(x)) @ split(key).transpose(2, 3)
        mixed = (scores * (channels // self.heads) ** -0.5).softmax(-1) @ split(value)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, channels)), scores

    def forward(self, x, grid):
        attended, scores = self.attend(self.norm1(x), grid)
        x = x + drop_path(attended, self.rate, self.training)
        hidden = self.fc1(self.norm2(x))
        image = self.dwconv(hidden.transpose(1, 2).reshape(x.shape[0], -1, *grid))
        mixed = self.fc2(F.gelu(image.flatten(2).transpose(1, 2)))
        return x + drop_path(mixed, self.rate, self.training), scores


class MixTransformer(nn.Module):
    """MiT (1.1 to 1.6): the features of four stages, and the raw attention maps of the last two blocks."""

    def __init__(self, dims, heads, depths):
        super().__init__()
        self.dims, self.maps = dims, 2 * heads[3]
        rates = torch.linspace(0, 0.1, sum(depths)).tolist()
        inputs, kernels, strides = [3] + dims[:3], [7, 3, 3, 3], [4, 2, 2, 1]
        conv = lambda i: nn.Conv2d(inputs[i], dims[i], kernels[i], strides[i], kernels[i] // 2)
        self.patch = nn.ModuleList(conv(i) for i in range(4))
        self.patch_norm = nn.ModuleList(nn.LayerNorm(d) for d in dims)
        block = lambda i, j: Block(dims[i], heads[i], [8, 4, 2, 1][i], rates[sum(depths[:i]) + j])
        self.blocks = nn.ModuleList(nn.ModuleList(block(i, j) for j in range(depths[i])) for i in range(4))
        self.norms = nn.ModuleList(nn.LayerNorm(d, eps=1e-6) for d in dims)

    def forward(self, image):
        x, features, maps = image, [], []
        for stage in range(4):
            x = self.patch[stage](x)
            grid = x.shape[2:]
            x = self.patch_norm[stage](x.flatten(2).transpose(1, 2))
            for block in self.blocks[stage]:
                x, scores = block(x, grid)
                if stage == 3:
                    maps.append(scores)
            x = self.norms[stage](x).transpose(1, 2).reshape(image.shape[0], -1, *grid)
            features.append(x)
        return features, torch.cat(maps[-2:], dim=1)


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, and the bias of a frozen norm that is folded into it (1.7)."""

    def __init__(self, inputs, outputs, kernel, stride=1, dilation=1, groups=1):
        span = (kernel - 1) * dilation + 1
        # Even extents: with stride 2, the zeros behind are one more than those in front.
        self.behind = span // 2 if stride == 2 else 0
        super().__init__(inputs, outputs, kernel, stride, 0 if self.behind else span // 2, dilation, groups)

    def forward(self, x):
        front = self.behind - 1
        return super().forward(F.pad(x, [front, self.behind] * 2) if self.behind else x)


class MBConv(nn.Module):
    def __init__(self, inputs, expansion, kernel, outputs, stride, dilation):
        super().__init__()
        hidden = inputs * expansion
        self.expand = SameConv(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = SameConv(hidden, hidden, kernel, stride, dilation, hidden)
        self.project = SameConv(hidden, outputs, 1)
        self.expands, self.adds = expansion > 1, stride == 1 and inputs == outputs

    def forward(self, x):
        y = F.relu6(self.expand(x)) if self.expands else x
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 (1.7) with all norms folded and the first level frozen; no attention maps."""

    def __init__(self):
        super().__init__()
        self.dims, self.maps = [24, 40, 112, 320], 0
        # Expansion, kernel, channels, blocks, stride of the first, dilation of the first and of the others.
        stages = [(1, 3, 16, 1, 1, 1, 1), (6, 3, 24, 2, 2, 1, 1), (6, 5, 40, 2, 2, 1, 1), (6, 3, 80, 3, 2, 1, 1)]
        stages += [(6, 5, 112, 3, 1, 1, 1), (6, 5, 192, 4, 1, 1, 2), (6, 3, 320, 1, 1, 2, 2)]
        self.stem, inputs, self.stages = SameConv(3, 32, 3, 2), 32, nn.ModuleList()
        for expansion, kernel, channels, blocks, stride, first, others in stages:
            stage = nn.Sequential()
            for index in range(blocks):
                place = (stride, first) if index == 0 else (1, others)
                stage.append(MBConv(inputs, expansion, kernel, channels, *place))
                inputs = channels
            self.stages.append(stage)
        for part in (self.stem, *self.stages[:2]):
            part.requires_grad_(False)

    def forward(self, image):
        x = F.relu6(self.stem(image.contiguous(memory_format=torch.channels_last)))
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return [outputs[index] for index in (1, 2, 4, 6)], None


class Network(nn.Module):
    """Encoder, heads, object-aware decoding (1, 2)."""

    def __init__(self, encoder, embed, classes):
        super().__init__()
        self.encoder, dims = encoder, encoder.dims
        self.linears = nn.ModuleList(nn.Linear(dims[i], embed) for i in (3, 2, 1, 0))
        self.fuse = nn.Conv2d(4 * embed, embed, 1, bias=False)
        self.batch_norm, self.drop = nn.BatchNorm2d(embed), nn.Dropout2d(0.1)
        self.predict = nn.Conv2d(embed, classes + 1, 1)
        self.attn_proj = nn.Conv2d(encoder.maps, 1, 1) if encoder.maps else None
        self.classifier = nn.Conv2d(dims[3], classes, 1, bias=False)

    def forward(self, image):
        size, affinity = image.shape[2:], None
        features, maps = self.encoder(image)
        if maps is not None:
            affinity = self.attn_proj(maps + maps.transpose(2, 3)).squeeze(1).sigmoid()
        cls = self.classifier(F.adaptive_max_pool2d(features[3], 1)).flatten(1)
        cam = resize(self.classifier(features[3]), size)
        prior = cam.detach().sigmoid().max(dim=1, keepdim=True).values
        levels = []
        for linear, x in zip(self.linears, reversed(features)):
            x = x * resize(prior, x.shape[2:])
            x = linear(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])
            levels.append(resize(x, features[0].shape[2:]))
        fused = F.relu(self.batch_norm(self.fuse(torch.cat(levels, dim=1))))
        return cls, resize(self.predict(self.drop(fused)), size), affinity, cam


class Par(nn.Module):
    """Pixel-adaptive refinement as released (4.1)."""

    def __init__(self, dilations=(1, 2, 4, 8, 12, 24), iterations=10, w1=0.3, w2=0.01):
        super().__init__()
        self.dilations, self.iterations, self.w1, self.w2 = dilations, iterations, w1, w2
        kernel = torch.zeros(8, 1, 3, 3)
        for index, place in enumerate([0, 1, 2, 3, 5, 6, 7, 8]):
            kernel[index, 0, place // 3, place % 3] = 1
        self.register_buffer("kernel", kernel)
        ring = torch.tensor([2**0.5, 1, 2**0.5, 1, 1, 2**0.5, 1, 2**0.5])
        distance = torch.cat([ring * d for d in dilations]).reshape(1, 1, -1, 1, 1)
        self.register_buffer("position", -((distance / (distance.std(2, keepdim=True) + 1e-8) / w1) ** 2))

    def neighbours(self, x):
        batch, channels, height, width = x.shape
        flat, rings = x.reshape(-1, 1, height, width), []
        for d in self.dilations:
            padded = F.pad(flat, [d] * 4, mode="replicate")
            rings.append(F.conv2d(padded, self.kernel, dilation=d).reshape(batch, channels, 8, height, width))
        return torch.cat(rings, dim=2)

    @torch.no_grad()
    def forward(self, image, masks):
        masks = resize(masks, image.shape[2:], align_corners=True)
        around = self.neighbours(image)
        delta, spread = (around - image.unsqueeze(2)).abs(), around.std(2, keepdim=True)
        colour = (-((delta / (spread + 1e-8) / self.w1) ** 2)).mean(1, keepdim=True)
        weights = colour.softmax(2) + self.w2 * self.position.softmax(2)
        for _ in range(self.iterations):
            masks = (self.neighbours(masks) * weights).sum(2)
        return masks


def norm01(x):
    x = x - x.amin((2, 3), keepdim=True)
    return x / (x.amax((2, 3), keepdim=True) + 1e-5)


class Step:
    """A training step of the last phase; calling it runs one."""

    def __init__(self, preset, classes, batch, crop, tags, device, replica=2):
        torch.manual_seed(1)
        sizes = PRESETS[preset]
        self.scales, frozen_norms = sizes.get("scales", (1.0, 0.5, 1.5)), preset == "voc"
        self.network = Network(sizes["encoder"](), sizes["embed"], classes).to(device).train()
        self.par = Par().to(device)
        self.batch, self.crop, self.classes, self.tags = batch, crop, classes, tags
        self.replica, self.device = replica, device
        named = list(self.network.named_parameters())
        norms = [p for name, p in named if "norm" in name and "batch_norm" not in name]
        for parameter in norms:
            parameter.requires_grad_(not frozen_norms)
        others = [p for name, p in named if "norm" not in name or "batch_norm" in name]
        self.parameters = [p for p in norms + others if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.parameters, lr=1e-9, weight_decay=0.01)
        index = torch.arange(batch * 3 * crop * crop)
        self.image = ((index * 7919 % 1009).float() / 300).reshape(batch, 3, crop, crop).to(device)
        self.label = torch.zeros(batch, classes, device=device)
        self.label[:, :tags] = 1
        channel = lambda values: torch.tensor(values, device=device).reshape(1, 3, 1, 1)
        self.mean, self.std = channel(MEAN), channel(STD)
        side = crop // 16
        place = torch.arange(side * side, device=device)
        y, x = place // side, place % side
        apart = torch.maximum((y[:, None] - y[None]).abs(), (x[:, None] - x[None]).abs())
        self.near = apart <= 8

    def valid(self, b):
        """Background and the classes that image `b` is tagged with (4.3)."""
        return torch.cat([torch.ones(1, device=self.device), self.label[b]]).nonzero().flatten()

    @torch.no_grad()
    def seeds(self):
        size, cams, segs = self.image.shape[2:], 0, 0
        for scale in self.scales:
            image = self.image if scale == 1.0 else resize(self.image, [int(scale * s) for s in size])
            _, seg, _, cam = self.network(torch.cat([image, image.flip(3)]))
            cam, seg = resize(cam, size), resize(seg, size)
            cams = cams + torch.maximum(cam[: self.batch], cam[self.batch :].flip(3)).relu()
            segs = segs + (seg[: self.batch] + seg[self.batch :].flip(3)) / 2
        return norm01(cams), norm01(segs)

    @torch.no_grad()
    def fixed_threshold_label(self, cams, picture):
        half = [s // 2 for s in cams.shape[2:]]
        small, sides = resize(picture, half), []
        for background in (0.55, 0.35):
            scores = resize(torch.cat([torch.full_like(cams[:, :1], background), cams], dim=1), half)
            labels = []
            for b in range(self.batch):
                valid = self.valid(b)
                refined = self.par(small[b : b + 1], scores[b : b + 1, valid].softmax(1))
                labels.append(valid[resize(refined, cams.shape[2:]).argmax(1)])
            sides.append(torch.cat(labels))
        high, low = sides
        label = torch.where(high == 0, torch.full_like(high, 255), high)
        return torch.where(high + low == 0, torch.zeros_like(high), label)

    @torch.no_grad()
    def propagated_label(self, cams, background, picture):
        scores = torch.cat([background, cams], dim=1)
        half, labels = [s // 2 for s in cams.shape[2:]], []
        for b in range(self.batch):
            valid = self.valid(b)
            refined = self.par(resize(picture[b : b + 1], half), scores[b : b + 1, valid])
            whole = torch.zeros_like(scores[b : b + 1])
            whole[:, valid] = resize(refined, cams.shape[2:])
            best, label = whole.max(1)
            labels.append(torch.where(best < 0.5, torch.full_like(label, 255), label))
        return torch.cat(labels)

    def affinity_loss(self, affinity, y_par):
        """The mean over groups of replicas (6.3)."""
        side = self.crop // 16
        cells = F.interpolate(y_par[:, None].float(), size=(side, side), mode="nearest").flatten(1)
        pairs = (cells[:, :, None] == cells[:, None]).long()
        pairs[(~self.near).expand_as(pairs) | (cells[:, :, None] == 255) | (cells[:, None] == 255)] = 255
        losses = []
        for part in self.groups():
            same, other = (pairs[part] == 1).float(), (pairs[part] == 0).float()
            loss = ((1 - affinity[part]) * same).sum() / (same.sum() + 1)
            losses.append(loss + (affinity[part] * other).sum() / (other.sum() + 1))
        return 0.5 * torch.stack(losses).mean()

    def groups(self):
        return [slice(first, first + self.replica) for first in range(0, self.batch, self.replica)]

    def losses(self, cls, seg, cam, y_c, y_s):
        total, groups = F.multilabel_soft_margin_loss(cls, self.label), self.groups()
        for part in groups:
            counts = y_c[part] != 255
            target = F.one_hot(y_c[part][counts], self.classes + 1).float()
            logits = seg[part].permute(0, 2, 3, 1)[counts]
            c2s = F.multilabel_soft_margin_loss(logits, target) if len(target) else seg.sum() * 0
            s2c = F.cross_entropy(cam[part], y_s[part] - 1, ignore_index=254, reduction="sum")
            s2c = s2c / (y_s[part] != 255).sum().clamp(min=1)
            total = total + (0.7 * c2s + 0.1 * s2c) / len(groups)
        return total

    def __call__(self):
        cls, seg, affinity, cam = self.network(self.image)
        cams, segs = self.seeds()
        with torch.no_grad():
            picture = (self.image * self.std + self.mean).to(torch.uint8).float() / 255
        y_c = self.propagated_label(cams, segs[:, :1], picture)
        best, y_s = seg.detach().max(1)
        y_s = torch.where((best < 0.75) | (y_s == 0), torch.full_like(y_s, 255), y_s)
        total = self.losses(cls, seg, cam, y_c, y_s)
        if affinity is not None:
            total = total + 0.1 * self.affinity_loss(affinity, self.fixed_threshold_label(cams, picture))
        self.optimiser.zero_grad()
        total.backward()
        self.optimiser.step()
        return total
