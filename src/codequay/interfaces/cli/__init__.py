"""The command line. A command is a value, one file each; ``main`` finds it, ``parse`` reads what was typed."""
