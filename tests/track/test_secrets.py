"""The config that W&B and MLflow get opens no door."""

from __future__ import annotations

from dataclasses import asdict

from yoloscale.config.schema import ClusterConfig, Config, Device
from yoloscale.track.secrets import shown


def test_variables_and_what_is_called_a_secret_are_hidden() -> None:
    tree = {
        "lr0": 0.1,
        "api_key": "abc",
        "nested": [{"password": "abc"}, "https://user:abc@host/path"],
        "source": "s3://token@bucket/data.yaml",
        "cluster": {"env": {"SOME": "abc", "OTHER": ""}, "device": Device.cpu, "setup": ["module load x"]},
        "hf_token": None,
    }
    assert shown(tree) == {
        "lr0": 0.1,
        "api_key": "***",
        "nested": [{"password": "***"}, "https://***@host/path"],
        "source": "s3://***@bucket/data.yaml",
        "cluster": {"env": {"SOME": "***", "OTHER": "***"}, "device": "cpu", "setup": ["module load x"]},
        "hf_token": None,
    }


def test_nothing_else_of_a_config_is_hidden() -> None:
    config = Config(name="a", cluster=ClusterConfig(device=Device.cpu))
    assert "***" not in str(shown(asdict(config)))
