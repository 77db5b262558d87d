"""Makes the images of this folder, and what torchvision makes of them.

Run once, by hand; the results are committed:  /usr/bin/python3 make-reference.py
Needs Pillow, NumPy and torchvision. Written with Pillow 9.4 and torchvision 0.14.
"""

import json
from pathlib import Path

import numpy as np
import torchvision
from PIL import Image
from PIL import __version__ as pillow_version
from torchvision import transforms
from torchvision.transforms import InterpolationMode

FOLDER = Path(__file__).parent
MODES = {
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
    "lanczos": InterpolationMode.LANCZOS,
    "nearest": InterpolationMode.NEAREST,
}


def photo(width, height, seed, detail=6):
    """Noise with a photograph's falling spectrum, an edge and a dark disc: (height, width, 3) uint8."""
    random = np.random.RandomState(seed)
    total = np.zeros((height, width, 3))
    for octave in range(1, detail + 1):
        cells = 2**octave
        small = random.randint(0, 256, (cells, cells, 3)).astype(np.uint8)
        layer = Image.fromarray(small).resize((width, height), Image.BICUBIC)
        total += (np.asarray(layer).astype(float) - 128) / 2 ** (octave - 1)
    y, x = np.mgrid[0:height, 0:width]
    total += 60 * (x + 2 * y > 0.9 * (width + height))[..., None]
    total -= 80 * ((x - 0.6 * width) ** 2 + (y - 0.4 * height) ** 2 < (0.15 * min(width, height)) ** 2)[..., None]
    return Image.fromarray(np.clip(128 + 0.7 * total, 0, 255).astype(np.uint8))


def write_images():
    photo(500, 375, 1).save(FOLDER / "photo-500x375.jpg", quality=90)
    photo(231, 347, 2).save(FOLDER / "portrait-231x347.jpg", quality=85, progressive=True)
    photo(1203, 901, 3).save(FOLDER / "large-1203x901.jpg", quality=60)
    photo(97, 131, 4, 5).save(FOLDER / "small-97x131.png")
    photo(37, 23, 5, 4).save(FOLDER / "tiny-37x23.png")
    photo(150, 101, 6).convert("L").save(FOLDER / "grey-150x101.jpg", quality=90)
    photo(150, 101, 7).convert("CMYK").save(FOLDER / "cmyk-150x101.jpg", quality=90)
    photo(120, 90, 8, 4).quantize(32).save(FOLDER / "palette-120x90.png")
    transparent = photo(90, 71, 9, 4)
    y, x = np.mgrid[0:71, 0:90]
    transparent.putalpha(Image.fromarray(((x * 3 + y * 5) % 256).astype(np.uint8)))
    transparent.save(FOLDER / "alpha-90x71.png")


# image, short side, crop, interpolation, crops
CASES = [
    ("photo-500x375.jpg", 256, 224, "bilinear", 1),
    ("photo-500x375.jpg", 64, 56, "bilinear", 1),
    ("photo-500x375.jpg", 64, 56, "bicubic", 1),
    ("photo-500x375.jpg", 64, 56, "lanczos", 1),
    ("photo-500x375.jpg", 64, 56, "nearest", 1),
    ("portrait-231x347.jpg", 64, 56, "bilinear", 5),
    ("portrait-231x347.jpg", 99, 80, "bicubic", 1),
    ("large-1203x901.jpg", 128, 112, "bilinear", 1),
    ("large-1203x901.jpg", 64, 56, "bilinear", 1),
    ("small-97x131.png", 64, 56, "bilinear", 1),
    ("small-97x131.png", 48, 57, "bilinear", 1),
    ("tiny-37x23.png", 64, 56, "bilinear", 1),
    ("tiny-37x23.png", 64, 56, "bicubic", 1),
    ("grey-150x101.jpg", 64, 56, "bilinear", 1),
    ("cmyk-150x101.jpg", 64, 56, "bilinear", 1),
    ("palette-120x90.png", 64, 56, "bilinear", 1),
    ("alpha-90x71.png", 64, 56, "bilinear", 1),
]


def main():
    write_images()
    cases = []
    for name, size, crop, interpolation, crops in CASES:
        image = Image.open(FOLDER / name).convert("RGB")
        resized = transforms.Resize(size, MODES[interpolation])(image)
        taken = transforms.FiveCrop(crop)(resized) if crops == 5 else [transforms.CenterCrop(crop)(resized)]
        reference = f"{Path(name).stem}.{size}-{crop}-{interpolation}-{crops}.png"
        # Crops one below the other.
        Image.fromarray(np.concatenate([np.asarray(one) for one in taken])).save(FOLDER / reference, optimize=True)
        cases.append(
            {
                "image": name,
                "width": image.width,
                "height": image.height,
                "size": size,
                "crop": crop,
                "interpolation": interpolation,
                "crops": crops,
                "reference": reference,
            }
        )
    document = {"pillow": pillow_version, "torchvision": torchvision.__version__, "cases": cases}
    (FOLDER / "reference.json").write_text(json.dumps(document, indent=2) + "\n")


main()
