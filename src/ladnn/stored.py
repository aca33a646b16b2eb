"""How model.onnx stores its weights; without torch, so that a command can name the ways."""

from enum import StrEnum


class Stored(StrEnum):
    """What weights are rounded to in the file; they are computed with as float32.

    `float16` rounds all to its values; `int8` the kernels of convolutions to 8 bits, with a scale
    for each output channel, and the others as `float16`.
    """

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
