"""What comes before the first token: making a format from a 16 bit checkpoint, and loading it.

Times of sizes come from the engine's profile; here they meet a model's sizes.
"""

from functools import lru_cache

from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.formats import WEIGHT_TYPES, tensor_bytes
from fitcheck.footprint.tensors import tensors
from fitcheck.schema.engine import ConversionStep, EngineMemory
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Conversion

_SIXTEEN_BITS = ("F16", "BF16")


@lru_cache(maxsize=16384)
def conversions(model: Model, format_name: str, size: int, memory: EngineMemory) -> tuple[Conversion, ...]:
    """The steps from a checkpoint of 16 bits to weights of ``size`` bytes in use."""
    quantizes, sizes = format_name not in _SIXTEEN_BITS, (size, *_in_16_bits(model))
    return tuple(
        [_conversion(step, *sizes) for step in memory.conversions if quantizes or not step.needs_quantizing]
    )


def _conversion(step: ConversionStep, size: int, source: int, largest: int) -> Conversion:
    ram = None
    if step.ram_fixed_bytes is not None:
        ram = step.ram_fixed_bytes + int(
            step.ram_source * source + step.ram_target * size + step.ram_largest * largest
        )
    disk = int(step.disk_source * source + step.disk_target * size)
    return Conversion(step.step, ram, disk, step.source)


@lru_cache(maxsize=512)
def _in_16_bits(model: Model) -> tuple[int, int]:
    """Bytes of the checkpoint, and of its largest tensor."""
    return weights_bytes(model, "F16"), largest_tensor(model)


def largest_tensor(model: Model) -> int:
    """Bytes of the largest tensor of the file in 16 bits."""
    shapes = (group.tensor for group in tensors(model))
    return max(tensor_bytes(WEIGHT_TYPES["F16"], shape.cols, shape.rows, shape.stack) for shape in shapes)
