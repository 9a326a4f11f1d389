"""Reading the YAML files that an experiment leaves."""

from pathlib import Path

import yaml

# The parser in C, where PyYAML has it, takes a tenth of the time. Both make plain data alone.
_SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> dict | None:
    """What a file says, None where there is none. Raises yaml.YAMLError where it is damaged."""
    if not path.is_file():
        return None
    return yaml.load(path.read_text(), Loader=_SAFE_LOADER)  # noqa: S506 (it is the safe one)
