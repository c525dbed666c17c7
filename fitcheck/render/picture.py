"""A terminal's picture: SVG, as rich and Textual draw it, made fit to travel, and PNG from it."""

import re

from fitcheck.errors import FitcheckError

# rich asks for Fira Code from the net. A picture must look the same without: each
# system has one of these, and every run of text carries its own width.
_FONTS = (
    "Menlo, Consolas, 'Cascadia Mono', 'DejaVu Sans Mono', 'Liberation Mono', 'Noto Sans Mono', monospace"
)
_FAMILY = re.compile(r"font-family: [^;]+;")
_FROM_THE_NET = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_ZOOM = 2.0  # dots for each unit of the SVG: sharp on today's screens


def self_contained(svg: str) -> str:
    """The SVG without fonts from the net, in whichever monospaced font there is."""
    return _FAMILY.sub(f"font-family: {_FONTS};", _FROM_THE_NET.sub("", svg))


def png(svg: str) -> bytes:
    """The picture as PNG. Raises FitcheckError where resvg is not installed."""
    try:
        from resvg_py import svg_to_bytes  # noqa: PLC0415 (3 MB that only a PNG needs)
    except ImportError:
        raise FitcheckError(
            "PNG needs resvg", 'pip install "fitcheck-planner[png]", or export the SVG'
        ) from None
    return bytes(svg_to_bytes(svg_string=self_contained(svg), zoom=_ZOOM))
