"""torchvision's AlexNet behind a DataLoader, as its reference scripts evaluate, on photos from disk.

Arguments: safetensors file, file with one path per line, loader processes, threads. Prints {images, seconds, ids}.
"""

import json
import struct
import sys
import time

import torch
import torchvision
from PIL import Image
from torchvision import transforms

BATCH_SIZE = 64
WARM_UP_IMAGES = 128


class Photos(torch.utils.data.Dataset):
    def __init__(self, paths):
        self.paths = paths
        self.transform = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


def read_safetensors(path):
    with open(path, "rb") as file:
        (header_bytes,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(header_bytes))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    state = {}
    for name, tensor in header.items():
        start, end = tensor["data_offsets"]
        flat = torch.frombuffer(data, dtype=torch.float32, offset=start, count=(end - start) // 4)
        state[name] = flat.reshape(tensor["shape"]).clone()
    return state


def label(model, paths, workers):
    loader = torch.utils.data.DataLoader(Photos(paths), batch_size=BATCH_SIZE, num_workers=workers)
    ids = []
    for batch in loader:
        scores = torch.softmax(model(batch), dim=1)
        ids += torch.topk(scores, 5, dim=1).indices[:, 0].tolist()
    return ids


def main():
    model_path, list_file, workers, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with open(list_file) as file:
        paths = file.read().split()
    model = torchvision.models.alexnet(num_classes=1000)
    model.load_state_dict(read_safetensors(model_path))
    model.eval()
    with torch.inference_mode():
        label(model, paths[:WARM_UP_IMAGES], int(workers))
        started = time.perf_counter()
        ids = label(model, paths, int(workers))
        seconds = time.perf_counter() - started
    print(json.dumps({"images": len(paths), "seconds": seconds, "ids": ids}))


main()
