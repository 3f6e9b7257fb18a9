from __future__ import annotations

from pathlib import Path

import pytest

from yoloscale.config.errors import ConfigError
from yoloscale.launch.configure import configure


def test_a_value_out_of_range_in_a_file_of_arguments_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "arguments.yaml"
    file.write_text("device: cpu\nepochs: 0\nsplit: dev\nnbs: 0\n")
    with pytest.raises(ConfigError) as raised:
        configure([f"cfg={file}", "nbs=-1", "epochs=0", "optimizer=sgdd"])
    assert {problem.key for problem in raised.value.problems} == {f"{file}:3", "nbs", "epochs", "optimizer"}


def test_of_the_words_of_an_args_yaml_only_what_somebody_chose_is_remarked() -> None:
    said = list[str]()
    configure(["device=cpu", "pose=12.0", "angle=3", "save_dir=runs/a", "name=a", "optimizer=SGD"], said.append)
    assert [line for line in said if "pose=" in line] == []
    assert len([line for line in said if line.startswith("angle=3")]) == 1


@pytest.mark.parametrize("word", ["pose=12.0", "+pose=12.0", "--pose=12.0"])
def test_a_default_that_was_typed_is_remarked_however_it_was(word: str) -> None:
    said = list[str]()
    configure(["device=cpu", word], said.append)
    assert len([line for line in said if line.startswith("pose=12.0: no effect")]) == 1
