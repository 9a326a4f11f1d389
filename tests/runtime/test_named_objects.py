import sys

import pytest

from fraud_ae.data.sources import SOURCE
from fraud_ae.errors import UserError
from fraud_ae.features.serialization import STRATEGY
from fraud_ae.models.settings import NETWORK
from fraud_ae.runtime.named_objects import VARIABLE, Kind, allow_modules, allowed_modules, resolve
from fraud_ae.scorers.scorer import SCORER

KINDS = {"strategy": STRATEGY, "network": NETWORK, "scorer": SCORER, "source": SOURCE}


@pytest.fixture(autouse=True)
def none_allowed(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")


@pytest.fixture
def users_module(tmp_path, monkeypatch):
    """A module of the user's own, which says when it is imported."""
    (tmp_path / "payday.py").write_text(
        "import os\nimport pathlib\n"
        f"pathlib.Path({str(tmp_path)!r}, 'imported').touch()\n"
        "class Payday:\n    def generate_features(self, df): ...\n"
        "class Other: ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "imported"
    sys.modules.pop("payday", None)


@pytest.mark.parametrize("kind", KINDS)
def test_every_path_of_the_package_is_of_its_kind(kind):
    for path in KINDS[kind].paths:
        assert KINDS[kind].accepts(resolve(path, KINDS[kind]))


@pytest.mark.promise("A1")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "path",
    [
        "shutil.rmtree",
        "pandas.read_pickle",
        "joblib.load",
        "torch.load",
        "numpy.load",
        "builtins.open",
        "os:system",
        "fraud_ae.runtime.atomic_files.write_json",
        "fraud_ae.errors.UserError",
        "",
        "open",
    ],
)
def test_nothing_else_is_resolved_wherever_it_is_named(kind, path):
    with pytest.raises(UserError):
        resolve(path, KINDS[kind])


def test_what_is_of_another_place_is_refused():
    with pytest.raises(UserError, match="must be a scorer"):
        resolve("fraud_ae.features.Baseline", SCORER)


@pytest.mark.promise("A1")
def test_a_users_module_is_not_even_imported_before_it_is_allowed(users_module):
    with pytest.raises(UserError, match=r"allowed_modules=\[payday\]"):
        resolve("payday.Payday", STRATEGY)
    assert not users_module.exists()
    allow_modules(["payday"])
    assert resolve("payday.Payday", STRATEGY).__name__ == "Payday"
    assert users_module.exists()


def test_what_an_allowed_module_imports_is_not_allowed_with_it(users_module):
    allow_modules(["payday"])
    anything = Kind("a function", frozenset(), callable)
    with pytest.raises(UserError, match="of a module that is not allowed"):
        resolve("payday.os.system", anything)
    with pytest.raises(UserError, match="must be a feature strategy"):
        resolve("payday.Other", STRATEGY)
    with pytest.raises(UserError, match="paydayish is not allowed"):
        resolve("paydayish.Payday", STRATEGY)


def test_only_names_of_modules_can_be_allowed():
    with pytest.raises(UserError, match="no name of a module"):
        allow_modules(["../evil"])
    assert allowed_modules() == []
