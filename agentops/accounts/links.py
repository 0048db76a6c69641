"""One-time links that sign a person in."""

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.urls import reverse

from agentops.accounts.models import LinkPurpose, SignInLink, User
from agentops.accounts.secrets import digest, link_token

SIGN_IN_LIFETIME = timedelta(minutes=10)
INVITATION_LIFETIME = timedelta(days=3)


class LinkSpentError(Exception):
    """The link was used already, has run out, or never existed."""


def make_link(user: User, *, purpose: LinkPurpose, lifetime: timedelta) -> str:
    """Return the token of a new link; only its hash is kept."""
    token = link_token()
    SignInLink.objects.create(user=user, token_hash=digest(token), purpose=purpose, expires_at=Now() + lifetime)
    return token


def make_sign_in_link(user: User, *, base_url: str) -> str:
    """Return an address that signs this person in once within ten minutes."""
    return link_url(make_link(user, purpose=LinkPurpose.SIGN_IN, lifetime=SIGN_IN_LIFETIME), base_url=base_url)


def link_url(token: str, *, base_url: str) -> str:
    return f"{base_url.rstrip('/')}{reverse('accounts:link', args=[token])}"


def find_link(token: str) -> SignInLink | None:
    """Look at a link without using it up: mail scanners open addresses too."""
    return SignInLink.objects.usable().select_related("user").filter(token_hash=digest(token)).first()


@transaction.atomic
def use_link(token: str) -> SignInLink:
    """Use the link up. Raises LinkSpentError. One conditional UPDATE decides who was first."""
    used = SignInLink.objects.usable().filter(token_hash=digest(token)).update(used_at=Now())
    if not used:
        raise LinkSpentError
    return SignInLink.objects.select_related("user").get(token_hash=digest(token))
