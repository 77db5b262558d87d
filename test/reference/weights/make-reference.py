#!/usr/bin/env python3
"""Makes the PyTorch reference files of this folder, and expected.json with what they hold as float32.

Needs torch (made with 1.13.0 of Debian 12, python3-torch). Usage: python3 make-reference.py
"""
import collections
import json
import math
import pathlib

import torch

HERE = pathlib.Path(__file__).parent
expected = {}


def listed(value):
    """A float32 value as JSON holds it."""
    if math.isnan(value):
        return 'nan'
    if math.isinf(value):
        return 'inf' if value > 0 else '-inf'
    return value


def write(name, obj, tensors, **options):
    for suffix, zipped in (('zip', True), ('legacy', False)):
        path = f'{name}.{suffix}.pth'
        torch.save(obj, HERE / path, _use_new_zipfile_serialization=zipped, **options)
        if tensors is None:
            continue
        expected[path] = {
            key: {
                'shape': list(tensor.shape),
                'data': [listed(x) for x in tensor.detach().float().contiguous().flatten().tolist()],
            }
            for key, tensor in tensors.items()
        }


class Reduced:
    """Pickles as a call, the way PyTorch before 0.4 under Python 2 did."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce_ex__(self, protocol):
        return self.reduced


torch.manual_seed(0)

values = torch.tensor([0.0, -0.0, 1.0, -1.5, 1 / 3, 65504.0, 6e-8, 3e-5, 1e30, math.inf, -math.inf, math.nan])
integers = torch.tensor([0, 1, -1, 127, -128, 100])
dtypes = {
    'float32': values,
    'float16': values.half(),
    'bfloat16': values.bfloat16(),
    'float64': values.double() / 3,
    'int64': torch.cat([integers, torch.tensor([2**40 + 1, -(2**53)])]),
    'int32': torch.cat([integers, torch.tensor([2**31 - 1])]).int(),
    'int16': torch.cat([integers, torch.tensor([-32768])]).short(),
    'int8': integers.char(),
    'uint8': torch.tensor([0, 1, 255]).byte(),
    'bool': torch.tensor([True, False, True]),
}
write('dtypes', dtypes, dtypes)
write('protocol4', dtypes, dtypes, pickle_protocol=4)

base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
halves = torch.arange(12, dtype=torch.float32).half().reshape(3, 4)
views = {
    'whole': base,
    'permuted': base.permute(2, 0, 1),
    'transposed_half': halves.t(),
    'every_second': base[:, :, ::2],
    'row': base[1, 2],
    'column': base[:, 1, 3],
    'tail_half': halves[2],
    'expanded': base[0, 0, 1:2].expand(3, 5),
    'scalar': base[1, 1, 1],
    'empty': base[:0],
    'unit_axis': base[0:1].transpose(0, 1),
    'same_again': base,
}
write('views', views, views)

model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
write('module', model.state_dict(), model.state_dict())
parameters = dict(model.named_parameters())
write('parameters', parameters, parameters)

optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for parameter in model.parameters():
    parameter.grad = torch.ones_like(parameter)
optimizer.step()
wrapped = collections.OrderedDict((f'module.{key}', value) for key, value in model.state_dict().items())
checkpoint = {
    'epoch': 3,
    'arch': 'small',
    'best_acc1': 0.25,
    'rng_state': torch.zeros(5, dtype=torch.uint8),
    'state_dict': wrapped,
    'optimizer': optimizer.state_dict(),
    'size': torch.Size([1, 2]),
    'dtype': torch.float16,
    'device': torch.device('cuda', 0),
    'big': 2**70,
    'negative': -(2**40),
}
write('checkpoint', checkpoint, model.state_dict())

weight, bias = torch.randn(2, 3), torch.randn(3)
rebuilt = Reduced(torch._utils._rebuild_tensor, (weight.storage(), 0, (2, 3), (3, 1)))
parameter = Reduced(
    torch.nn.parameter.Parameter, (bias,), (True, False, collections.OrderedDict())
)
pairs = Reduced(collections.OrderedDict, ([['features.0.weight', rebuilt], ['features.0.bias', parameter]],))
write('ancient', pairs, {'features.0.weight': weight, 'features.0.bias': bias})

# Refused: complex numbers, a whole model, a TorchScript program.
write('refused-complex', {'weight': torch.ones(2, dtype=torch.complex64)}, None)
torch.save(torch.nn.Linear(2, 1), HERE / 'refused-model.zip.pth')
torch.jit.script(torch.nn.Linear(2, 1)).save(HERE / 'refused-torchscript.pt')

(HERE / 'expected.json').write_text(json.dumps(expected, separators=(',', ':')) + '\n')
