"""What an administrator has changed about the rights that roles give. Part of console.models, which re-exports it."""

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from console.roles import WORDS, Permission


class Right(models.Model):
    """One permission given to, or taken from, a user or a group, whatever their role says.

    A user's own row beats those of their groups; of several groups, taking beats giving.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="changed_rights"
    )
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, blank=True, related_name="changed_rights")
    permission = models.CharField(max_length=40, choices=[(str(key), WORDS[key]) for key in Permission])
    given = models.BooleanField(
        choices=[(True, "given"), (False, "taken")],
        help_text="Given: as far as the user sees the floor, or for their own calls. Taken: not at all",
    )
    reason = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        ordering = ["permission", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=True) ^ Q(group__isnull=True), name="right_of_a_user_or_a_group"
            ),
            models.UniqueConstraint(fields=["user", "permission"], name="right_once_per_user"),
            models.UniqueConstraint(fields=["group", "permission"], name="right_once_per_group"),
        ]

    def __str__(self) -> str:
        return f"{self.permission} {self.get_given_display()}: {self.user or self.group}"
