"""The fixtures of the command line's tests serve here too."""

from tests.cli.conftest import home, run

__all__ = ["home", "run"]
