"""The product's settings, with the app that only tests have."""

from agentops.settings import *  # noqa: F403
from agentops.settings import INSTALLED_APPS as _PRODUCT_APPS
from agentops.settings import PASSWORD_HASHERS as _PRODUCT_HASHERS

# Most pages are tested where no worker runs.
SELF_WATCH = False

INSTALLED_APPS = [*_PRODUCT_APPS, "tests.probe"]

# A real hash takes a tenth of a second on purpose; passwords of prepared installations have one.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *_PRODUCT_HASHERS]
