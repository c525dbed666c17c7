"""A GGUF model's metadata by meaning: numbers checked, arrays by layer spread out."""

from collections.abc import Mapping

from fitcheck.errors import BadInput
from fitcheck.sources.binary_file import shown
from fitcheck.sources.gguf_header import Value

MOST = 1 << 31
"""Every count a model has lies below; what lies above is damage, and would cost time to multiply out."""

MOST_LAYERS = 1 << 12


class Metadata:
    """Typed access to the keys of one architecture. Raises BadInput for values of the wrong kind."""

    def __init__(self, file: str, values: Mapping[str, Value]) -> None:
        self._file = file
        self._values = values
        self.architecture = self.text("general.architecture")

    def text(self, key: str) -> str:
        """A text, cleaned for the terminal; empty where the file has none."""
        value = self._values.get(key, "")
        return shown(value.strip()) if isinstance(value, str) else ""

    def flag(self, key: str) -> bool:
        return self._values.get(key) is True

    def number(self, key: str, default: int | None = None) -> int | None:
        """A count of the architecture, by its key without the architecture's name."""
        value = self._of(key)
        return default if value is None or isinstance(value, tuple) else self._count(key, value)

    def need(self, key: str, known: int) -> int:
        """A count, or what is known without it."""
        value = self.number(key)
        return known if value is None else value

    def by_layer(self, key: str, layers: int, default: int = 0) -> list[int]:
        """A count for each layer: the file gives one for all, or one for each."""
        value = self._of(key)
        if not isinstance(value, tuple):
            return [default if value is None else self._count(key, value)] * layers
        if len(value) < layers:
            raise self.bad(f"gives {key} for {len(value)} of {layers} layers")
        return [self._count(key, item) for item in value[:layers]]

    def flags(self, key: str, layers: int) -> list[bool] | None:
        """A yes or no for each layer, or None where the file has no list of them."""
        value = self._of(key)
        return [flag != 0 for flag in self.by_layer(key, layers)] if isinstance(value, tuple) else None

    def _of(self, key: str) -> Value | None:
        return self._values.get(f"{self.architecture}.{key}")

    def _count(self, key: str, value: Value) -> int:
        if not isinstance(value, int) or not 0 <= value < MOST:
            raise self.bad(f"gives {key} as {shown(str(value), 24)}")
        return int(value)

    def bad(self, what: str) -> BadInput:
        return BadInput(f"{self._file} {what}", "the file is damaged: download it again")
