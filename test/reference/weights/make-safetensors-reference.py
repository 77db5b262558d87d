#!/usr/bin/env python3
"""Makes the safetensors reference files of this folder.

Needs safetensors (made with 0.8.0) and numpy. Usage: python3 make-safetensors-reference.py
"""
import pathlib

import numpy as np
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
numbers = [0, 1, 2, 100]
mixed = {
    dtype: np.array(numbers, dtype=dtype)
    for dtype in (
        'float64', 'float32', 'float16', 'int64', 'int32', 'int16', 'int8', 'uint64', 'uint32', 'uint16', 'uint8', 'bool',
    )
}
save_file(mixed, HERE / 'mixed.safetensors', metadata={'format': 'pt'})

float32 = {
    'features.0.weight': np.arange(12, dtype=np.float32).reshape(2, 2, 3) / 7,
    'features.0.bias': np.array([np.inf, -0.0], dtype=np.float32),
    'scalar': np.array(1.5, dtype=np.float32),
    'empty': np.zeros((0, 3), dtype=np.float32),
    'é "quoted" \\ \n \x1f \x7f': np.ones(1, dtype=np.float32),
    '\uff5e': np.full(1, 2, dtype=np.float32),
    '\U0001f600': np.full(1, 3, dtype=np.float32),
}
save_file(float32, HERE / 'float32.safetensors', metadata={'format': 'pt'})
