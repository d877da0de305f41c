"""Worklist files, one data set a file, as DCMTK's `wlmscpfs` and Orthanc's worklist plugin keep them: in and out."""
