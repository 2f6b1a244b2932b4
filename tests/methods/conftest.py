"""What tests of methods share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def fresh_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Warm starts of a file's tests are cached together, away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PILOTHOUSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
