"""The room of search: the words of each trace, and how far they lag behind."""

from django.apps import AppConfig


class SearchConfig(AppConfig):
    name = "traces.search"
    label = "search"
