"""The first command that a newcomer runs: what it plants, and nothing else, is found with every detector on."""

from engine.demo import PLANTED, run_demo


def test_the_demo_agrees_with_itself(tmp_path, capsys):
    assert run_demo(tmp_path / "demo", device="cpu")
    told = capsys.readouterr().out
    assert told.count("yes") == len(PLANTED)
    assert "NO" not in told
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
