"""What the console itself remembers: tokens of API clients, thresholds and alerts, changed rights."""

import hashlib
import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from console.models_alerts import Alert, AlertDelivery, AlertEvent, AlertThreshold, OccupancyMinute
from console.models_rights import Right

__all__ = [
    "Alert", "AlertDelivery", "AlertEvent", "AlertThreshold", "ApiToken", "ApiTokenQuerySet", "OccupancyMinute",
    "Right", "digest",
]  # fmt: skip

PREFIX = "vo_"
# 256 bits from the system's random source: it cannot be guessed, so a plain SHA-256 of it needs no salt.
TOKEN_BYTES = 32


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def valid(self) -> "ApiTokenQuerySet":
        """Neither revoked nor expired, of a user who may sign in."""
        now = timezone.now()
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True, user__is_active=True
        )

    def find(self, secret: str) -> "ApiToken | None":
        return self.valid().select_related("user").filter(digest=digest(secret)).first()


class ApiToken(models.Model):
    """A key for `Authorization: Bearer`. Only its hash is stored: the token itself is shown once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True, default="", help_text="What it is for")
    hint = models.CharField(max_length=12, editable=False, help_text="Its first characters, to recognise it by")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.hint}… of {self.user}"

    @classmethod
    def issue(cls, user: object, name: str = "", expires_at: object = None) -> tuple["ApiToken", str]:
        """A new token and its secret, which nobody can be shown again."""
        secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        token = cls.objects.create(user=user, name=name, hint=secret[:9], digest=digest(secret), expires_at=expires_at)
        return token, secret


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
