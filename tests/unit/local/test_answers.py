"""Which answers a demo gives: the sample's, or those of a folder."""

from pathlib import Path

import pytest

from local import demo
from local.answers import BadDataset, from_folder, sample

GOLD = "task,label\n1,x\n2,y\n3,x\n"
LABELS = "task,worker,label\n1,ann,x\n1,bob,y\n2,ann,y\n3,bob,x\n9,ann,x\n"


def folder(tmp_path: Path, *, gold: str | bytes = GOLD, labels: str | bytes = LABELS) -> Path:
    for name, text in (("gold.csv", gold), ("labels.csv", labels)):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path


def test_a_folder_gives_each_worker_the_tasks_they_labelled(tmp_path: Path) -> None:
    labels = from_folder(folder(tmp_path), None)
    assert labels.answers == {"ann": {"1": "x", "2": "y"}, "bob": {"1": "y", "3": "x"}}
    assert (labels.overlap, labels.labels, labels.rows, labels.named) == (2, ["x", "y"], 3, True)
    assert labels.file.decode().splitlines() == ["id,task", "1,1", "2,2", "3,3"]


def test_only_the_first_tasks_are_taken(tmp_path: Path) -> None:
    labels = from_folder(folder(tmp_path), 1)
    assert (labels.gold, labels.answers) == ({"1": "x"}, {"ann": {"1": "x"}, "bob": {"1": "y"}})


def test_more_tasks_than_there_are_is_all_of_them(tmp_path: Path) -> None:
    assert from_folder(folder(tmp_path), 1_000).rows == 3


def test_the_sample_is_whole_and_the_same_every_time() -> None:
    first, again = sample(), sample()
    assert first == again
    assert first.rows == len(first.file.splitlines()) - 1 == 62
    assert all(set(given) == set(first.gold) for given in first.answers.values())


BAD: dict[str, tuple[dict[str, str | bytes], str]] = {
    "labels without a worker": ({"labels": "task,label\n1,x\n"}, "needs the columns task, worker, label"),
    "a row that ends early": ({"labels": "task,worker,label\n1,ann,x\n2,ann\n"}, "row 2 lacks one of"),
    "labels of other tasks": ({"labels": "task,worker,label\n7,ann,x\n"}, "no label belongs to a task"),
    "an empty file": ({"gold": ""}, "needs the columns task, label"),
    "another encoding": ({"gold": "task,label\n1,ä\n".encode("latin-1")}, "no CSV in UTF-8"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_folder_that_will_not_do(what: str, tmp_path: Path) -> None:
    files, said = BAD[what]
    with pytest.raises(BadDataset, match=said):
        from_folder(folder(tmp_path, **files), None)


def test_the_demo_names_what_is_missing_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setattr(demo, "running", None)
    assert demo.main(["--dataset", str(tmp_path / "nowhere")]) == 1
    assert f"{tmp_path / 'nowhere'} is not a folder" in capsys.readouterr().err
    assert demo.main(["--dataset", str(tmp_path)]) == 1
    assert f"{tmp_path / 'gold.csv'} is missing" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "ten", ""])
def test_a_number_of_tasks_that_makes_no_sense(count: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.main(["--dataset", str(folder(tmp_path)), f"--tasks={count}"])
    assert ended.value.code == 2
    assert f"{count!r} is not a number of tasks" in capsys.readouterr().err


def test_a_number_of_tasks_needs_a_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo.main(["--tasks", "5"])
    assert "say which with --dataset" in capsys.readouterr().err
