"""A double of Zoekt for tests: its command line, query language, answers and BM25 scores, by brute force.

Written from what the real programs answer; ``tests/adapters/zoekt/double`` holds it to recorded exchanges, and to the
real programs wherever they are on ``PATH``. What it leaves out on purpose: symbols (``sym:``), several branches or
shards of one repository, sub-repositories, metadata, streaming, and most of the names by which Zoekt knows languages,
vendored and generated files. Scores of one answer are Zoekt's own up to rounding; among equal scores Zoekt's order is
arbitrary and this one's is that of the shard.
"""
