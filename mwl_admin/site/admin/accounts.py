"""Accounts and roles: Django's pages in the look of the site, on which nobody gets at more than he has."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from mwl_admin.roles import ROLES
from mwl_admin.site.accounts import (
    grantable_permissions,
    grantable_roles,
    has_left_traces,
    may_manage_account,
    may_manage_role,
)
from mwl_admin.site.admin.lists import NamedListAdmin

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class AccountAdmin(NamedListAdmin, UserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Nobody but a superuser makes one, and when somebody logged in is nobody's to say."""
        shown = ("last_login", "date_joined")
        return shown if request.user.is_superuser else (*shown, "is_superuser")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **named: Any) -> Any:
        if db_field.name == "groups":
            named["queryset"] = grantable_roles(request.user)
        elif db_field.name == "user_permissions":
            named["queryset"] = grantable_permissions(request.user).select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **named)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and (obj is None or may_manage_account(request.user, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An account that has done something is switched off instead: who did it is to be known for good."""
        if not super().has_delete_permission(request, obj):
            return False
        return obj is None or (may_manage_account(request.user, obj) and not has_left_traces(obj))


@admin.register(Group)
class RoleAdmin(NamedListAdmin, GroupAdmin, ModelAdmin):  # type: ignore[misc]
    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **named: Any) -> Any:
        if db_field.name == "permissions":
            named["queryset"] = grantable_permissions(request.user).select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **named)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and (obj is None or may_manage_role(request.user, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A role that the product brings stays: its holders would lose every right, and no start makes it again."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (obj is None or (obj.name not in ROLES and may_manage_role(request.user, obj)))
