"""The product's settings, with the app that only tests have."""

from agentops.settings import *  # noqa: F403
from agentops.settings import INSTALLED_APPS as _PRODUCT_APPS

INSTALLED_APPS = [*_PRODUCT_APPS, "tests.probe"]

# A real hash takes a tenth of a second on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
