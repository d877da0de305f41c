"""What the worklist refuses to do, and why."""


class WorklistError(Exception):
    """Base of everything that the worklist refuses; the text is fit for staff and holds no patient data."""


class TransitionError(WorklistError):
    """The status of a scheduled procedure step can't change as asked."""


class StaleError(Exception):
    """Something was changed by another person since it was shown."""
