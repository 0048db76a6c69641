"""`drill`: inject a failing run of each pattern into a running instance and say how fast people would have known."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.console import drilling
from agentops.console.drill_runs import RUNS
from traces.drills.services import drillable

CREDENTIALS = "credentials.json"


class Command(BaseCommand):
    help = "Register and inject a failing run of each pattern, wait for its alert and delivery; exit 1 on a miss."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("patterns", nargs="*", metavar="PATTERN", help=f"some of {', '.join(RUNS)}; default: all")
        parser.add_argument("--base-url", default="", help="of a running instance; default: that of the data directory")
        parser.add_argument("--api-key", default="", help="with the scopes manage, ingest and read")
        parser.add_argument("--format", choices=["table", "json"], default="table")
        parser.add_argument(
            "--wait", type=float, default=drilling.WAIT_S, help="seconds until it is a miss (%(default)s)"
        )

    def handle(self, *, patterns: list[str], base_url: str, api_key: str, wait: float, **options: Any) -> None:
        chosen = _chosen(patterns)
        instance = self._instance(base_url, api_key)
        try:
            injected = []
            for pattern in chosen:
                injected.append(drilling.inject(instance, pattern))
                self.stderr.write(f"injected {pattern}")
            outcomes = drilling.wait_for(instance, injected, wait_s=wait, told=self._say)
        except drilling.RefusedError as error:
            raise CommandError(f"the drill was refused: {error}") from None
        except drilling.UnreachableError as error:
            raise CommandError(str(error)) from None
        is_json = options["format"] == "json"
        self.stdout.write(drilling.as_json(outcomes) if is_json else drilling.as_table(outcomes))
        missed = [outcome.pattern for outcome in outcomes if drilling.is_missed(outcome)]
        if missed:
            raise CommandError(f"{len(missed)} of {len(outcomes)} drills were missed: {', '.join(missed)}")

    def _say(self, outcome: drilling.Outcome) -> None:
        self.stderr.write(f"{outcome.pattern}: {'missed' if drilling.is_missed(outcome) else 'told'}")

    def _instance(self, base_url: str, api_key: str) -> drilling.Instance:
        if bool(base_url) != bool(api_key):
            raise CommandError("--base-url and --api-key go together", returncode=2)
        if not base_url:
            base_url, api_key = _saved()
        try:
            return drilling.Instance(base_url, api_key)
        except drilling.UnreachableError as error:
            raise CommandError(str(error), returncode=2) from None


def _chosen(patterns: list[str]) -> list[str]:
    """Return what to drill; what nothing recognises would be missed for sure."""
    unknown = sorted(set(patterns) - set(RUNS))
    if unknown:
        raise CommandError(f"there is no drill of {', '.join(unknown)}; choose from {', '.join(RUNS)}", returncode=2)
    recognised = set(drillable())
    if blind := [pattern for pattern in patterns if pattern not in recognised]:
        raise CommandError(f"no detector recognises {', '.join(blind)} here, so a drill of it would prove nothing")
    return list(dict.fromkeys(patterns)) or [pattern for pattern in RUNS if pattern in recognised]


def _saved() -> tuple[str, str]:
    """Return the address and key that `up` wrote into the data directory."""
    place = settings.DATA_DIR / CREDENTIALS
    try:
        saved = json.loads(place.read_text(encoding="utf-8"))
        return str(saved["url"]), str(saved["api_key"])
    except (OSError, ValueError, KeyError) as error:
        raise CommandError(
            f"{place} cannot be read ({type(error).__name__}): start `up` on this data directory, "
            "or name an instance with --base-url and --api-key"
        ) from None
