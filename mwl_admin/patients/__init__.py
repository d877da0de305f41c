"""Who a patient is: the rule of identity, former patient IDs, two records merged, and the signal of a change."""
