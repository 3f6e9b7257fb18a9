"""The logger group on a machine: which mode it comes down to, whether there is a key, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import wandb
from wandb.sdk.lib.wbauth import wbnetrc

from yoloscale.config.check import logger as validate_logger
from yoloscale.config.check.logger import logger_problems, missing_packages
from yoloscale.config.check.wandb_access import has_key, mode_of, server_of
from yoloscale.config.check.wandb_package import api_hosts, own_server
from yoloscale.config.schema import LoggerConfig, MlflowConfig, WandbConfig, WandbMode

ONLINE, OFFLINE, DISABLED = WandbMode.online, WandbMode.offline, WandbMode.disabled


@pytest.mark.parametrize(
    ("asked", "environ", "expected"),
    [
        (ONLINE, {}, ONLINE),
        (ONLINE, {"WANDB_MODE": "offline"}, OFFLINE),
        (ONLINE, {"WANDB_MODE": "dryrun"}, OFFLINE),
        (ONLINE, {"WANDB_MODE": "disabled"}, DISABLED),
        (ONLINE, {"WANDB_DISABLED": "true"}, DISABLED),
        (OFFLINE, {"WANDB_MODE": "online"}, OFFLINE),
        (DISABLED, {"WANDB_MODE": "offline"}, DISABLED),
        (OFFLINE, {"WANDB_MODE": "rubbish"}, OFFLINE),
    ],
)
def test_the_environment_restrains_and_never_lets_loose(
    asked: WandbMode, environ: dict[str, str], expected: WandbMode
) -> None:
    assert mode_of(asked, environ) is expected


def test_the_server_is_the_variables_then_the_settings_files_then_wandbs(tmp_path: Path) -> None:
    assert server_of({}, tmp_path) == own_server()
    folder = tmp_path / ".config" / "wandb"
    folder.mkdir(parents=True)
    (folder / "settings").write_text("[default]\nbase_url = https://wandb.example.org/\n")
    assert server_of({}, tmp_path) == "https://wandb.example.org"
    assert server_of({"WANDB_BASE_URL": "http://other:8080/"}, tmp_path) == "http://other:8080"
    (folder / "settings").write_text("rubbish")
    assert server_of({}, tmp_path) == own_server()


def test_a_key_is_found_where_wandb_looks_for_one(tmp_path: Path) -> None:
    assert not has_key({}, tmp_path)
    assert has_key({"WANDB_API_KEY": "x"}, tmp_path)
    assert has_key({"WANDB_IDENTITY_TOKEN_FILE": "/x"}, tmp_path)
    (tmp_path / ".netrc").write_text(f"machine {own_server().partition('//')[2]} login user password x\n")
    assert has_key({}, tmp_path)
    assert not has_key({"WANDB_BASE_URL": "https://wandb.example.org"}, tmp_path), "a key of another server"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("machine wandb.example.org login user password x\n")
    assert has_key({"WANDB_BASE_URL": "https://wandb.example.org", "NETRC": str(elsewhere)}, tmp_path)
    (tmp_path / ".netrc").write_text("machine\n")
    assert not has_key({}, tmp_path)


def test_an_online_run_without_a_key_is_refused_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC", "WANDB_BASE_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(tmp_path))
        (problem,) = logger_problems(LoggerConfig(wandb=WandbConfig()))
        assert problem.key == "logger.wandb.mode"
        assert "wandb login" in problem.instead
        assert "wandb_offline" in problem.instead
        assert logger_problems(LoggerConfig(wandb=WandbConfig(mode=OFFLINE))) == []
        patch.setenv("WANDB_API_KEY", "x")
        assert logger_problems(LoggerConfig(wandb=WandbConfig())) == []


KEY = "a" * 40
NETRCS = {
    "of the newer address": f"machine api.forge.coreweave.com login user password {KEY}",
    "of the older address": f"machine api.wandb.ai login user password {KEY}",
    "of a server with a port": f"machine wandb.example.org:8080 login user password {KEY}",
    "of any server": f"default login user password {KEY}",
    "of another server": f"machine example.org login user password {KEY}",
    "without a password": "machine api.wandb.ai login user",
}
SERVERS = {
    "its own": "",
    "the older name": "https://api.wandb.ai",
    "the newer page": "https://forge.coreweave.com/api/wandb",
    "with a port": "http://wandb.example.org:8080/",
}


@pytest.mark.parametrize("is_kept", [False, True], ids=["in the variable", "in the settings"])
@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_the_server_and_its_key_are_those_that_the_installed_wandb_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, is_kept: bool
) -> None:
    environ = {"WANDB_CONFIG_DIR": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    if server and is_kept:
        (tmp_path / "settings").write_text(f"[default]\nbase_url = {server}\n")
    elif server:
        environ["WANDB_BASE_URL"] = server
    taken = wandb.Settings(settings_system=str(tmp_path / "settings"), silent=True)
    taken.update_from_system_settings()
    taken.update_from_env_vars(environ)
    assert server_of(environ) == taken.base_url
    with monkeypatch.context() as patch:
        patch.setenv("NETRC", environ["NETRC"])
        for name, content in NETRCS.items():
            (tmp_path / "netrc").write_text(content)
            key = wbnetrc.read_netrc_auth(host=taken.base_url)
            assert has_key(environ) == (key is not None), name


def test_the_installed_wandbs_own_server_and_hosts_are_read_from_its_source() -> None:
    from wandb.sdk.lib import urls

    assert own_server() == wandb.Settings().base_url
    assert dict(api_hosts()) == getattr(urls, "FORGE_HOSTS", {})


SOURCES = {
    "before 0.31": ({"wandb_settings": "class Settings:\n    base_url: str = 'https://old.example.org/'\n"}, "old"),
    "from 0.31 on": (
        {
            "lib/urls": "DEFAULT_BASE_URL = 'https://new.example.org'\n",
            "wandb_settings": "class Settings:\n    base_url: str = urls.DEFAULT_BASE_URL\n",
        },
        "new",
    ),
    "annotated": ({"lib/urls": "DEFAULT_BASE_URL: Final = 'https://later.example.org'\n"}, "later"),
}


@pytest.mark.parametrize(("files", "expected"), SOURCES.values(), ids=SOURCES)
def test_each_release_says_it_in_its_own_place(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    for name, content in files.items():
        file = tmp_path / "sdk" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    assert own_server(tmp_path) == f"https://{expected}.example.org"
    assert api_hosts(tmp_path) == {}


def test_a_release_that_says_it_elsewhere_is_asked(tmp_path: Path) -> None:
    (tmp_path / "sdk").mkdir()
    (tmp_path / "sdk" / "wandb_settings.py").write_text("class Settings:\n    base_url: str = computed()\n")
    assert own_server(tmp_path) == wandb.Settings().base_url


@pytest.mark.parametrize(
    ("kept", "environ", "expected"),
    [
        ("offline", {}, OFFLINE),  # `wandb offline`
        ("disabled", {}, DISABLED),
        ("online", {}, ONLINE),
        ("offline", {"WANDB_MODE": "online"}, ONLINE),
    ],
)
def test_what_wandbs_own_switch_has_kept_restrains_as_well(
    tmp_path: Path, kept: str, environ: dict[str, str], expected: WandbMode
) -> None:
    (tmp_path / "settings").write_text(f"[default]\nmode = {kept}\n")
    assert mode_of(ONLINE, {**environ, "WANDB_CONFIG_DIR": str(tmp_path)}) is expected


def test_what_was_kept_for_the_working_folder_comes_before_what_was_kept_for_the_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, server in (("person", "http://a"), ("work/wandb", "http://b"), ("hidden/.wandb", "http://c")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "settings").write_text(f"[default]\nbase_url = {server}\n")
    environ, found = {"WANDB_CONFIG_DIR": str(tmp_path / "person")}, []
    with monkeypatch.context() as patch:
        for folder in ("person", "work", "hidden"):
            patch.chdir(tmp_path / folder)
            found.append(server_of(environ))
    assert found == ["http://a", "http://b", "http://c"]


@pytest.mark.parametrize(
    ("logger", "key", "instead"),
    [
        (LoggerConfig(wandb=WandbConfig(OFFLINE, tags=["x" * 65])), "logger.wandb.tags", "64"),
        (LoggerConfig(mlflow=MlflowConfig(experiment=" ")), "logger.mlflow.experiment", "name"),
        (LoggerConfig(mlflow=MlflowConfig("http://me:pw@host")), "logger.mlflow.tracking_uri", "MLFLOW_TRACKING"),
    ],
)
def test_what_cannot_work_is_said_before_it_starts(logger: LoggerConfig, key: str, instead: str) -> None:
    (problem,) = logger_problems(logger)
    assert problem.key == key
    assert instead in problem.instead
    assert "pw" not in problem.found


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate_logger.importlib.util, "find_spec", lambda name: None)
    problems = missing_packages(LoggerConfig(tensorboard=True, mlflow=MlflowConfig()))
    assert [problem.instead for problem in problems] == [
        "pip install 'yoloscale[tensorboard]'",
        "pip install 'yoloscale[mlflow]'",
    ]
