"""Every setting, from the environment with the documented defaults (docs/configuration.md).

Order of precedence: the environment, then what a running `make run` has written to `var/run/servers.json`
(so that any `manage.py` command beside it finds the same servers), then the defaults below.
"""

import sys
from pathlib import Path

from kombu import Exchange, Queue

from events import nodes, vanished
from orchestrator import servers

BASE_DIR = Path(__file__).resolve().parent.parent
env = servers.environment()


def env_text(name: str, default: str = "") -> str:
    """Set to nothing is not set: an empty line of an environment file changes no default."""
    value = env.get(name, "")
    return value if value.strip() else default


def env_int(name: str, default: int) -> int:
    return int(env_text(name, str(default)))


def env_bool(name: str, default: bool) -> bool:
    return env_text(name, str(default)).strip().lower() in {"1", "true", "yes", "on"}


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env.get(name, default).split(",") if item.strip()]


# --- Security ---------------------------------------------------------------------------------------------------
# orchestrator/checks.py refuses to start with DEBUG off and any of these unsafe defaults.
INSECURE_SECRET_KEY = "insecure-development-key-do-not-use-in-production"  # noqa: S105 - refused when DEBUG is off
SECRET_KEY = env_text("SECRET_KEY", INSECURE_SECRET_KEY)
# Set to nothing it is off: nobody means the error pages by that.
DEBUG = env_bool("DEBUG", "DEBUG" not in env)
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" if DEBUG else "")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
# Full origins (scheme://host:port) that may open a websocket besides the page's own; see console/origins.py.
WEBSOCKET_ORIGINS = env_list("WEBSOCKET_ORIGINS", ",".join(CSRF_TRUSTED_ORIGINS))

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
BEHIND_TLS = env_bool("BEHIND_TLS", not DEBUG)
if BEHIND_TLS:
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = env_bool("SECURE_SSL_REDIRECT", True)
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = env_int("SECURE_HSTS_SECONDS", 31536000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True

# --- Applications -----------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    # For its runserver alone: it brings Twisted into every process, a quarter of what each needs to begin.
    *(["daphne"] if sys.argv[1:2] == ["runserver"] else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "orchestrator",
    "events",
    "dialer",
    "esl_bridge",
    "console",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    # Early, so that refusals by the others carry the policy, too.
    "console.middleware.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "orchestrator.probes.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "console.middleware.AuditSource",
    "console.sign_ins.KnownBrowser",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "console.middleware.SignInFromWithin",
]

ROOT_URLCONF = "orchestrator.urls"
ASGI_APPLICATION = "orchestrator.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AUTHENTICATION_BACKENDS = ["console.sign_ins.Doorkeeper", "django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "var" / "static"
WHITENOISE_USE_FINDERS = DEBUG
# With an age, files are looked for once, at the start; without one, for whoever edits them, at each request.
WHITENOISE_MAX_AGE = env_int("STATIC_MAX_AGE", 0 if DEBUG else 60)
WHITENOISE_AUTOREFRESH = DEBUG and WHITENOISE_MAX_AGE == 0
if DEBUG:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)

# --- PostgreSQL: the truth ---------------------------------------------------------------------------------------
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": env.get("DB_NAME", "voice_orchestrator"),
        "USER": env.get("DB_USER", "postgres"),
        "PASSWORD": env.get("DB_PASSWORD", "postgres"),
        "HOST": env.get("DB_HOST", "localhost"),
        "PORT": env.get("DB_PORT", "5432"),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # A statement that hangs must not hold the sequential worker for ever; imports raise it for themselves.
        "OPTIONS": {
            "connect_timeout": 5,
            "options": "-c statement_timeout=60000 -c lock_timeout=10000",
            **vanished.POSTGRESQL,
        },
    }
}

# --- Redis: queues, streams (database 0) and cache (database 1) ----------------------------------------------------
CELERY_BROKER_URL = env_text("CELERY_BROKER_URL", "redis://localhost:6379/0")
CELERY_RESULT_BACKEND = env_text("CELERY_RESULT_BACKEND", "redis://localhost:6379/0")
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = TIME_ZONE
CELERY_ENABLE_UTC = True
CELERY_TASK_TRACK_STARTED = True
CELERY_TASK_TIME_LIMIT = 30 * 60
CELERY_RESULT_EXPIRES = 3600
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A task's loss must be impossible, so it is acknowledged when done; it may then run twice, so every task is idempotent.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Celery would end the connection to PostgreSQL around every task; orchestrator/celery.py keeps it as Django does.
CELERY_DB_REUSE_MAX = 2**62
# For as long as the broker is away; a hundred attempts would be over within minutes (orchestrator/celery.py).
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# Seconds until a task of a killed `default` worker is given to another; the dialer's queue does not wait
# (dialer/worker.py).
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 300, "socket_connect_timeout": 5, **vanished.REDIS}

CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_DEFAULT_EXCHANGE = "default"
CELERY_TASK_DEFAULT_ROUTING_KEY = "default"
CELERY_TASK_QUEUES = (
    Queue("default", Exchange("default"), routing_key="default"),
    Queue("dialer_queue", Exchange("dialer"), routing_key="dialer.sequential"),
)
# By queue alone: Celery then publishes to the queue itself. By exchange and key a message would be dropped in silence
# after a FLUSHALL, which deletes the bindings that only a (re)started worker declares again.
SEQUENTIAL = {"queue": "dialer_queue"}
CELERY_TASK_ROUTES = {
    "dialer.tasks.process_dialer_logic": SEQUENTIAL,
    "dialer.tasks.execute_dial": SEQUENTIAL,
    "dialer.tasks.handle_agent_state": SEQUENTIAL,
    "dialer.tasks.handle_command": SEQUENTIAL,
    "dialer.tasks.handle_facts": SEQUENTIAL,
}
CELERY_BEAT_SCHEDULE: dict = {}

# Streams and publish/subscribe live beside the broker unless told otherwise.
REDIS_URL = env_text("REDIS_URL", CELERY_BROKER_URL)
CACHE_URL = env_text("CACHE_URL", "redis://localhost:6379/1")
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": CACHE_URL,
        "TIMEOUT": 300,
        # Keys as documented (agent_state:agent_101), without Django's version prefix, as JSON: outsiders read them.
        "KEY_FUNCTION": "orchestrator.cache.plain_key",
        "OPTIONS": {
            "CLIENT_CLASS": "django_redis.client.DefaultClient",
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_CONNECT_TIMEOUT": 5,
            "SOCKET_TIMEOUT": 5,
        },
    }
}
AGENT_STATE_CACHE_PREFIX = "agent_state:"
AGENT_STATE_CACHE_TIMEOUT = 600
CALL_STATE_CACHE_PREFIX = "call_state:"
CALL_STATE_CACHE_TIMEOUT = 3600

SESSION_ENGINE = "django.contrib.sessions.backends.db"

CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
}

# --- FreeSWITCH ---------------------------------------------------------------------------------------------------
FREESWITCH_ESL_HOST = env_text("FREESWITCH_ESL_HOST", "localhost")
FREESWITCH_ESL_PORT = env_int("FREESWITCH_ESL_PORT", 8021)
FREESWITCH_ESL_PASSWORD = env_text("FREESWITCH_ESL_PASSWORD", "ClueCon")
FREESWITCH_EVENT_CHANNEL = env_text("FREESWITCH_EVENT_CHANNEL", "freeswitch:events")
# Several nodes with a bridge each (events/nodes.py). FREESWITCH_NODE says which one a bridge serves.
try:
    FREESWITCH_NODES = nodes.parse(env_text("FREESWITCH_NODES", ""))
except ValueError as error:
    raise SystemExit(f"FREESWITCH_NODES: {error}") from None
FREESWITCH_NODE = env_text("FREESWITCH_NODE", FREESWITCH_NODES[0].name if FREESWITCH_NODES else "main")
if FREESWITCH_NODES:
    _here = [node for node in FREESWITCH_NODES if node.name == FREESWITCH_NODE]
    if not _here:
        raise SystemExit(f"FREESWITCH_NODE is {FREESWITCH_NODE}, which FREESWITCH_NODES does not name")
    FREESWITCH_ESL_HOST, FREESWITCH_ESL_PORT = _here[0].host, _here[0].port
SWITCH = env_text("SWITCH", "simulator" if DEBUG else "freeswitch")

# Dial strings: {number} is E.164 with its plus, {extension} digits; esl_bridge/render.py is the only reader.
ORIGINATE_CUSTOMER = env_text("ORIGINATE_CUSTOMER", "sofia/gateway/carrier/{number}")
ORIGINATE_AGENT = env_text("ORIGINATE_AGENT", "user/{extension}")
CALLER_ID_NUMBER = env_text("CALLER_ID_NUMBER", "+12125550100")
CALLER_ID_NAME = env_text("CALLER_ID_NAME", "Voice Orchestrator")
# Only numbers that start with one of these are ever dialled. The simulator dials nobody, so it may dial "+1".
DIAL_ALLOWED_PREFIXES = env_list("DIAL_ALLOWED_PREFIXES", "+1" if SWITCH == "simulator" else "")
# Whether agents are shown who listens to their calls. In many places they must know.
MONITORING_VISIBLE_TO_AGENTS = env_bool("MONITORING_VISIBLE_TO_AGENTS", True)
# An agent who works with a panel and has had none open for so long is put on a break; 0: panels do not count.
PANEL_GRACE_SECONDS = env_int("PANEL_GRACE_SECONDS", 60)
DEFAULT_REGION = env_text("DEFAULT_REGION", "US")
# Files of imports from the admin, until they are read: the web process writes here, the `default` workers read.
IMPORT_DIR = Path(env_text("IMPORT_DIR", str(servers.var_dir(env) / "imports")))
RECORDINGS_DIR = env_text("RECORDINGS_DIR", "/var/lib/freeswitch/recordings")
# What a customer hears while parked or while a colleague is consulted: local_stream://NAME, a tone_stream or a sound
# file of the switch; empty: silence.
HOLD_MUSIC = env.get("HOLD_MUSIC", "local_stream://moh")
# Recorded messages: uploaded by us, read by the switch under the same path.
MESSAGES_DIR = env_text(
    "MESSAGES_DIR",
    str(servers.var_dir(env) / "messages") if SWITCH == "simulator" else "/var/lib/freeswitch/messages",
)

# --- Retention, in days; 0 keeps for ever. `manage.py retention` removes what is older ------------------------------
DECISIONS_KEEP_DAYS = env_int("DECISIONS_KEEP_DAYS", 90)
# Orders to the switch and commands of people, once they are settled: a call's page tells its story from them.
ORDERS_KEEP_DAYS = env_int("ORDERS_KEEP_DAYS", 90)
COMMANDS_KEEP_DAYS = env_int("COMMANDS_KEEP_DAYS", 90)
EVENTS_KEEP_DAYS = env_int("EVENTS_KEEP_DAYS", 30)
RECORDINGS_KEEP_DAYS = env_int("RECORDINGS_KEEP_DAYS", 0)
# 0: for ever. Trimmed by a command of its own (`trim_audit`), never beside the rest.
AUDIT_KEEP_DAYS = env_int("AUDIT_KEEP_DAYS", 0)
MESSAGES_KEEP_DAYS = env_int("MESSAGES_KEEP_DAYS", 30)
ALERTS_KEEP_DAYS = env_int("ALERTS_KEEP_DAYS", 90)

# --- Alerts: where each change of an alert is posted, and what it is signed with (docs/alerts.md) -------------------
ALERT_WEBHOOK_URL = env_text("ALERT_WEBHOOK_URL", "").strip()
ALERT_WEBHOOK_SECRET = env_text("ALERT_WEBHOOK_SECRET", "")

# --- Metrics: a bearer token for /metrics; without one it answers this machine only, and only while DEBUG is on -------
METRICS_TOKEN = env_text("METRICS_TOKEN", "")

# --- Logging --------------------------------------------------------------------------------------------------------
LOG_DIR = Path(env_text("LOG_DIR", str(BASE_DIR / "logs")))
LOG_DIR.mkdir(parents=True, exist_ok=True)
LOG_LEVEL = env_text("LOG_LEVEL", "INFO")
# json: one object a line, for programs; text: for people (orchestrator/log_lines.py).
LOG_FORMAT = env_text("LOG_FORMAT", "text" if DEBUG else "json")
if LOG_FORMAT not in {"json", "text"}:
    raise SystemExit(f"LOG_FORMAT must be json or text, not {LOG_FORMAT}")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "private": {"()": "orchestrator.logs.Private"},
        "not_given_back": {"()": "orchestrator.logs.NotGivenBack"},
    },
    "formatters": {
        "verbose": {
            "()": "orchestrator.log_lines.TextLine",
            "format": "{asctime} {levelname} {name} {module} {process:d} {thread:d} {message}",
            "style": "{",
        },
        "simple": {
            "()": "orchestrator.log_lines.TextLine",
            "format": "{levelname} {name} {message}",
            "style": "{",
        },
        "json": {"()": "orchestrator.log_lines.JsonLine"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "stream": sys.stderr,
            "formatter": "json" if LOG_FORMAT == "json" else "simple",
            "filters": ["private"],
        },
        "file": {
            "class": "orchestrator.logs.SharedRotatingFileHandler",
            "filename": str(LOG_DIR / "voice_orchestrator.log"),
            "maxBytes": 10 * 1024 * 1024,
            "backupCount": 5,
            "formatter": "json" if LOG_FORMAT == "json" else "verbose",
            "filters": ["private"],
            "delay": True,
        },
    },
    "root": {"handlers": ["console", "file"], "level": LOG_LEVEL},
    "loggers": {
        name: {"handlers": ["console", "file"], "level": level, "propagate": False}
        for name, level in {
            "django": LOG_LEVEL,
            "django.channels.server": "WARNING",
            "daphne": "WARNING",
            "celery": LOG_LEVEL,
            "celery.worker.strategy": "WARNING",
            "dialer": LOG_LEVEL,
            "events": LOG_LEVEL,
            "console": LOG_LEVEL,
            "esl_bridge": LOG_LEVEL,
            "orchestrator": LOG_LEVEL,
            "py.warnings": "WARNING",
        }.items()
    }
    | {
        # The stations of each call and command (events/trail.py): too many for a terminal that somebody reads.
        "trail": {
            "handlers": ["console", "file"] if LOG_FORMAT == "json" else ["file"],
            "level": LOG_LEVEL,
            "propagate": False,
        },
        "celery.app.trace": {
            "handlers": ["console", "file"],
            "level": "WARNING",
            "filters": ["not_given_back"],
            "propagate": False,
        },
    },
}

MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SILENCED_SYSTEM_CHECKS: list[str] = []
