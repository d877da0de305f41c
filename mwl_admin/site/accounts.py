"""Who may manage whose account: nobody gives, or takes over, more than he has himself."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Model, Q, QuerySet


def grantable_permissions(actor: Any) -> QuerySet[Permission]:
    """Return the permissions that this person may give to an account or a role."""
    return Permission.objects.all() if _may_all(actor) else _held(actor)


def grantable_roles(actor: Any) -> QuerySet[Group]:
    """Return the roles that this person may give, change or delete: those with nothing beyond his own rights."""
    roles = Group.objects.all()
    return roles if _may_all(actor) else roles.exclude(permissions__in=_beyond(actor))


def may_manage_account(actor: Any, account: Any) -> bool:
    """Whether this person may change an account, its password included: a superuser's only a superuser may."""
    if _may_all(actor):
        return True
    # Asked of the tables: Django says of an account that is switched off that it may nothing.
    return not account.is_superuser and not _held(account).exclude(pk__in=_keys_held(actor)).exists()


def may_manage_role(actor: Any, role: Group) -> bool:
    """Whether this person may change or delete a role."""
    return _may_all(actor) or not role.permissions.filter(pk__in=_beyond(actor)).exists()


def has_left_traces(account: Model) -> bool:
    """Whether anything tells of what this account did: that would be deleted with it, or be nobody's."""
    for relation in account._meta.get_fields(include_hidden=True):
        model = relation.related_model
        # One to one is more of the account itself.
        if not relation.auto_created or relation.concrete or relation.one_to_one or not isinstance(model, type):
            continue
        if model._meta.auto_created:
            continue
        if model._base_manager.filter(**{relation.field.name: account.pk}).exists():  # type: ignore[union-attr]
            return True
    return False


def _may_all(actor: Any) -> bool:
    return bool(actor.is_active and actor.is_superuser)


def _held(account: Any) -> QuerySet[Permission]:
    return Permission.objects.filter(Q(user=account.pk) | Q(group__user=account.pk)).distinct()


def _beyond(actor: Any) -> QuerySet[Permission]:
    return Permission.objects.exclude(pk__in=_keys_held(actor))


def _keys_held(account: Any) -> Any:
    return _held(account).order_by().values("pk")
