"""Django's settings, made from the typed environment in env.py."""

import sys
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote

import dj_database_url
from csp.constants import NONCE, NONE, SELF

from agentops.env import BROKER_SOCKET, SettingsError, read_env
from agentops.logs import logging_config

try:
    ENV = read_env()
except SettingsError as error:
    sys.exit(f"agentops: {error}")

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = ENV.data_dir

DEBUG = ENV.agentops_debug
# Commands that keep nothing get a key of their own; a server does not start without the real one (asgi.py).
SECRET_KEY = ENV.agentops_secret_key or token_urlsafe(48)
ALLOWED_HOSTS = [ENV.public_host, "127.0.0.1", "localhost", "[::1]"]
ROOT_URLCONF = "agentops.urls"
ASGI_APPLICATION = "agentops.asgi.application"
APPEND_SLASH = False

INSTALLED_APPS = [
    "agentops.pipeline.Pipeline",
    "agentops.console",
    "agentops.accounts",
    "agentops.audit",
    "agentops.jobs",
    "agentops.redaction",
    "agentops.notify",
    "agentops.runtime.apps.RuntimeConfig",
    "agentops.runtime.desk",
    "agentops.web",
    "traces",
    "traces.threads.apps.ThreadsConfig",
    "traces.search.apps.SearchConfig",
    "traces.containment.apps.ContainmentConfig",
    "traces.detectors.apps.DetectorsConfig",
    "traces.drills.apps.DrillsConfig",
    "traces.alerts.apps.AlertsConfig",
    "traces.tuning.apps.TuningConfig",
    "approvals.apps.ApprovalsConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "csp",
    "django_htmx",
    "django_structlog",
    "template_partials",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "agentops.accounts.middleware.ProjectMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

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
                "agentops.console.watch.silent_parts",
            ],
        },
    }
]

# Postgres: the only truth. Threads of one web process keep their connections; a request is refused, not hung, when
# Postgres is away.
EMBEDDED_DATABASE = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "agentops",
    "USER": "agentops",
    "HOST": str(ENV.socket_dir),
    # The errors of our own sessions reach us as exceptions, and some are expected (a batch that is sent again): only
    # those of Postgres's own processes go into its log. A setting for superusers, which we are here and nowhere else.
    "OPTIONS": {"options": "-c log_min_messages=log"},
}
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **(dj_database_url.parse(ENV.database_url) if ENV.database_url else EMBEDDED_DATABASE),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 3)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The broker carries wake-ups, never the only copy of a job. Why each of these: docs/architecture.md.
CELERY_BROKER_URL = ENV.broker_url or f"redis+socket://{quote(str(ENV.socket_dir / BROKER_SOCKET))}"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # a task that kills its worker would go round for ever
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TRACK_STARTED = False
CELERY_TASK_SOFT_TIME_LIMIT = 270
CELERY_TASK_TIME_LIMIT = 300
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 500
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # nobody uses it, and each worker would keep a channel for it
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # for ever: one that gave up would have to be started by hand
if ENV.broker_url.startswith("amqp"):
    CELERY_TASK_DEFAULT_QUEUE_TYPE = CELERY_BROKER_NATIVE_DELAYED_DELIVERY_QUEUE_TYPE = "quorum"
    CELERY_WORKER_DETECT_QUORUM_QUEUES = True
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {"confirm_publish": True}
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 900,  # longer than the hard time limit, or a long task would start twice
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

ACCOUNT_ADAPTER = "agentops.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_RATE_LIMITS = {"login": "30/m/ip", "login_failed": "10/m/ip,5/5m/key", "change_password": "5/m/user"}
# Limits count across processes, so they live where all processes meet.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "accounts_cache",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
}
TRUSTED_PROXIES = ENV.agentops_trusted_proxies
AUDIT_KEY = ENV.agentops_audit_key or SECRET_KEY
ENCRYPTION_KEY = ENV.agentops_encryption_key
OUTBOUND_ALLOW = ENV.outbound_allow
OUTBOUND_OWN_ORIGINS = ENV.own_origins
if ENV.mail:
    EMAIL_HOST, EMAIL_PORT = ENV.mail.host, ENV.mail.port
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = ENV.mail.user, ENV.mail.password
    EMAIL_USE_TLS, EMAIL_USE_SSL = ENV.mail.security == "starttls", ENV.mail.security == "tls"
    DEFAULT_FROM_EMAIL = SERVER_EMAIL = ENV.mail.sender
DRILL_EVERY_S = ENV.agentops_drill_every_s
DEADMAN_URL = ENV.agentops_deadman_url
SELF_WATCH = True  # a banner where a part of the installation is silent
SESSION_COOKIE_AGE = 7 * 24 * 3600
SESSION_IDLE_S = 12 * 3600

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["agentops.accounts.rest.MemberAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["agentops.accounts.rest.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["agentops.web.api.NestedJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "agentops.web.api.JsonOnly",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS is answered 405 like every method that a route does not know
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "agentops.web.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "AgentOps",
    "DESCRIPTION": "Send the steps of your agents, read what became of them.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],  # the middleware has let the request in
}

_COOKIE_PREFIX = "__Host-" if ENV.is_https else ""
SESSION_COOKIE_NAME = f"{_COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{_COOKIE_PREFIX}csrftoken"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENV.is_https
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "agentops.web.errors.csrf_failure"
CSRF_TRUSTED_ORIGINS = [ENV.agentops_public_url] if ENV.is_https else []
SECURE_HSTS_SECONDS = 31_536_000 if ENV.is_https else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.is_https else None
SECURE_REFERRER_POLICY = "same-origin"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [NONCE, "'strict-dynamic'"],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 60

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
LANGUAGE_CODE = "en-us"

LOGGING = logging_config(text=ENV.logs_are_text, debug=DEBUG)
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
