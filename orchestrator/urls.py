"""Every address of the project."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from console.sign_ins import SignInForm
from orchestrator import health, metrics

sign_in = LoginView.as_view(
    template_name="console/login.html", redirect_authenticated_user=True, authentication_form=SignInForm
)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/", sign_in, name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    # Pages name the icon themselves; Django's admin does not, and browsers then ask here.
    path("favicon.ico", RedirectView.as_view(url=static("console/icon.svg"), permanent=True)),
    path("", include("console.urls")),
]
