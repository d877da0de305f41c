"""A scanner for tries and tests: lives through whole examinations against any worklist provider and image receiver.

Knows neither Django nor the worklist's database: what it knows of the other side it has from the network.
"""
