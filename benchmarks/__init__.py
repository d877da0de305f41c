"""Side-by-side measurements against peers that others wrote: `python -m benchmarks --help`."""
