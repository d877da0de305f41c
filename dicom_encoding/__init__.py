"""How DICOM is encoded, stated once: data sets, transfer syntaxes, VRs, UIDs, AE titles, statuses and Part 10.

A leaf: it knows no socket, no Django and no database.
"""
