"""The example of tests/support/README.md is a test of the project."""

from tests.support.documents import ROOT, blocks


def test_readme__example() -> None:
    """The example is a test in tests/integration/test_positions.py, which runs on real servers."""
    (example,) = blocks((ROOT / "tests" / "support" / "README.md").read_text())
    function = example.text[example.text.index("def test_") :]

    assert function in (ROOT / "tests" / "integration" / "test_positions.py").read_text()
