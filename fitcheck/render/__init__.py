"""A Plan in; a table or JSON out. Nothing here computes a figure."""
