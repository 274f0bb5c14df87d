from django.apps import AppConfig


class DialerConfig(AppConfig):
    name = "dialer"

    def ready(self) -> None:
        # Connects the signals that make a worker on dialer_queue the sequential one.
        from dialer import worker  # noqa: F401
        from dialer.services import audit, freeing

        freeing.watch()
        audit.watch()
