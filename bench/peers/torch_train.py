"""Trains torchvision's AlexNet on random pixels.

Arguments: batch size, steps, warm-up steps, threads, classes; then a device, cpu where it is left out.
"""

import json
import sys
import time

import torch
from torchvision.models import alexnet

batch_size, steps, warm_up, threads, classes = map(int, sys.argv[1:6])
device = torch.device(sys.argv[6] if len(sys.argv) > 6 else "cpu")
# What TensorFlow does by default as well.
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.allow_tf32 = True
torch.backends.cudnn.benchmark = True
torch.set_num_threads(threads)
torch.manual_seed(0)
model = alexnet(num_classes=classes).train().to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
criterion = torch.nn.CrossEntropyLoss()
images = torch.randint(0, 256, (batch_size, 3, 224, 224), dtype=torch.uint8)
labels = (torch.arange(batch_size) % classes).to(device)
mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1).to(device)
std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1).to(device)


def step():
    pixels = images.to(device).float().div_(255).sub_(mean).div_(std)
    optimizer.zero_grad(set_to_none=True)
    loss = criterion(model(pixels), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


for _ in range(warm_up):
    step()
started = time.perf_counter()
for _ in range(steps):
    loss = step()
seconds = time.perf_counter() - started
print(json.dumps({"images": batch_size * steps, "seconds": seconds, "loss": loss, "torch": torch.__version__}))
