"""Progress away from a terminal: a plain line at the start, now and then, and at the end."""

from embodia.cli.progress import ProgressBar


def test_plain_lines_are_few(capsys):
    with ProgressBar() as hook:
        for done in range(1, 1001):
            hook(f"train | loss {done}", done, 1000)
        hook("evaluate", 1, 2)
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[0].startswith("train") and "1/1000" in lines[0]
    assert any("1000/1000" in line for line in lines)
    assert lines[-1] == "evaluate: 1/2"
    assert len(lines) <= 4
