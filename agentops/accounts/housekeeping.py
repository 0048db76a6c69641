"""What is deleted because its time is over: sessions, one-time links, answers kept for repetitions, counters."""

from datetime import timedelta

from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models.functions import Now

from agentops.accounts.idempotency import KEPT
from agentops.accounts.models import AnsweredCall, SignInLink

LINKS_KEPT = timedelta(days=30)  # so that a late guest reads "works no more", not nothing


def forget_expired() -> None:
    """Delete it. Four statements."""
    Session.objects.filter(expire_date__lt=Now()).delete()
    SignInLink.objects.filter(expires_at__lt=Now() - LINKS_KEPT).delete()
    AnsweredCall.objects.filter(answered_at__lt=Now() - KEPT).delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_cache WHERE expires < now()")
