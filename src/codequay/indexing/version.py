"""Name and version of the chunker, apart from it: a search compares the version and cuts nothing."""

CHUNKER = "lines-1"
"""Enters each chunk's id and the index fingerprint. A change of cuts changes it."""
