"""The worklist as DICOM sees it: one statement of its attributes, and all that is driven by it (PS3.4 Annex K).

Pure where it can be: nothing here knows a socket. `mwl_scp` answers modalities with it, the site explains with it.
"""
