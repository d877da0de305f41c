"""What each kind of staff may do on the site. The migration makes a group of each; administrators may change them.

Accounts need *staff status* besides, without which Django's admin lets nobody in.
"""

_ENTRY = ("patient", "requestedprocedure", "scheduledprocedurestep")
_CATALOGUE = ("procedure", "protocolcode")
_READ = ("view",)
_EDIT = ("view", "add", "change")
_ALL = ("view", "add", "change", "delete")


def _permissions(actions: tuple[str, ...], models: tuple[str, ...]) -> frozenset[str]:
    return frozenset(f"{action}_{model}" for model in models for action in actions)


RECEPTION = _permissions(_EDIT, _ENTRY) | _permissions(_READ, (*_CATALOGUE, "station"))
RADIOGRAPHER = (
    _permissions(_READ, ("patient", "requestedprocedure", *_CATALOGUE, "station"))
    | _permissions(("view", "change"), ("scheduledprocedurestep",))
    | _permissions(_READ, ("performedprocedurestep", "worklistquery", "worklistdelivery"))
    | _permissions(("view", "change"), ("receivedstudy",))
)
MANAGER = (
    RECEPTION
    | RADIOGRAPHER
    | _permissions(_ALL, (*_CATALOGUE, "requestedprocedure", "scheduledprocedurestep"))
    | _permissions(("change",), ("station",))
    | _permissions(_READ, ("patientread",))
    | {"merge_patient"}
)
ADMINISTRATOR = MANAGER | _permissions(_ALL, ("station", "patient", "apiclient"))
ADMINISTRATOR_OF_ACCOUNTS = _permissions(_ALL, ("user", "group"))

ROLES: dict[str, dict[str, frozenset[str]]] = {
    "Reception": {"mwl_admin": RECEPTION},
    "Radiographer": {"mwl_admin": RADIOGRAPHER},
    "Manager": {"mwl_admin": MANAGER},
    "Administrator": {"mwl_admin": ADMINISTRATOR, "auth": ADMINISTRATOR_OF_ACCOUNTS},
}
"""Group, application, and the code names of its permissions."""
