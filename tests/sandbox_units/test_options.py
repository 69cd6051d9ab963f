"""Options of `python -m sandbox` that are refused before anything starts."""

import sys

import pytest

import sandbox.__main__


def test_an_engine_that_is_not_installed_is_refused_with_the_remedy(monkeypatch, capsys):
    monkeypatch.setattr(sandbox.__main__, "why_missing", lambda: "Trino is not installed: run make .trino/ready")
    monkeypatch.setattr(sys, "argv", ["sandbox", "--engine", "trino"])

    with pytest.raises(SystemExit):
        sandbox.__main__.main()

    assert "error: --engine trino: Trino is not installed: run make .trino/ready" in capsys.readouterr().err


def test_an_unknown_engine_is_refused_with_the_known_ones(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sandbox", "--engine", "presto"])

    with pytest.raises(SystemExit):
        sandbox.__main__.main()

    assert "--engine: invalid choice: 'presto' (choose from 'duckdb', 'trino')" in capsys.readouterr().err
