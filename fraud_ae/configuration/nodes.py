"""Objects that a node of a configuration names by its `_target_`."""

import inspect
from dataclasses import replace

from hydra.utils import instantiate

from fraud_ae.configuration.command_line import CONF
from fraud_ae.errors import UserError
from fraud_ae.models.settings import NETWORK
from fraud_ae.runtime.named_objects import Kind, resolve

# What lies beside `train.py` and is no user's code.
_OF_PROJECT = ("benchmarks", "fraud_ae", "pipeline", "tests", "train")


def build(node: dict, kind: Kind) -> object:
    """The object that a node's `_target_` names; nested nodes are built with it.

    kind: what the node is to be; nested ones are of the same kind, or of an allowed module. Raises
    UserError naming the target where it is not allowed, of another kind, or cannot be built.
    """
    target = node.get("_target_")
    resolve(target, kind)
    nested = _targets([value for key, value in node.items() if key != "_target_"])
    part = replace(kind, accepts=callable)
    for path in nested:
        resolve(path, part)
    try:
        return instantiate(node, _execution_whitelist_=sorted({target, *nested}), _convert_="all")
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(f"{target}: {cause}") from error


def network_settings(node: dict) -> dict:
    """`{"class": path, **arguments}` of a network, which is built when its inputs are known.

    Raises UserError where there is no such class, or it does not take the arguments.
    """
    arguments = dict(node)
    path = arguments.pop("_target_")
    try:
        network_class = resolve(path, NETWORK)
        taken = {name: value for name, value in arguments.items() if name != "members"}
        inspect.signature(network_class).bind(n_inputs=1, **taken)
    except (UserError, ValueError, TypeError) as error:
        raise UserError(f"model._target_={path}: {error}") from error
    return {"class": path, **arguments}


def _targets(node: object) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_targets, node))
    if not isinstance(node, dict):
        return set()
    target = {node["_target_"]} if "_target_" in node else set()
    return target.union(*map(_targets, node.values()))


def project_modules() -> list[str]:
    """Names of the modules and packages that a user has put beside `train.py`."""
    beside = [
        *CONF.parent.glob("*.py"),
        *(file.parent for file in CONF.parent.glob("*/__init__.py")),
    ]
    return sorted({path.stem for path in beside} - set(_OF_PROJECT))
