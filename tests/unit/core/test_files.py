import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from secateur.core import files, progress
from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv, write_json, write_text, write_tsv, written_aside
from secateur.core.jobs import json_argument


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    write_text(tmp_path / "x", "old")
    with pytest.raises(RuntimeError), written_aside(tmp_path / "x") as aside:
        aside.write_text("half of the ne")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for content in ("a", "b"):
        with written_aside(tmp_path / "folder") as aside:
            aside.mkdir()
            (aside / content).touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["b"]


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(
        SecateurError, match=r"x: could not be written \(No space left on device\); free some disk space"
    ):
        write_text(tmp_path / "x", "text")
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_is_cleared_and_what_others_write_is_not(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()

    def part(name, host, pid):
        path = tmp_path / f".{name}.{host}-{pid}.part"
        path.write_text("half")
        return path

    gone = [part("x", files.HOST, dead.pid), part("x", "another-node", 17)]
    os.utime(gone[1], (0, time.time() - 2 * files.SECONDS_TO_LITTER))
    kept = [part("x", files.HOST, os.getppid()), part("x", "another-node", 18), part("xy", files.HOST, dead.pid)]
    write_text(tmp_path / "x", "whole")
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "x"]) and not any(path.exists() for path in gone)


def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: calls.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    replace = os.replace
    monkeypatch.setattr(files.os, "replace", lambda old, new: (calls.append("named"), replace(old, new)))
    write_text(tmp_path / "x", "text")
    assert len(calls) == 2 and calls[0].endswith(".part") and calls[1] == "named"


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(
        files.shutil, "disk_usage", lambda place: SimpleNamespace(free=3e9) if place == tmp_path else 1 / 0
    )
    files.check_space(tmp_path / "not" / "there", 2_900_000_000, "training")
    with pytest.raises(SecateurError, match=r"there: 3 GB free on its disk, and training takes 3.1 GB; free some"):
        files.check_space(tmp_path / "not" / "there", 3_100_000_000, "training")


def test_an_error_with_another_file_is_not_one_of_writing(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), written_aside(tmp_path / "x"):
        (tmp_path / "elsewhere").read_text()
    with pytest.raises(ConnectionResetError), written_aside(tmp_path / "x"):
        raise ConnectionResetError(104, "Connection reset by peer")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SecateurError, match=r"file/x: could not be written"):
        write_text(tmp_path / "file" / "x", "text")
    with (
        pytest.raises(SecateurError, match=r"folder: could not be written"),
        written_aside(tmp_path / "folder") as aside,
    ):
        aside.mkdir()
        (aside / "missing" / "x").write_text("")


def test_tables_come_back_as_they_were_written(tmp_path):
    row = {"a": 0.1 + 0.2, "b": None, "c": True, "d": "tab\there\nand \"quotes'"}
    write_tsv(tmp_path / "t.tsv", ["a", "b", "c", "d"], [row])
    assert read_tsv(tmp_path / "t.tsv") == [
        {"a": "0.30000000000000004", "b": "", "c": "true", "d": "tab here and \"quotes'"}
    ]
    with pytest.raises(ValueError, match="lacks"):
        write_tsv(tmp_path / "t.tsv", ["a"], [{"z": 1}])
    with pytest.raises(ValueError, match="occurs twice"):
        write_tsv(tmp_path / "t.tsv", ["a", "b", "a"], [])


def test_json_is_sorted_and_without_nan(tmp_path):
    write_json(tmp_path / "j", {"b": 1, "a": "é"})
    assert (tmp_path / "j").read_text(encoding="utf-8") == '{\n "a": "é",\n "b": 1\n}\n'
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "j", float("nan"))
    (tmp_path / "j").write_text("{")
    with pytest.raises(SecateurError, match="j: not valid JSON"):
        read_json(tmp_path / "j")
    with pytest.raises(SecateurError, match="none: no such file"):
        read_json(tmp_path / "none")


def test_json_arguments(tmp_path):
    (tmp_path / "f").write_text('{"a": 1}')
    assert json_argument('{"a": 1}') == json_argument(f"@{tmp_path / 'f'}") == {"a": 1}
    with pytest.raises(argparse.ArgumentTypeError):
        json_argument("{")


SCRIPT = """
import sys

from secateur.core.errors import SecateurError
from secateur.core.jobs import job

def run(arguments, record):
    if arguments.bad:
        raise SecateurError("file.wav: broken; replace it")
    record["steps"] = 3

job("try", "Try.", lambda parser: parser.add_argument("--bad", action="store_true"), run, sys.argv[1:])
"""


def test_a_job_records_its_run_and_prints_one_line_for_a_users_error(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    record = tmp_path / "run.json"
    subprocess.run([sys.executable, script, "--run-json", record, "--code", "abc"], check=True)
    content = json.loads(record.read_text())
    assert content["steps"] == 3
    assert content["arguments"] == {"bad": False, "code": "abc", "run_json": str(record)}
    assert {"host", "seconds", "peak_memory_bytes", "threads", "versions", "started", "git", "device"} <= set(content)
    record.unlink()
    answer = subprocess.run([sys.executable, script, "--bad", "--run-json", record], capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr == "error: file.wav: broken; replace it\n"
    assert not Path(record).exists()


def test_progress_is_logged_where_there_is_no_terminal(monkeypatch, caplog):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level("INFO"):
        assert list(progress.each(iter("abcdefg"), 7, "letters")) == list("abcdefg")
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["letters: 2 of 7", "letters: 4 of 7", "letters: 6 of 7"]
