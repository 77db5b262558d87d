"""Makes <case>.json: what PyTorch computes in float32 for the cases of cases.ts.

Logits, loss and every gradient of the first step, every parameter and momentum buffer after the first and the tenth
step, loss and correct items of every step, and an evaluation after the last. Of a tensor its norm and up to 96 elements
at fixed places are kept. The network is built with torch.nn from its description, trained by torch.optim.SGD; weights,
images and dropout masks are recipes in TypeScript. Needs Node, torch and numpy (Debian: python3-torch).

    /usr/bin/python3 test/reference/training/make-reference.py [NAME ...]

Among millions of ReLUs and pooling windows there is often one whose decision hangs on the last bits of a float32, and
moves gradients by a percent: no two programs agree on it. So shadows train along, whose activations are disturbed a
little, in pairs to opposite sides, and every step takes the first of several batches for which all have the same
gradients; which one is in `variants`.

`--into FOLDER INPUTS` before the names writes the results to FOLDER, from inputs that are in INPUTS already.
"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from torch import nn
from torch.nn import functional

HERE = pathlib.Path(__file__).parent
SAMPLES = 96
# What shadows add to the sums of a layer, or take from them, as a part of their size: several times what rounding does.
NOISE = 2.0**-19
SHADOW_PAIRS = 2
# How far the gradients of a shadow may be from the others.
STABLE = 5e-5


class MaskedDropout(nn.Module):
    mask = None

    def forward(self, x):
        return x if self.mask is None else x * self.mask


def module_of(layer):
    kind = layer["kind"]
    if kind == "conv":
        sizes = [layer["input"][0], layer["out"], layer["kernel"]]
        return nn.Conv2d(*sizes, stride=layer["stride"], padding=layer["pad"], groups=layer["groups"])
    if kind == "linear":
        return nn.Linear(layer["input"][0], layer["out"])
    if kind == "lrn":
        return nn.LocalResponseNorm(layer["size"], alpha=layer["alpha"], beta=layer["beta"], k=layer["k"])
    if kind == "maxPool":
        return nn.MaxPool2d(layer["kernel"], layer["stride"])
    if kind == "adaptiveAvgPool":
        return nn.AdaptiveAvgPool2d(layer["out"])
    return {"relu": nn.ReLU, "tanh": nn.Tanh, "flatten": nn.Flatten, "dropout": MaskedDropout}[kind]()


class Case:
    def __init__(self, folder, name):
        self.spec = json.loads((folder / f"{name}.json").read_text())
        self.modules = [module_of(layer) for layer in self.spec["layers"]]
        self.model = nn.Sequential(*self.modules)
        self.parameters = {}
        for layer, module in zip(self.spec["layers"], self.modules):
            for role, parameter in module.named_parameters():
                self.parameters[f"{layer['path']}.{role}"] = parameter
        self.load_weights(np.fromfile(folder / f"{name}.weights", "<f4"))
        height, width = self.spec["input"]["height"], self.spec["input"]["width"]
        shape = (self.spec["steps"], self.spec["variants"], self.spec["batchSize"], height, width, 3)
        self.images = np.memmap(folder / f"{name}.images", np.uint8, "c").reshape(shape)
        self.masks = np.fromfile(folder / f"{name}.masks", "<f4").reshape(self.spec["steps"], -1)
        self.optimizer = self.make_optimizer()
        self.trained = {key: parameter for key, parameter in self.parameters.items() if parameter.requires_grad}

    def load_weights(self, values):
        assert [entry["name"] for entry in self.spec["parameters"]] == list(self.parameters)
        start = 0
        for parameter in self.parameters.values():
            end = start + parameter.numel()
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(values[start:end]).reshape(parameter.shape))
            start = end
        assert start == len(values)

    def set_masks(self, step):
        """step None: as in evaluation, nothing is dropped."""
        start = 0
        for layer, module in zip(self.spec["layers"], self.modules):
            if layer["kind"] != "dropout":
                continue
            module.mask = None
            if step is not None and layer["probability"] > 0:
                shape = [self.spec["batchSize"], *layer["input"]]
                end = start + int(np.prod(shape))
                module.mask = torch.from_numpy(self.masks[step, start:end]).reshape(shape)
                start = end

    def batch(self, step, variant, augmented=True):
        x = torch.from_numpy(self.images[step, variant]).permute(0, 3, 1, 2).float()
        colour = self.spec["colour"][step]
        if augmented and colour is not None:
            matrices = torch.tensor(colour["matrices"]).reshape(-1, 3, 3)
            shifts = torch.tensor(colour["shifts"]).reshape(-1, 3, 1, 1)
            grey_shifts = torch.tensor(colour["greyShifts"])
            weights = torch.tensor([0.299, 0.587, 0.114])
            grey = torch.einsum("c,nchw->nhw", weights, x).mean(dim=(1, 2))
            x = torch.einsum("nij,njhw->nihw", matrices, x) + (grey_shifts * grey).reshape(-1, 1, 1, 1) + shifts
        preprocessing = self.spec["preprocessing"]
        mean, std = (torch.tensor(preprocessing[key]).reshape(1, 3, 1, 1) for key in ("mean", "std"))
        return (x * preprocessing["scale"] - mean) / std, torch.tensor(self.spec["labels"][step])

    def make_optimizer(self):
        sgd = self.spec["sgd"]
        groups = []
        for entry in self.spec["parameters"]:
            parameter = self.parameters[entry["name"]]
            parameter.requires_grad_(entry["trained"])
            if entry["trained"]:
                rate = sgd["learningRate"] * entry["learningRateFactor"]
                groups.append({"params": [parameter], "lr": rate, "weight_decay": entry["weightDecay"]})
        return torch.optim.SGD(groups, lr=sgd["learningRate"], momentum=sgd["momentum"], nesterov=sgd["nesterov"])


def statistics(logits, labels, label_smoothing):
    loss = functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    ranks = (logits.detach() > logits.detach().gather(1, labels[:, None])).sum(dim=1)
    counts = {"top1": int((ranks < 1).sum()), "top5": int((ranks < 5).sum())}
    return loss, {"lossSum": loss.item() * len(labels), **counts}


def backward(case, step, variant):
    """Leaves gradients in the parameters; logits, and statistics of the batch."""
    images, labels = case.batch(step, variant)
    case.model.zero_grad()
    logits = case.model(images)
    loss, counts = statistics(logits, labels, case.spec["labelSmoothing"])
    loss.backward()
    return logits.detach().clone(), counts


class Shadow(Case):
    """Adds noise of one sign to what every layer sums up or normalises; its pair takes the same away."""

    def __init__(self, folder, name, pair, sign):
        super().__init__(folder, name)
        self.pair, self.sign, self.generator = pair, sign, torch.Generator()
        for module in self.modules:
            if isinstance(module, (nn.Conv2d, nn.Linear, nn.LocalResponseNorm)):
                module.register_forward_hook(self.add_noise)

    def add_noise(self, module, inputs, output):
        signs = 2 * torch.randint(2, output.shape, generator=self.generator) - 1
        return output + self.sign * NOISE * output.detach().square().mean().sqrt() * signs

    def begin(self, step, variant):
        self.generator.manual_seed((step * self.spec["variants"] + variant) * SHADOW_PAIRS + self.pair)


def distance(actual, expected):
    return ((actual - expected).norm() / expected.norm().clamp(min=1e-30)).item()


def stable_backward(case, shadows, step, variant):
    """Results of a batch whose gradients, which stay in the parameters, are those of the shadows as well; else None."""
    results = backward(case, step, variant)
    for shadow in shadows:
        shadow.begin(step, variant)
        backward(shadow, step, variant)
        for expected, disturbed in zip(case.trained.values(), shadow.trained.values()):
            pair = disturbed.grad, expected.grad
            if max(distance(*pair), distance(*map(sample, pair))) > STABLE:
                return None
    return results


def train(folder, name):
    """All tensors by name, and the statistics of every step and of the evaluation."""
    case = Case(folder, name)
    shadows = [Shadow(folder, name, pair, sign) for pair in range(SHADOW_PAIRS) for sign in (1, -1)]
    tensors, steps, variants = {}, [], []
    last = case.spec["steps"] - 1
    for step in range(case.spec["steps"]):
        for each in [case, *shadows]:
            each.set_masks(step)
        tried = ((variant, stable_backward(case, shadows, step, variant)) for variant in range(case.spec["variants"]))
        variant, results = next((entry for entry in tried if entry[1] is not None), (None, None))
        assert variant is not None, f"{name}, step {step}: no batch is stable; raise VARIANTS in cases.ts"
        print(f"{name}, step {step}: batch {variant} is stable", file=sys.stderr)
        logits, counts = results
        if step == 0:
            tensors["logits"] = logits
            tensors.update({f"gradient:{key}": parameter.grad.clone() for key, parameter in case.trained.items()})
        for each in [case, *shadows]:
            each.optimizer.step()
        variants.append(variant)
        steps.append(counts)
        if step in (0, last):
            for key, parameter in case.trained.items():
                tensors[f"weight{step + 1}:{key}"] = parameter.detach().clone()
                tensors[f"velocity{step + 1}:{key}"] = case.optimizer.state[parameter]["momentum_buffer"].clone()
    case.set_masks(None)
    images, labels = case.batch(last, variants[-1], augmented=False)
    with torch.no_grad():
        _, evaluation = statistics(case.model(images), labels, 0.0)
    return tensors, {"variants": variants, "steps": steps, "evaluation": evaluation}


def sample(tensor):
    """Elements at the places of a multiplicative hash; all of them where there are few."""
    values = tensor.detach().flatten()
    if len(values) <= SAMPLES:
        return values
    hashes = (np.arange(1, SAMPLES + 1, dtype=np.uint64) * np.uint64(0x9E3779B1)) % np.uint64(2**32)
    return values[torch.from_numpy(np.floor(hashes / 2.0**32 * len(values)).astype(np.int64))]


def encode(tensor):
    data = base64.b64encode(sample(tensor).to(torch.float32).numpy().astype("<f4").tobytes())
    return {"norm": float(f"{tensor.double().norm().item():.9g}"), "samples": data.decode()}


def reference(folder, name):
    tensors, counts = train(folder, name)
    print(name, "loss", [round(step["lossSum"], 2) for step in counts["steps"]], "batches", counts["variants"])
    return {**counts, "tensors": {key: encode(tensor) for key, tensor in tensors.items()}}


def write_inputs(folder, names):
    subprocess.run(["npx", "tsx", str(HERE / "write-cases.ts"), folder, *names], check=True, cwd=HERE)


def main(arguments):
    torch.set_num_threads(os.cpu_count() or 1)
    target, inputs, names = HERE, None, arguments
    if arguments[:1] == ["--into"]:
        target, inputs, names = pathlib.Path(arguments[1]), pathlib.Path(arguments[2]), arguments[3:]
    with tempfile.TemporaryDirectory() as temporary:
        if inputs is None:
            inputs = pathlib.Path(temporary)
            write_inputs(temporary, names)
        written = []
        for name in names or sorted(path.stem for path in inputs.glob("*.json")):
            written.append(target / f"{name}.json")
            written[-1].write_text(json.dumps(reference(inputs, name), indent=2) + "\n")
    if target == HERE:
        subprocess.run(["npx", "prettier", "--log-level", "warn", "--write", *map(str, written)], check=True, cwd=HERE)


if __name__ == "__main__":
    main(sys.argv[1:])
