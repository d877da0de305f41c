"""A scanner for tries and tests: lives through whole examinations against any worklist provider and image receiver.

The scanner knows neither Django nor the worklist's database: it has all that it knows of the other side from the
network. Beside it stands the demonstration: `department` fills a worklist with a synthetic day, `demo` runs all
processes on it (`make demo`). The commands of `manage.py` are here too, so that this package is a Django app without
models.
"""
