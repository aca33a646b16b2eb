"""Speed, each figure measured beside its rival in one run: `make bench`."""
