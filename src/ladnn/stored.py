"""How model.onnx holds its weights; without torch, so that commands and cards can tell."""

from enum import StrEnum

EIGHT_BITS = "eight_bits"
"""The key of a card's `training` under which `quantising` says what it did."""


class Stored(StrEnum):
    """What weights are rounded to in the file; they are computed with as float32.

    `float16` rounds all to its values; `int8` the kernels of convolutions to 8 bits, with a scale
    for each output channel, and the others as `float16`.
    """

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
