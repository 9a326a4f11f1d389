"""Objects that a node of a configuration names by its `_target_`."""

import inspect
import pkgutil

from hydra.utils import instantiate

from fraud_ae.errors import UserError


def build(node: dict) -> object:
    """The object that a node's `_target_` names; nested nodes are built with it.

    Raises UserError naming the target where it cannot be built.
    """
    try:
        return instantiate(node, _execution_whitelist_=sorted(_targets(node)), _convert_="all")
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(f"{node.get('_target_')}: {cause}") from error


def network_settings(node: dict) -> dict:
    """`{"class": path, **arguments}` of a network, which is built when its inputs are known.

    Raises UserError where there is no such class, or it does not take the arguments.
    """
    arguments = dict(node)
    path = arguments.pop("_target_")
    try:
        network_class = pkgutil.resolve_name(path)
        taken = {name: value for name, value in arguments.items() if name != "members"}
        inspect.signature(network_class).bind(n_inputs=1, **taken)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(f"model._target_={path}: {error}") from error
    return {"class": path, **arguments}


def _targets(node: object) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_targets, node))
    if not isinstance(node, dict):
        return set()
    target = {node["_target_"]} if "_target_" in node else set()
    return target.union(*map(_targets, node.values()))
