"""What tests of several modules of data/ need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.file_server import serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """A folder, the address it is served at, and the paths of the files that were sent."""
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder) as (address, sent):
        yield folder, address, sent
