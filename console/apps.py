from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "console"

    def ready(self) -> None:
        from django.contrib import admin

        from console import audit, retention, sign_ins

        retention.register()
        audit.watch()
        sign_ins.watch()
        admin.site.login_form = sign_ins.AdminSignInForm
