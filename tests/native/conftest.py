"""These tests need the C extension; without it they are skipped, and say so."""

import pytest

from fitcheck.bench import native


@pytest.fixture(autouse=True)
def _extension() -> None:
    if not native.available():
        pytest.skip("the C extension is not built")


@pytest.fixture(scope="session")
def pool():
    if not native.available():
        pytest.skip("the C extension is not built")
    with native.Pool(1) as single:
        yield single
