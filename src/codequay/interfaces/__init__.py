"""Thin ways in: each turns what arrives into one request, makes one call, and renders one answer."""
