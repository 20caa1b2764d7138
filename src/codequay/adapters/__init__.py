"""Back ends, one folder per technology, reached only through entry points."""
