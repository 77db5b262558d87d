"""Makes the small ONNX files in onnx/, as torch.onnx exports them, and what PyTorch computes with them.

    /usr/bin/python3 test/reference/model/make-onnx-models.py

Needs Debian's python3-torch. Every net takes 16x16 pixels, normalised as ImageNet's, and knows 6 classes.
"""

import json
import pathlib

import numpy as np
import torch
from torch import nn

SIZE, CLASSES, IMAGES = 16, 6, 3
HERE = pathlib.Path(__file__).parent


class Net(nn.Module):
    """Convolution, batch norm, global pooling by a mean, dropout, two linear layers."""

    def __init__(self, probabilities=False, channels_last=False):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.hidden = nn.Linear(8, 5)
        self.drop = nn.Dropout()
        self.last = nn.Linear(5, CLASSES)
        self.probabilities, self.channels_last = probabilities, channels_last

    def forward(self, x):
        if self.channels_last:
            x = x.permute(0, 3, 1, 2)
        x = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        x = self.last(self.drop(torch.relu(self.hidden(x))))
        return torch.softmax(x, 1) if self.probabilities else x


class FullyConvolutional(nn.Module):
    """SqueezeNet's ending: scores from a 1x1 convolution and an average, left as (N, C, 1, 1)."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, CLASSES, 1), nn.AdaptiveAvgPool2d(1))

    def forward(self, x):
        return self.body(x)


class Matmul(nn.Module):
    """Scores from MatMul + Add instead of Gemm, in three dimensions until the end."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(3, CLASSES)

    def forward(self, x):
        return self.last(x.mean((2, 3)).unsqueeze(1) * 2).reshape(-1, CLASSES)


def pixels():
    index = np.arange(IMAGES * SIZE * SIZE * 3, dtype=np.uint64)
    flat = (index * np.uint64(2654435761) % np.uint64(2**32)) >> np.uint64(24)
    return flat.astype(np.uint8).reshape(IMAGES, SIZE, SIZE, 3)


def normalised():
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (torch.from_numpy(pixels()).float() / 255 - mean) / std


CASES = {
    "nchw-dynamic-logits-17": dict(net=Net(), opset=17, dynamic=True),
    "nchw-fixed-probabilities-11": dict(net=Net(probabilities=True), opset=11, batch=2),
    "nhwc-dynamic-probabilities-13": dict(net=Net(probabilities=True, channels_last=True), opset=13, dynamic=True, nhwc=True),
    "nchw-inputs-as-initializers-9": dict(net=Net(), opset=9, dynamic=True, keep=True),
    "convolutional-12": dict(net=FullyConvolutional(), opset=12, dynamic=True),
    "matmul-9": dict(net=Matmul(), opset=9, dynamic=True),
}


def main():
    torch.manual_seed(5)
    (HERE / "onnx").mkdir(exist_ok=True)
    results = {}
    for name, case in CASES.items():
        net = case["net"].eval()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(torch.randn_like(parameter))
            batch = normalised()
            if not case.get("nhwc"):
                batch = batch.permute(0, 3, 1, 2).contiguous()
            scores = net(batch).reshape(IMAGES, CLASSES)
        example = batch[: case.get("batch", 1)]
        torch.onnx.export(
            net,
            example,
            str(HERE / "onnx" / f"{name}.onnx"),
            opset_version=case["opset"],
            input_names=["images"],
            output_names=["scores"],
            keep_initializers_as_inputs=case.get("keep", False),
            dynamic_axes={"images": {0: "n"}, "scores": {0: "n"}} if case.get("dynamic") else None,
        )
        results[name] = [[float(f"{value:.8g}") for value in row] for row in scores.tolist()]
    (HERE / "onnx" / "scores.json").write_text(json.dumps(results, indent=1) + "\n")


main()
