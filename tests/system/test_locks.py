from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from yoloscale.system.locks import try_lock


def test_a_lock_is_one_opening_s_until_all_copies_of_it_are_closed(tmp_path: Path) -> None:
    mine, other = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    inherited = os.dup(mine)  # as by a child that a launcher hands its lock to
    assert try_lock(mine) is True
    assert try_lock(other) is False
    os.close(mine)
    assert try_lock(other) is False
    os.close(inherited)
    assert try_lock(other) is True
    os.close(other)


@pytest.mark.parametrize(("number", "answer"), [(errno.ENOLCK, None), (errno.EIO, OSError)])
def test_a_file_system_without_locks_is_told_from_one_that_fails(
    number: int, answer: type[OSError] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", fails)
    if answer is None:
        assert try_lock(0) is None
    else:
        with pytest.raises(answer):
            try_lock(0)
