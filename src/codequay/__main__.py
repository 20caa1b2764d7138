"""``python -m codequay``."""

import os
import sys

# ``python -m`` looks for modules in the working directory first, and that may be a clone with a ``secrets.py`` of its
# own. What is imported before this line is out of reach here: in a hostile clone use ``codequay`` or ``python -P -m``.
if sys.path and not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):
    del sys.path[0]

from codequay.interfaces.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
