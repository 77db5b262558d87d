"""Makes reference.json: logits and embeddings of our AlexNets as PyTorch computes them.

Weights and pixels are recipes (Philox4x32-10 and a multiplicative hash), computed here in numpy and in the tests in
TypeScript, so only the results are kept. Needs torch, torchvision and numpy (Debian: python3-torchvision).

    /usr/bin/python3 test/reference/model/make-reference.py

With arguments it is a tool of the tests: `torchvision-logits OUT.pth PIXELS.u8 COUNT` saves torchvision's alexnet()
with default random weights and prints the logits of (COUNT, 224, 224, 3) uint8 pixels as JSON;
`torchvision-load WEIGHTS.safetensors PIXELS.u8 COUNT` loads the weights into alexnet() with strict=True and prints the
same of them.
"""

import json
import math
import pathlib
import sys

import numpy as np
import torch
from torch import nn

SEED = 20120930
IMAGES = 2
NAMES = ("alexnet-2012", "alexnet-owt", "alexnet-small")


def philox(counters, stream, purpose, seed):
    """(n) block numbers -> (n, 4) uint32, counter = (block, 0, stream, purpose)."""
    m0, m1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0 = counters.astype(np.uint64)
    c1 = np.zeros_like(c0)
    c2 = np.full_like(c0, stream)
    c3 = np.full_like(c0, purpose)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = m0 * c0, m1 * c2
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ np.uint64(k0), p1 & low, (p0 >> shift) ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def uniform(count, stream, seed):
    """(count) float64 in (0, 1)."""
    words = philox(np.arange((count + 3) // 4), stream, 1, seed).reshape(-1)[:count]
    return (words.astype(np.float64) + 0.5) / 2.0**32


def normal_quantile(u):
    """AS 241 (Wichura 1988), PPND16, in numpy."""
    q = u - 0.5
    r = 0.180625 - q * q
    a = [3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
         4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3]
    b = [1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
         3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3]
    c = [1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
         1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4]
    d = [1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
         1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9]
    e = [6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 2.96560571828504891230e-1,
         2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7]
    f = [1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
         7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15]

    def horner(coefficients, x):
        value = np.zeros_like(x)
        for coefficient in reversed(coefficients):
            value = value * x + coefficient
        return value

    centre = q * horner(a, r) / horner(b, r)
    t = np.sqrt(-np.log(np.minimum(u, 1 - u)))
    far = np.copysign(horner(e, t - 5) / horner(f, t - 5), q)
    tail = np.copysign(horner(c, t - 1.6) / horner(d, t - 1.6), q)
    return np.where(np.abs(q) <= 0.425, centre, np.where(t > 5, far, tail))


class Builder:
    def __init__(self, seed):
        self.seed, self.stream = seed, 0

    def fill(self, module, weight, bias):
        """weight: a standard deviation, "he" or "torch"; bias: a constant or "torch"."""
        fan_in = math.prod(module.weight.shape[1:])
        u = uniform(module.weight.numel(), self.stream, self.seed)
        if weight == "torch":
            values = (2 * u - 1) * (1 / math.sqrt(fan_in))
        else:
            values = (math.sqrt(2 / fan_in) if weight == "he" else weight) * normal_quantile(u)
        bias_values = bias
        if bias == "torch":
            bias_values = (2 * uniform(module.bias.numel(), self.stream + 1, self.seed) - 1) * (1 / math.sqrt(fan_in))
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(values.astype(np.float32)).reshape(module.weight.shape))
            module.bias.copy_(torch.as_tensor(bias_values, dtype=torch.float32).expand(module.bias.shape))
        self.stream += 2
        return module


def alexnet_2012(seed):
    fill = Builder(seed).fill
    lrn = lambda: nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)
    pool = lambda: nn.MaxPool2d(3, 2)
    return nn.Sequential(
        fill(nn.Conv2d(3, 96, 11, 4), 0.01, 0.0), nn.ReLU(), lrn(), pool(),
        fill(nn.Conv2d(96, 256, 5, padding=2, groups=2), 0.01, 1.0), nn.ReLU(), lrn(), pool(),
        fill(nn.Conv2d(256, 384, 3, padding=1), 0.01, 0.0), nn.ReLU(),
        fill(nn.Conv2d(384, 384, 3, padding=1, groups=2), 0.01, 1.0), nn.ReLU(),
        fill(nn.Conv2d(384, 256, 3, padding=1, groups=2), 0.01, 1.0), nn.ReLU(), pool(),
        nn.Flatten(),
        fill(nn.Linear(9216, 4096), 0.01, 1.0), nn.ReLU(), nn.Dropout(),
        fill(nn.Linear(4096, 4096), 0.01, 1.0), nn.ReLU(), nn.Dropout(),
        fill(nn.Linear(4096, 1000), 0.01, 0.0),
    )


def alexnet_owt(seed):
    from torchvision.models import alexnet

    model, fill = alexnet(), Builder(seed).fill
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fill(module, "torch", "torch")
    return nn.Sequential(model.features, model.avgpool, nn.Flatten(), *model.classifier)


def alexnet_small(seed):
    fill = Builder(seed).fill
    pool = lambda: nn.MaxPool2d(3, 2)
    return nn.Sequential(
        fill(nn.Conv2d(3, 16, 5, 2, 2), "he", 0.0), nn.ReLU(), pool(),
        fill(nn.Conv2d(16, 48, 5, padding=2), "he", 0.0), nn.ReLU(), pool(),
        fill(nn.Conv2d(48, 96, 3, padding=1), "he", 0.0), nn.ReLU(),
        fill(nn.Conv2d(96, 64, 3, padding=1), "he", 0.0), nn.ReLU(),
        fill(nn.Conv2d(64, 64, 3, padding=1), "he", 0.0), nn.ReLU(), pool(),
        nn.Flatten(),
        nn.Dropout(), fill(nn.Linear(576, 1024), "he", 0.0), nn.ReLU(),
        nn.Dropout(), fill(nn.Linear(1024, 1024), "he", 0.0), nn.ReLU(),
        fill(nn.Linear(1024, 10), "he", 0.0),
    )


SMALL_NORM = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET_NORM = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MODELS = {
    "alexnet-2012": (alexnet_2012, 227, 1.0, ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))),
    "alexnet-owt": (alexnet_owt, 224, 1 / 255, IMAGENET_NORM),
    "alexnet-small": (alexnet_small, 64, 1 / 255, SMALL_NORM),
}


def pixels(count, size):
    """(count, size, size, 3) uint8: blocks of 8x8 pixels with hashed colours."""
    n, y, x, c = np.meshgrid(*(np.arange(k, dtype=np.uint64) for k in (count, size, size, 3)), indexing="ij")
    index = ((n * 64 + y // 8) * 64 + x // 8) * 3 + c
    return ((index * np.uint64(2654435761) % np.uint64(2**32)) >> np.uint64(24)).astype(np.uint8)


def normalise(images, scale, norm):
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in norm)
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() * scale - mean) / std


def round_all(tensor):
    return [[float(f"{value:.8g}") for value in row] for row in tensor.tolist()]


def reference(name):
    build, size, scale, norm = MODELS[name]
    model = build(SEED).eval()
    with torch.no_grad():
        batch = normalise(pixels(IMAGES, size), scale, norm)
        embedding = model[:-1](batch)
        logits = model[-1](embedding)
    parameters = list(model.parameters())
    return {
        "seed": SEED,
        "size": size,
        "classes": logits.shape[1],
        "firstWeights": [float(f"{value:.9g}") for value in parameters[0].flatten()[:4].tolist()],
        "lastWeights": [float(f"{value:.9g}") for value in parameters[-2].flatten()[-4:].tolist()],
        "logits": round_all(logits),
        "embedding": round_all(embedding[:, :16]),
    }


def torchvision_logits(path, pixel_file, count):
    from torchvision.models import alexnet

    torch.manual_seed(7)
    model = alexnet().eval()
    torch.save(model.state_dict(), path)
    images = np.fromfile(pixel_file, np.uint8).reshape(count, 224, 224, 3)
    with torch.no_grad():
        print(json.dumps(model(normalise(images, 1 / 255, IMAGENET_NORM)).tolist()))


def read_safetensors(path):
    """The format by its definition (8 bytes of header length, JSON, data): Debian has no package for it."""
    data = pathlib.Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32", (name, entry["dtype"])
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data, "<f4", (end - begin) // 4, start + begin)
        tensors[name] = torch.from_numpy(values.reshape(entry["shape"]).copy())
    return tensors


def torchvision_load(path, pixel_file, count):
    from torchvision.models import alexnet

    weights = read_safetensors(path)
    model = alexnet(num_classes=weights["classifier.6.bias"].numel()).eval()
    model.load_state_dict(weights, strict=True)
    images = np.fromfile(pixel_file, np.uint8).reshape(count, 224, 224, 3)
    with torch.no_grad():
        print(json.dumps(model(normalise(images, 1 / 255, IMAGENET_NORM)).tolist()))


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] == "torchvision-logits":
        torchvision_logits(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif len(sys.argv) == 5 and sys.argv[1] == "torchvision-load":
        torchvision_load(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        result = {name: reference(name) for name in NAMES}
        target = pathlib.Path(__file__).with_name("reference.json")
        target.write_text(json.dumps(result, separators=(",", ":")) + "\n")
