"""What a rank has before it, compared with what its run was made with: files and packages change under a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from yoloscale.config.schema import RunConfig
from yoloscale.config.schema.run import InferenceOrigin
from yoloscale.datasets import artefact_file
from yoloscale.errors import ConfigError, Problem
from yoloscale.system.files import sha256_below
from yoloscale.system.installed import versions_of


def refuse_other_weights(config: RunConfig, path: Path) -> None:
    """Every rank calls it before it opens the weights. Raises ConfigError where they are not those of the first start.

    A run that goes on trains on under the same name, say, or somebody exports the model again.
    """
    origin = config.origin
    assert isinstance(origin, InferenceOrigin), "of a run that makes use of weights"
    if origin.weights is None or sha256_below(path) == origin.weights:
        return
    found = f"{path} holds other weights than when run {config.name!r} was started"
    instead = "put the old file back, and resume the run; or start a new one, of a copy of the weights that stays"
    raise ConfigError(Problem("model", found, instead))


def own_versions(config: RunConfig, path: Path) -> dict[str, str]:
    """Versions of the packages that decide what is found, here. Raises ConfigError where others are frozen."""
    origin = config.origin
    assert isinstance(origin, InferenceOrigin), "of a run that makes use of weights"
    versions = versions_of(() if path.suffix == ".pt" else artefact_file.inspect(path).packages)
    refuse_other_versions(versions, origin.versions or {})
    return versions


def refuse_other_versions(versions: Mapping[str, str], first: Mapping[str, str]) -> None:
    """Raise ConfigError for packages that are of other versions here than where the run began."""
    problems = [
        Problem("origin.versions", f"{name} {now}, and the run began with {old}", f"pip install {name}=={old}")
        for name, now in versions.items()
        if (old := first.get(name, now)) != now
    ]
    if problems:
        raise ConfigError(problems)
