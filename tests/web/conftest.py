"""Property tests here are about what comes out, not how fast a shared machine is: no deadline for one example."""

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
