"""The fixtures of the command line's tests serve here too."""

from tests.cli.conftest import commands, fresh, home, run

__all__ = ["commands", "fresh", "home", "run"]
