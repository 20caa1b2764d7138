"""Retrieval: the query language, ranking signals, fusion, verification. Knows ports and no adapter."""
