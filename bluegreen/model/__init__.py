"""The words of DESIGN section 1 as values: frozen, free of I/O, importable from every layer."""
