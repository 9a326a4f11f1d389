"""The command `fraud-ae` as a whole."""

import pytest

from tests.commands import ROOT, fraud_ae, run_cold


@pytest.mark.parametrize("command", [("--help",), ("score", "--help"), ("serve", "--help")])
def test_what_serves_a_model_needs_neither_hydra_nor_lightning(tmp_path, command):
    for name in ("hydra", "omegaconf", "optuna", "pytorch_lightning"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not in the image')\n")
    path = f"{tmp_path}:{ROOT}"
    printed = run_cold("-m", "fraud_ae", *command, cwd=tmp_path, PYTHONPATH=path)
    assert "Usage" in printed


def test_a_mistake_is_one_line(tmp_path):
    for arguments in (("scoer",), ("score",), ("serve", "model"), ("score", "a.csv", "--oout=b")):
        printed = fraud_ae(*arguments, cwd=tmp_path, code=2)
        assert printed.startswith("error: ")
        assert len(printed.splitlines()) == 1
