"""What opens the address of a dataset is known to the process that it was typed to, and written nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from yoloscale.config.addresses import hidden, hide, secret_in, whole, without_secrets
from yoloscale.config.compose.hydra import compose
from yoloscale.config.freeze import freeze, load, load_own
from yoloscale.config.schema import Config, DataConfig
from yoloscale.errors import ConfigError


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://host/a.zip?token=x&b=c#d", "https://host/a.zip"),
        ("https://me:p%40ss@Host:81/a.zip", "https://Host:81/a.zip"),
        ("https://token@host/a.zip", "https://host/a.zip"),
        ("https://me:p/ss@host/a.zip", "https://…"),
        ("https://me:p?ss@host/a.zip", "https://…"),
        ("s3://bucket/a.zip?key=1", "s3://bucket/a.zip"),
        ("https://host/a b.zip", "https://host/a b.zip"),
    ],
)
def test_an_address_without_its_secrets(address: str, shown: str) -> None:
    assert without_secrets(address) == shown
    assert hide(address) == shown
    assert whole(shown) == address


@pytest.mark.parametrize("path", ["coco8", "a/b.yaml", "/a?b/c.zip", "C:\\a", "shapes"])
def test_a_path_stays_as_it_is(path: str) -> None:
    assert hide(path) == path


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("data=https://h/1.zip?token=a=b", "data=https://h/1.zip"),
        ("data='https://h/1.zip?sig=a,b]'", "data='https://h/1.zip'"),
        ('--data="https://me:pw@h/1.zip"', '--data="https://h/1.zip"'),
        ("+data.source=https://h/1.zip?t", "+data.source=https://h/1.zip"),
        ("data=[https://h/1.zip?t,'https://h/2.zip?t=(1)',c.yaml]", "data=[https://h/1.zip,'https://h/2.zip',c.yaml]"),
        ("data= https://h/1.zip?t", "data= https://h/1.zip"),
        ("=https://h/1.zip?t", "=https://h/1.zip"),
        ("https://h/1.zip?t=u", "https://h/1.zip"),
        ("data=https://h/1.zip?sig=x,y&z=1", "data=https://h/1.zip"),
        ("data=https://h/1.zip?sig=a(b)c", "data=https://h/1.zip"),
        ("data=https://h/1.zip?sig=a[b]c,", "data=https://h/1.zip"),
        ("https://h/1.zip?n=it's", "https://h/1.zip"),
        ("data=https://u:p'w@h/d.zip", "data=https://h/d.zip"),
        ("data='https://u:p'w@h/d.zip'", "data='https://h/d.zip'"),
        ("data=https://h/a,b.zip?sig=x", "data=https://h/a,b.zip"),
        ("data='https://h/it\\'s.zip?sig=x'", "data='https://h/it\\'s.zip'"),
        ("data=https://h/1.zip?a,b,https://h/2.zip?c,d", "data=https://h/1.zip,https://h/2.zip"),
        ("data=c.yaml, https://h/1.zip?a,b , 'https://h/2.zip?c'", "data=c.yaml, https://h/1.zip , 'https://h/2.zip'"),
        ("data=choice(https://h/1.zip?a,c.yaml)", "data=choice(https://h/1.zip,c.yaml)"),
        ("sweep.params.data=https://h/1.zip?a,https://h/2.zip?b", "sweep.params.data=https://h/1.zip,https://h/2.zip"),
        ("++hydra.sweeper.params.data='https://h/1.zip?a'", "++hydra.sweeper.params.data='https://h/1.zip'"),
        ("logger.mlflow.tracking_uri=https://me:pw@h", "logger.mlflow.tracking_uri=https://me:pw@h"),
        ("epochs=3", "epochs=3"),
    ],
)
def test_what_was_typed_is_kept_without_them(word: str, kept: str) -> None:
    assert hidden([word]) == [kept]


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("https://h/a.jpg", None),
        ("https://h/a.jpg?size=640&id=key#token=1", None),
        ("https://me@h/a.jpg", "a login"),
        ("https://h/a.jpg?id=1&X-Amz-Signature=0a", "X-Amz-Signature"),
        ("https://h/a.jpg?X-Goog-Credential=me", "X-Goog-Credential"),
        ("https://h/a.jpg?sv=1&sig=0a%3D", "sig"),
        ("https://h/a.jpg?access_token=0a", "access_token"),
        ("https://h/a.jpg?token=", "token"),
        ("https://h/a.jpg?api-key=1", "api-key"),
        ("s3://AKIA:0a@bucket/a.jpg", "a login"),
    ],
)
def test_what_in_an_address_gives_access(address: str, secret: str | None) -> None:
    assert secret_in(address) == secret


def test_an_address_is_fetched_as_it_was_meant() -> None:
    for word, meant in (
        ("data=https://h/20.zip?sig=x,y&z=(1)", "https://h/20.zip?sig=x,y&z=(1)"),
        ("data='https://h/20.zip?n=it\\'s'", "https://h/20.zip?n=it's"),
        ("data=https://u:p'w@h/20.zip", "https://u:p'w@h/20.zip"),
    ):
        hidden([word])
        assert whole("https://h/20.zip") == meant


def test_a_value_of_a_sweep_is_not_taken_for_the_end_of_an_address() -> None:
    with pytest.raises(ConfigError, match="of the address, or between two values") as raised:
        hidden(["-m", "data=https://h/1.zip?secret,coco8"])
    assert "secret" not in str(raised.value)
    assert hidden(["-m", "data='https://h/1.zip?a,b',coco8"]) == ["-m", "data='https://h/1.zip',coco8"]


def test_two_addresses_that_would_become_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="two addresses that differ") as raised:
        hidden(["-m", "data=https://h/1.zip?version=1,https://h/1.zip?version=2"])
    assert "version" not in str(raised.value)
    assert hidden(["data=https://h/1.zip?a", "data=https://h/1.zip?a"]) == ["data=https://h/1.zip"] * 2


def test_a_composed_config_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADDRESS", "https://me:secret@h/7.zip?token=secret")
    config = compose(["data=${oc.env:ADDRESS}"])
    assert "secret" not in repr(config)
    assert whole(config.data.source) == "https://me:secret@h/7.zip?token=secret"


@pytest.mark.parametrize("read", [load, load_own])
def test_a_run_that_was_frozen_with_them_goes_on_without(read: object, tmp_path: Path) -> None:
    freeze(Config(data=DataConfig("8", "https://h/8.zip?token=secret")), tmp_path / "config.yaml")
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["data"]["source"].endswith("secret")
    config = (load if read is load else load_own)(tmp_path / "config.yaml")
    assert config.data.source == "https://h/8.zip"
    assert whole(config.data.source) == "https://h/8.zip?token=secret"


def test_a_relative_cache_is_that_of_the_folder_where_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert compose(["paths.cache=images"]).paths.cache == str(tmp_path / "images")
    assert compose([]).paths.cache is None
