"""Every route and who may call it: a room that adds a route adds a row here, or the tests fail."""

from datetime import timedelta

from agentops.accounts.links import make_link
from agentops.accounts.models import LinkPurpose, Project, Role
from agentops.console.unbuilt import UNBUILT, Unbuilt
from agentops.notify.models import FeedItem
from agentops.notify.models import Route as ChannelRoute
from agentops.redaction.models import RedactionRule
from agentops.runtime.services import start_run
from approvals import services
from approvals.models import Approval
from tests.alerts.builders import raise_one, silence_one
from tests.approvals.builders import make_policy, propose
from tests.builders import make_key, make_membership, make_user
from tests.notify.builders import make_channel
from tests.routes.route import ANY, Route, api, key_door, page, public
from tests.traces.builders import send, step
from traces.alerts.verdicts import Demotion
from traces.detectors.tool_loop import ToolLoop
from traces.models import Session, Trace
from traces.tuning.backtests import start as start_backtest
from traces.tuning.models import SettingsVersion
from traces.tuning.services import Wish, set_detector


def a_member(project: Project) -> dict[str, object]:
    return {"pk": make_membership(project, Role.VIEWER).pk}


def an_invited_member(project: Project) -> dict[str, object]:
    return {"pk": make_membership(project, Role.VIEWER, make_user(password=None)).pk}


def a_key(project: Project) -> dict[str, object]:
    return {"pk": make_key(project).key.pk}


def a_link(project: Project) -> dict[str, object]:
    user = make_membership(project, Role.VIEWER).user
    return {"token": make_link(user, purpose=LinkPurpose.SIGN_IN, lifetime=timedelta(minutes=1))}


def a_channel(project: Project) -> dict[str, object]:
    return {"pk": make_channel(project, "https://127.0.0.1/").pk}


def a_route(project: Project) -> dict[str, object]:
    return {"pk": ChannelRoute.objects.create(channel=make_channel(project)).pk}


def a_rule(project: Project) -> dict[str, object]:
    return {"pk": RedactionRule.objects.get_or_create(project=project, name="a_rule", defaults={"pattern": "x+"})[0].pk}


def a_feed_item(project: Project) -> dict[str, object]:
    item = FeedItem.objects.create(project=project, key="alert:1", kind="alert.opened", severity="high", title="a loop")
    return {"item": item.pk}


def a_trace(project: Project) -> dict[str, object]:
    send(project, step(trace=f"trace of {project.slug}"))
    return {"trace_id": Trace.objects.of(project).get().id_hex}


def a_step(project: Project) -> dict[str, object]:
    send(project, step(trace=f"trace of {project.slug}", span_id="the-span"))
    return {"trace_id": Trace.objects.of(project).get().id_hex, "span_id": "the-span"}


def an_alert(project: Project) -> dict[str, object]:
    return {"alert_id": raise_one(project).pk}


def a_demotion(project: Project) -> dict[str, object]:
    return {"demotion_id": Demotion.objects.create(project=project, detector="ToolLoop", verdicts=50, right=1).pk}


def a_silence(project: Project) -> dict[str, object]:
    return {"silence_id": silence_one(project, make_user(), pattern="tool_loop").pk}


def a_detector(_: Project) -> dict[str, object]:
    return {"name": "ToolLoop"}


def a_settings_version(project: Project) -> dict[str, object]:
    by = make_membership(project).user
    for repeats in (6, 7):
        set_detector(project, ToolLoop, Wish({"min_repeats": repeats}), by=by)
    return {"pk": SettingsVersion.objects.of(project).earliest("number").pk}


def a_backtest(project: Project) -> dict[str, object]:
    return {"pk": start_backtest(project, ToolLoop, {"min_repeats": 6}, by=make_membership(project).user).pk}


def an_approval(project: Project) -> dict[str, object]:
    make_membership(project, Role.APPROVER)
    return {"approval_id": propose(project).pk}


def a_decision(_: Project) -> dict[str, object]:
    return {"decision": "approve", "digest": Approval.objects.latest("id").digest}


def a_run(project: Project) -> dict[str, object]:
    return {"run_id": start_run(project, agent="support-desk", input="Look into order 1001.", by=None).pk}


def an_approved_action(project: Project) -> dict[str, object]:
    make_policy(project, tier="low")
    return {"approval_id": propose(project).pk}


def a_claimed_action(project: Project) -> dict[str, object]:
    objects = an_approved_action(project)
    services.claim(Approval.objects.get(pk=objects["approval_id"]), key="k")
    return objects


def a_session(project: Project) -> Session:
    send(project, step(session_id=f"session of {project.slug}"))
    return Session.objects.of(project).get()


def an_unbuilt(one: Unbuilt) -> Route:
    return key_door(one.scope, ok=dict.fromkeys(one.methods, 501), objects=lambda _: {"rest": "one"})


A_RUN = {"agent": "support-desk", "input": "Where is order 1001?"}
A_PASSWORD = "long-and-never-used-before"
NEW_PASSWORD = {"new_password1": A_PASSWORD, "new_password2": A_PASSWORD}
NEW_MEMBER = {"email": "new@example.com", "role": "viewer"}
NEW_KEY = {"name": "ci", "scopes": ["ingest"], "expires": "30"}

NEW_CHANNEL = {"name": "hooks", "url": "https://hooks.example.com/"}

NEW_RULE = {"name": "employee_id", "pattern": r"EMP-\d+"}

NEW_SETTINGS = {"mode": "on", "min_repeats": "6", "base": "0"}

A_PROPOSAL = {"tool_name": "issue_refund", "arguments": {"order_id": 1001}}
A_VERDICT = {"verdict": "true_positive", "note": "It was."}
A_SILENCE = {"hours": "8", "reason": "It is known."}

A_DRILL = {"pattern": "tool_loop", "trace_id": "a drill"}

A_WISH = {"agent": "support-desk", "input": "Look into order 1001."}

ONE_STEP = {"trace_id": "t", "step_number": 1, "timestamp": "2026-03-16T12:00:00Z", "event_type": "error"}

MATRIX: dict[str, Route] = {
    # accounts: sign-in and a person's own pages
    "/accounts/login/": public(ok={"GET": 200, "POST": 200}, signed_in=302, data={"login": "x@example.com"}),
    "/accounts/logout/": public(ok={"POST": 302}),
    "/accounts/link/<str:token>/": public(ok={"GET": 200, "POST": 302}, objects=a_link),
    "/accounts/profile": page(ok={"GET": 200, "POST": 302}, data={"name": "Ada"}),
    "/accounts/password": page(ok={"POST": 302}, data=NEW_PASSWORD),
    "/accounts/project/": page(ok={"POST": 302}, data=lambda project: {"project": project.slug}),
    # accounts: a project's settings
    "/settings/members": page("manage_members"),
    "/settings/members/add": page("manage_members", ok={"POST": 200}, data=NEW_MEMBER),
    "/settings/members/<uuid:pk>/invite": page("manage_members", ok={"POST": 200}, objects=an_invited_member),
    "/settings/members/<uuid:pk>/role": page(
        "manage_members", ok={"POST": 302}, objects=a_member, data={"role": "admin"}
    ),
    "/settings/members/<uuid:pk>/remove": page("manage_members", ok={"GET": 200, "POST": 302}, objects=a_member),
    "/settings/keys": page("manage_keys"),
    "/settings/keys/create": page("manage_keys", ok={"POST": 200}, data=NEW_KEY),
    "/settings/keys/<uuid:pk>/rotate": page("manage_keys", ok={"POST": 200}, objects=a_key),
    "/settings/keys/<uuid:pk>/revoke": page("manage_keys", ok={"GET": 200, "POST": 302}, objects=a_key),
    # console
    "/livez": public(),
    "/readyz": public(),
    "/": page(),
    "/start": page(),
    "/stream": page(),
    "/settings/audit": page("view_audit"),
    "/traces/<trace:trace_id>/stop": page(
        "stop", ok={"GET": 200, "POST": 302}, objects=a_trace, data={"reason": "It goes wrong."}
    ),
    "/settings/containment": page("manage_containment", ok={"GET": 200, "POST": 302}, data={"tool_loop": "high"}),
    "/components": page(),
    "/theme": page(ok={"POST": 302}, data={"theme": "dark"}),
    "/api/schema": api(ANY),
    "/api/docs": page(),
    "/healthz/deep": key_door("read", ok={"GET": 503}),
    **{f"/{one.path}": an_unbuilt(one) for one in UNBUILT},
    # notify
    "/feed": page(),
    "/feed/read": page(ok={"POST": 302}, data=a_feed_item),
    "/settings/channels": page(),
    "/settings/channels/add": page("manage_channels", ok={"GET": 200, "POST": 200}, data=NEW_CHANNEL),
    "/settings/channels/routing": page(),
    "/settings/channels/routing/fallback": page("manage_channels", ok={"POST": 302}),
    "/settings/channels/routing/add": page("manage_channels", ok={"POST": 422}),
    "/settings/channels/routing/<uuid:pk>/remove": page("manage_channels", ok={"POST": 302}, objects=a_route),
    "/settings/channels/<uuid:pk>/takes": page("manage_channels", ok={"POST": 302}, objects=a_channel),
    "/settings/channels/<uuid:pk>": page(objects=a_channel),
    "/settings/channels/<uuid:pk>/edit": page(
        "manage_channels", ok={"GET": 200, "POST": 200}, objects=a_channel, data=NEW_CHANNEL
    ),
    "/settings/channels/<uuid:pk>/test": page("manage_channels", ok={"POST": 302}, objects=a_channel),
    "/settings/channels/<uuid:pk>/pause": page("manage_channels", ok={"POST": 302}, objects=a_channel),
    "/settings/channels/<uuid:pk>/resume": page("manage_channels", ok={"POST": 302}, objects=a_channel),
    "/settings/channels/<uuid:pk>/secret": page("manage_channels", ok={"POST": 200}, objects=a_channel),
    "/settings/channels/<uuid:pk>/delete": page("manage_channels", ok={"GET": 200, "POST": 302}, objects=a_channel),
    # redaction
    "/settings/redaction": page("manage_redaction", ok={"GET": 200, "POST": 302}, data=NEW_RULE),
    "/settings/redaction/<uuid:pk>/remove": page("manage_redaction", ok={"GET": 200, "POST": 302}, objects=a_rule),
    # traces: pages
    "/traces": page(),
    "/traces/<trace:trace_id>": page(objects=a_trace),
    "/ingest": page(),
    "/ingest/batches": page(),
    "/ingest/batches/<str:batch_id>": page(objects=lambda project: {"batch_id": send(project, step()).batch_id.hex}),
    "/sessions": page(),
    "/sessions/<uuid:session_id>": page(objects=lambda project: {"session_id": a_session(project).pk}),
    # alerts: pages
    "/alerts": page(),
    "/alerts/<uuid:alert_id>": page(objects=an_alert),
    "/alerts/<uuid:alert_id>/acknowledge": page("acknowledge", ok={"POST": 302}, objects=an_alert),
    "/alerts/<uuid:alert_id>/resolve": page("acknowledge", ok={"POST": 302}, objects=an_alert, data=A_VERDICT),
    "/alerts/<uuid:alert_id>/silence": page("acknowledge", ok={"POST": 302}, objects=an_alert, data=A_SILENCE),
    "/alerts/<uuid:alert_id>/hear": page("acknowledge", ok={"POST": 302}, objects=an_alert),
    "/alerts/<uuid:alert_id>/why": page(objects=an_alert),
    "/why/<trace:trace_id>": page(objects=a_trace),
    "/silences": page(),
    "/silences/add": page("acknowledge", ok={"POST": 302}, data={**A_SILENCE, "pattern": "tool_loop"}),
    "/silences/<uuid:silence_id>": page(objects=a_silence),
    "/silences/<uuid:silence_id>/end": page("acknowledge", ok={"POST": 302}, objects=a_silence),
    "/mttd": page(),
    "/demotions/<uuid:demotion_id>/lift": page("acknowledge", ok={"POST": 302}, objects=a_demotion),
    # tuning: pages
    "/detectors": page(),
    "/detectors/shadow": page(),
    "/detectors/backtests/<uuid:pk>": page(objects=a_backtest),
    "/detectors/backtests/<uuid:pk>/cancel": page("manage_detectors", ok={"POST": 302}, objects=a_backtest),
    "/detectors/<str:name>": page(objects=a_detector, is_shared=True),
    "/detectors/<str:name>/set": page(
        "manage_detectors", ok={"POST": 302}, objects=a_detector, is_shared=True, data=NEW_SETTINGS
    ),
    "/detectors/versions/<uuid:pk>/restore": page("manage_detectors", ok={"POST": 302}, objects=a_settings_version),
    # runtime: pages
    "/runs": page(),
    "/runs/new": page("run", ok={"GET": 200, "POST": 302}, data=A_WISH),
    "/runs/<uuid:run_id>": page(objects=a_run),
    "/runs/<uuid:run_id>/cancel": page("run", ok={"GET": 200, "POST": 302}, objects=a_run),
    # approvals: pages
    "/approvals": page(),
    "/approvals/<uuid:approval_id>": page(objects=an_approval),
    "/approvals/<uuid:approval_id>/decide": page("decide", ok={"POST": 302}, objects=an_approval, data=a_decision),
    # approvals: API
    "/api/v1/approvals": api({"GET": ("read", "gate"), "POST": "gate"}, ok={"GET": 200, "POST": 201}, data=A_PROPOSAL),
    "/api/v1/approvals/<str:approval_id>": api({"GET": ("read", "gate")}, objects=an_approval),
    # Without the Idempotency-Key that it asks for.
    "/api/v1/approvals/<str:approval_id>/claim": api("gate", ok={"POST": 400}, objects=an_approved_action),
    "/api/v1/approvals/<str:approval_id>/result": api(
        "gate", ok={"POST": 200}, objects=a_claimed_action, data={"outcome": "succeeded"}
    ),
    "/api/v1/approvals/<str:approval_id>/cancel": api("gate", ok={"POST": 200}, objects=an_approval),
    # alerts: API
    "/api/v1/findings": api(),
    "/api/v1/alerts": api(),
    "/api/v1/alerts/<str:alert_id>": api(objects=an_alert),
    "/api/v1/alerts/<str:alert_id>/acknowledge": api("manage", ok={"POST": 200}, objects=an_alert),
    "/api/v1/alerts/<str:alert_id>/resolve": api("manage", ok={"POST": 200}, objects=an_alert, data=A_VERDICT),
    "/api/v1/drills": api("manage", ok={"POST": 201}, data=A_DRILL),
    "/api/v1/mttd": api(),
    "/api/v1/detectors": api(),
    "/api/v1/detectors/<str:name>": api(objects=a_detector, is_shared=True),
    # runs: API
    "/api/v1/runs": api({"GET": "read", "POST": "run"}, ok={"GET": 200, "POST": 201}, data=A_RUN),
    "/api/v1/runs/<str:run_id>": api(objects=a_run),
    "/api/v1/runs/<str:run_id>/cancel": api("run", ok={"POST": 200}, objects=a_run),
    # OTLP
    "/v1/traces": key_door("ingest", ok={"POST": 200}),
    "/v1/logs": key_door("ingest", ok={"POST": 200}),
    "/v1/metrics": key_door("ingest", ok={"POST": 200}),
    "/api/public/otel/v1/traces": key_door("ingest", ok={"POST": 200}),
    # traces: API
    "/api/v1/traces": api({"GET": "read", "POST": "ingest"}, ok={"GET": 200, "POST": 200}, data=ONE_STEP),
    "/api/v1/traces/<trace:trace_id>": api(objects=a_trace),
    "/api/v1/traces/<trace:trace_id>/steps": api(objects=a_trace),
    "/api/v1/traces/<trace:trace_id>/steps/<any:span_id>": api(objects=a_step),
    "/api/v1/traces/<trace:trace_id>/export": api(objects=a_trace),
    "/api/v1/sessions": api(),
    "/api/v1/sessions/<any:session_id>": api(objects=lambda project: {"session_id": a_session(project).session_id}),
    "/api/v1/ingest/batches/<str:batch_id>": api(objects=lambda project: {"batch_id": send(project, step()).batch_id}),
}
