"""The Django site where staff keep the worklist, and the models that it shares with mwl_scp."""
