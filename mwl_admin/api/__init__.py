"""The worklist over HTTP: DICOM's own search (PS3.18 §14), entries to make and change, the receiver's notices.

Built on the same matching as C-FIND (`mwl_admin.worklist`) and the same way in as files (`mwl_admin.entries`).
"""
