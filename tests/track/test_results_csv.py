from __future__ import annotations

from pathlib import Path

from yoloscale.track.results_csv import ResultsCsv

RECORD = {"step": 4, "lr/pg0": 0.01, "val/box_loss": 2.0, "metrics/mAP50(B)": 0.25, "train/box_loss": 1.5, "time": 3.0}


def lines(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text().splitlines()]


def test_columns_are_in_ultralytics_order(tmp_path: Path) -> None:
    ResultsCsv(tmp_path / "results.csv", 0).add({**RECORD, "epoch": 1})
    assert lines(tmp_path / "results.csv") == [
        ["epoch", "time", "train/box_loss", "metrics/mAP50(B)", "val/box_loss", "lr/pg0"],
        ["1", "3", "1.5", "0.25", "2", "0.01"],
    ]


def test_an_epoch_without_evaluation_repeats_the_last_values(tmp_path: Path) -> None:
    csv = ResultsCsv(tmp_path / "results.csv", 0)
    csv.add({**RECORD, "epoch": 1})
    csv.add({"epoch": 2, "time": 6.0, "train/box_loss": 1.25, "lr/pg0": 0.02})
    assert lines(tmp_path / "results.csv")[2] == ["2", "6", "1.25", "0.25", "2", "0.02"]


def test_columns_of_a_later_evaluation_are_added(tmp_path: Path) -> None:
    """With val=false the first epochs have no metrics; the last one has."""
    csv = ResultsCsv(tmp_path / "results.csv", 0)
    csv.add({"epoch": 1, "time": 3.0, "train/box_loss": 1.5, "lr/pg0": 0.01})
    csv.add({**RECORD, "epoch": 2})
    header, *rows = lines(tmp_path / "results.csv")
    assert "metrics/mAP50(B)" in header
    assert all(len(row) == len(header) for row in rows)
    assert dict(zip(header, rows[1], strict=True))["metrics/mAP50(B)"] == "0.25"


def test_a_resumed_run_drops_the_epochs_it_does_again(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    first = ResultsCsv(path, 0)
    for epoch in (1, 2, 3):
        first.add({**RECORD, "epoch": epoch})
    ResultsCsv(path, 1).add({**RECORD, "epoch": 2, "train/box_loss": 9.0})
    assert [row[0] for row in lines(path)] == ["epoch", "1", "2"]
    assert lines(path)[2][2] == "9"


def test_an_epoch_that_is_trained_again_has_one_line(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    table = ResultsCsv(path, 0)
    for epoch in (1, 2, 3, 2):
        table.add({**RECORD, "epoch": epoch})
    assert [row[0] for row in lines(path)] == ["epoch", "1", "2"]


def test_a_run_from_the_start_begins_a_new_table(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("epoch,other\n1,2\n")
    ResultsCsv(path, 0).add({**RECORD, "epoch": 1})
    assert lines(path)[0][2] == "train/box_loss"
