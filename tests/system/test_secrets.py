from __future__ import annotations

import pytest

from yoloscale.system.secrets import has_login, has_password, without_logins


@pytest.mark.parametrize(
    ("text", "login", "password", "shown"),
    [
        ("https://me:word@host/path", True, True, "https://***@host/path"),
        ("ssh://git@host/repository", True, False, "ssh://***@host/repository"),
        ("https://host/a@b", False, False, "https://host/a@b"),
    ],
)
def test_logins_in_addresses(text: str, login: bool, password: bool, shown: str) -> None:
    assert (has_login(text), has_password(text), without_logins(text)) == (login, password, shown)
