"""The composition root: settings, the Celery application, health, and the stack that runs every process."""

from .celery import app as celery_app

__all__ = ("celery_app",)
