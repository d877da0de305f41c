"""Answers modalities: Modality Worklist C-FIND, C-ECHO, MPPS, through the Django ORM."""
