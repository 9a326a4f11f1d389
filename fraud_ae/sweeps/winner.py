"""The winner: which candidate of which stage becomes the model for production.

A longer training need not give a better network, so that the best of every sweep competes, and not
the last one alone. Of runs that validation cannot tell apart the one that was trained least is
taken: the rule of one standard error (Breiman et al., Classification and Regression Trees, 1984,
section 3.4.3) with a paired interval in place of the standard error.
"""

from collections.abc import Sequence
from pathlib import Path

from fraud_ae.configuration.command_line import candidate_folder
from fraud_ae.experiments.paired_gain import WITH_INTERVAL, paired_gain
from fraud_ae.experiments.run_store import Run
from fraud_ae.runtime.kept_files import parse_json, parse_yaml, read_kept, write_kept_json
from fraud_ae.sweeps.candidates import Candidate

WINNER = "winner.json"


def choose_winner(paths: Sequence[Path]) -> str:
    """The name of the candidate that wins among some, which `winner.json` then explains.

    paths: files in the group of candidates of one experiment, in the order of the stages. Those
    compete that maximised what the sweep did which ended last, on the same validation rows, and
    whose runs are there. Where the files do not say what they reached, the last one is taken.
    """
    folder = paths[-1].parents[2]
    known = {path: candidate for path in paths if (candidate := Candidate.of(path))}
    if not known:
        forget_winner(folder)
        return paths[-1].stem
    # max gives the first of equal ones, which is to be that of the last stage.
    latest = known[max(reversed(known), key=lambda path: known[path].sweep)]
    comparable = [c for c in known.values() if _compared(c) == _compared(latest)]
    kept = [c for c in comparable if _is_kept(folder, c)]
    decision = decide(folder, kept or [latest])
    decision["left_out"] = [c.name for c in known.values() if c not in (kept or [latest])]
    write_kept_json(folder / WINNER, decision)
    return decision["candidate"]


def decide(folder: Path, contenders: Sequence[Candidate]) -> dict:
    """Which of some candidates wins, and all that speaks for it, as plain data.

    folder: of the experiment. contenders: of the same objective and validation rows, in the order
    of the stages.

    The reference is the highest figure. A candidate ties with it if the 95 % interval of the
    difference contains 0: the paired bootstrap over the customers of the validation rows that the
    gate judges by. Without an interval, as for a metric of the user's own or where all rows are of
    one customer, only the same figure is a tie. Of all that tie, the fewest trained epochs win,
    then the higher figure, then the earlier stage. Each is compared with the reference alone, so
    that the outcome does not depend on any order.
    """
    reference = max(contenders, key=lambda c: (c.reached, -c.epochs))
    gains = {c.name: _gain(folder, c, reference) for c in contenders}
    tied = [c for c in contenders if _is_tie(gains[c.name])]
    winner = min(tied, key=lambda c: (c.epochs, -c.reached))
    return {
        **_described(winner),
        "objective": winner.objective,
        "validation_set": winner.validation_set,
        "best": reference.name,
        "reason": _reason(winner, reference, tied, len(contenders)),
        "contenders": [
            {**_described(c), **gains[c.name], "tied": _is_tie(gains[c.name])} for c in contenders
        ],
    }


def explain(decision: dict) -> str:
    """What `decide` gives, in a few lines for the screen."""
    head = f"winner: {decision['candidate']}, run {decision['run_id']}"
    lines = [f"{head}, {_epochs(decision)}", f"  {decision['reason']}"]
    if len(decision["contenders"]) > 1:
        lines.append(f"  {decision['objective']} on validation, and the difference to the best:")
        lines += [_line(contender, decision["best"]) for contender in decision["contenders"]]
    if decision["left_out"]:
        lines.append("  not of the same rows and objective, or without their runs:")
        lines.append(f"    {', '.join(decision['left_out'])}")
    return "\n".join(lines)


def read_winner(folder: Path) -> dict | None:
    """The decision of `choose_winner` in an experiment, None where there is none."""
    return read_kept(folder / WINNER, parse_json)


def forget_winner(folder: Path) -> None:
    """Remove a decision that further results have overtaken."""
    (folder / WINNER).unlink(missing_ok=True)


def origin(folder: Path, name: str | None, run_id: str) -> dict:
    """Where the run of the model for production comes from: stage, candidate and reason.

    name: of the candidate that was given or chosen. stage: None where no sweep made the run.
    """
    found = Candidate.of(candidate_folder(folder) / f"{name}.yaml") if name else None
    if found is None or found.run_id != run_id:
        reason = "with other settings than the candidate's" if name else "made without a candidate"
        return {"stage": None, "candidate": name, "reason": reason}
    decision = read_winner(folder)
    is_chosen = decision is not None and decision["candidate"] == name
    reason = decision["reason"] if is_chosen else "asked for"
    return {"stage": found.stage, "candidate": name, "reason": reason}


def _compared(candidate: Candidate) -> tuple[str, str]:
    return candidate.objective, candidate.validation_set


def _is_kept(folder: Path, candidate: Candidate) -> bool:
    identity = read_kept(folder / "runs" / candidate.run_id / "config.yaml", parse_yaml)
    return identity is not None and Run(folder / "runs", identity).finished


def _gain(folder: Path, candidate: Candidate, reference: Candidate) -> dict:
    """Difference to the reference with its interval, None where there is none."""
    if candidate == reference or candidate.objective not in WITH_INTERVAL:
        return {"difference": candidate.reached - reference.reached, "low": None, "high": None}
    runs = folder / "runs"
    gain = paired_gain(runs, candidate.run_id, reference.run_id, candidate.objective)
    return {name: gain[name] for name in ("difference", "low", "high")}


def _is_tie(gain: dict) -> bool:
    if gain["low"] is None:
        return gain["difference"] == 0
    return gain["low"] <= 0 <= gain["high"]


def _described(candidate: Candidate) -> dict:
    return {
        "candidate": candidate.name,
        "stage": candidate.stage,
        "run_id": candidate.run_id,
        "reached": candidate.reached,
        "epochs": candidate.epochs,
    }


def _reason(
    winner: Candidate, reference: Candidate, tied: Sequence[Candidate], contenders: int
) -> str:
    if contenders == 1:
        return "the only stage that can be compared"
    if winner == reference:
        others = "no other ties with it" if len(tied) == 1 else "of those that tie none is shorter"
        return f"the best on validation, and {others}"
    return f"ties with {reference.name}, the best on validation, and trained shorter"


def _line(contender: dict, best: str) -> str:
    text = f"  {contender['candidate']:<13}{contender['reached']:.4f}  {_epochs(contender):<11}"
    if contender["candidate"] == best:
        return f"{text}the best"
    text += f"{contender['difference']:+.4f}"
    if contender["low"] is not None:
        text += f", 95% {contender['low']:+.4f} to {contender['high']:+.4f}"
    return text + (", a tie" if contender["tied"] else "")


def _epochs(trained: dict) -> str:
    return f"{trained['epochs']} epoch{'s' if trained['epochs'] != 1 else ''}"
