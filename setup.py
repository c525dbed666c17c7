"""Builds the C extension where a compiler is found; installs without it where none is.

Everything else stands in pyproject.toml.
"""

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, ExecError, LinkError, PlatformError


class OptionalBuildExt(build_ext):  # type: ignore[misc]  # setuptools has no types
    """A missing compiler costs the microbenchmark, never the planner."""

    def run(self) -> None:
        try:
            super().run()
        except (CompileError, ExecError, LinkError, PlatformError, OSError) as error:
            self._skip(error)

    def build_extension(self, ext: object) -> None:
        try:
            super().build_extension(ext)
        except (CompileError, ExecError, LinkError, PlatformError, OSError) as error:
            self._skip(error)

    def copy_extensions_to_source(self) -> None:
        try:
            super().copy_extensions_to_source()
        except OSError as error:
            self._skip(error)

    def _skip(self, error: Exception) -> None:
        self.warn(f"no C extension, so no probe of bandwidth and no verify: {error}")


setup(cffi_modules=["microbench/build.py:ffibuilder"], cmdclass={"build_ext": OptionalBuildExt})
