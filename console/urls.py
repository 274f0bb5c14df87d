from django.urls import path

from console import disposition_views, views, whatif, why

app_name = "console"
urlpatterns = [
    path("", views.home, name="home"),
    path("console/", views.board, name="board"),
    path("console/agent/", views.panel, name="panel"),
    path("console/preview/<uuid:preview_id>/", views.preview, name="preview"),
    path("console/agents/<str:agent_id>/menu/", views.agent_menu, name="agent_menu"),
    path("console/campaigns/<str:campaign_id>/menu/", views.campaign_menu, name="campaign_menu"),
    path("console/decisions/", why.decisions, name="decisions"),
    path("console/decisions/<int:pk>/", why.decision, name="decision"),
    path("console/why/", why.number, name="why"),
    path("console/why/contacts/<int:pk>/", why.contact, name="why_contact"),
    path("console/what-if/", whatif.page, name="whatif"),
    path("console/calls/<uuid:call_id>/disposition/", disposition_views.form, name="disposition"),
    path("console/session/", views.session, name="session"),
    path("docs/protocol/", views.protocol_page, name="protocol"),
]
