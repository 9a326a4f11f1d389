"""Settings of the property tests: the same examples in every run, and no limit of time.

A failing example is shown as it was found: to look for a smaller one takes minutes.
"""

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "house",
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("house")
