"""Modality Performed Procedure Step: what modalities report, and what becomes of the entries (PS3.4 Annex F)."""
