from django.apps import AppConfig


class EslBridgeConfig(AppConfig):
    name = "esl_bridge"
