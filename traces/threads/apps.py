"""The room of threads: which traces of the wire are kept in another one."""

from django.apps import AppConfig


class ThreadsConfig(AppConfig):
    name = "traces.threads"
