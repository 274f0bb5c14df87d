from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    name = "orchestrator"

    def ready(self) -> None:
        from orchestrator import checks, logs

        logs.log_what_nobody_catches()
        checks.refuse_unsafe()
