"""E-mail through the server that EMAIL_URL names: text and HTML, nothing loaded from anywhere, no link but ours."""

import re
import smtplib
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import SafeMIMEMultipart
from django.core.validators import validate_email
from django.utils.html import format_html

from agentops.accounts.models import Membership, Role
from agentops.notify.channels.base import Envelope, Field, FieldError, Kind, Outcome, Result
from agentops.notify.models import Channel
from agentops.notify.wording import fitted, unlinked

MOST_PEOPLE = 20
SUBJECT = 200  # in UTF-16 units; nobody reads more in a list
TIMEOUT_S = 15
NO_SERVER = "Set EMAIL_URL, the mail server, where this installation runs; then mail can be sent."


def checked_people(text: str) -> str:
    """Return the addresses, with a comma between them. Raises FieldError."""
    people = [person for person in re.split(r"[,;\s]+", text) if person]
    if not 0 < len(people) <= MOST_PEOPLE:
        raise FieldError(f"Give 1 to {MOST_PEOPLE} addresses; for more people, the address of a list.")
    for person in people:
        try:
            validate_email(person)
        except ValidationError:
            raise FieldError("Write addresses such as ana@example.com, with commas between them.") from None
    return ", ".join(dict.fromkeys(people))


class Email(Kind):
    """Sends one mail to all. Nothing in it tells us who read it, and answers reach nobody."""

    name = "email"
    label = "E-mail"
    fields = (
        Field(
            "to",
            "To",
            "addresses with commas between them; empty: the project's admins",
            checked_people,
            is_required=False,
            is_target=True,
            example="ana@example.com, oncall@example.com",
        ),
    )

    def missing(self) -> str:
        return "" if settings.ENV.mail else NO_SERVER

    def describe(self, config: Mapping[str, str]) -> str:
        people = config.get("to", "").count("@")
        return f"{people} address{'es' if people > 1 else ''}" if people else "the project's admins"

    def send(self, channel: Channel, envelope: Envelope) -> Outcome:
        if not settings.ENV.mail:
            return Outcome(Result.CHANNEL_FAILED, "no mail server set")
        people = channel.config["to"].split(", ") if channel.config["to"] else admins(channel)
        if not people:
            return Outcome(Result.CHANNEL_FAILED, "no address")
        mail = compose(channel, envelope, people)
        content = cast("SafeMIMEMultipart", mail.message()).as_bytes(linesep="\r\n")
        backend = EmailBackend(timeout=TIMEOUT_S)
        try:
            backend.open()
            line = cast("smtplib.SMTP", backend.connection)
            # Not send_messages(): it keeps to itself which addresses the server refused.
            refused = line.sendmail(mail.from_email, people, content)
        except OSError as error:  # smtplib's own errors too
            return outcome_of_error(error)
        finally:
            with suppress(OSError):
                backend.close()
        return Outcome(Result.DELIVERED, f"accepted for {len(people) - len(refused)} of {len(people)}")


def admins(channel: Channel) -> list[str]:
    """Return the addresses of the project's admins. One query."""
    members = Membership.objects.filter(project=channel.project_id, role=Role.ADMIN, user__is_active=True)
    return list(members.order_by("pk").values_list("user__email", flat=True)[:MOST_PEOPLE])


def outcome_of_error(error: OSError) -> Outcome:
    """Judge what went wrong, in words that hold nothing of the server's answer: it may repeat a password."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return Outcome(Result.CHANNEL_FAILED, "sign-in refused")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        forever = all(code >= 500 for code, _ in error.recipients.values())
        return Outcome(Result.MESSAGE_REFUSED if forever else Result.CHANNEL_FAILED, "addresses refused")
    if isinstance(error, smtplib.SMTPResponseException):
        result = Result.MESSAGE_REFUSED if error.smtp_code >= 500 else Result.CHANNEL_FAILED
        return Outcome(result, f"{error.smtp_code // 100}xx")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Outcome(Result.CHANNEL_FAILED, "sign-in or encryption not offered")
    if isinstance(error, ssl.SSLError):
        return Outcome(Result.CHANNEL_FAILED, "bad certificate")
    return Outcome(Result.CHANNEL_FAILED, "timed out" if isinstance(error, TimeoutError) else "no answer")


def compose(channel: Channel, envelope: Envelope, people: list[str]) -> EmailMultiAlternatives:
    """Write the mail. The id is the same in each attempt, and mails about one thing stand in one conversation."""
    message = envelope.message
    title, body = unlinked(envelope.title), unlinked(message.body)
    foot = f"Sent by AgentOps to the channel {unlinked(channel.name)}. Nobody reads answers."
    host = settings.ENV.public_host
    mail = EmailMultiAlternatives(
        subject=fitted(title, SUBJECT),
        body="\n\n".join(filter(None, [title, body, f"Severity: {message.severity}", message.address, foot])) + "\n",
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=people,
        headers={
            "Message-ID": f"<{envelope.id}@{host}>",
            "References": f"<{message.id.replace(':', '.')}@{host}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    mail.attach_alternative(
        format_html(
            '<h2>{}</h2><p>Severity: {}</p><div style="white-space: pre-wrap">{}</div>{}<p><small>{}</small></p>',
            title,
            message.severity,
            body,
            format_html('<p><a href="{}">Open in AgentOps</a></p>', message.address) if message.address else "",
            foot,
        ),
        "text/html",
    )
    return mail
