"""`createkey NAME`: make an API key and print it, once."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentops.accounts.models import Project, Scope
from agentops.accounts.services import create_key, oldest_admin


class Command(BaseCommand):
    help = "make an API key of a project and print it; it is shown only now"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--scopes", default=",".join(Scope.values), help="comma-separated; all by default")
        parser.add_argument("--project", default="default", help="slug; default: default")
        parser.add_argument("--days", type=int, default=180, help="days until it expires; 0 = never; default: 180")

    def handle(self, *args: Any, **options: Any) -> None:
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        unknown = sorted(set(scopes) - set(Scope.values))
        if unknown or not scopes:
            raise CommandError(f"--scopes takes some of {', '.join(Scope.values)}", returncode=2)
        if options["days"] < 0:
            raise CommandError("--days takes 0 or more", returncode=2)
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"there is no project {options['project']}")
        owner = oldest_admin(project)
        if owner is None:
            raise CommandError(f"project {project.slug} has no active admin who could own the key")
        lifetime = timedelta(days=options["days"]) if options["days"] else None
        new = create_key(project, by=owner, name=options["name"][:120], scopes=scopes, lifetime=lifetime)
        until = f"until {new.key.expires_at:%Y-%m-%d}" if new.key.expires_at else "for ever"
        self.stderr.write(f"{new.key.name}: {', '.join(new.key.scopes)} in {project.slug}, {until}. Shown only now:")
        self.stdout.write(new.token)
