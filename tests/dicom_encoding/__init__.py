"""Tests of the leaf that knows how DICOM is encoded, and of those that use it."""
