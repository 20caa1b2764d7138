"""Retrieval quality over annotated questions."""
