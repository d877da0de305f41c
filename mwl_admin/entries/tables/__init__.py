"""Entries in files of rows: CSV and XLSX, in and out, within the limits of the settings."""
