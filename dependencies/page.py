"""Writes docs/dependencies.md from the lock files, review.toml and page.md: `make dependencies`."""

from collections.abc import Iterable, Sequence

from dependencies.packages import (
    IMAGE_LOCK,
    LOCK,
    REVIEW,
    ROOT,
    SCALE_LOCK,
    direct,
    packages,
    pins,
    pre_releases,
)

PAGE = ROOT / "docs" / "dependencies.md"
TEXT = ROOT / "dependencies" / "page.md"


def page() -> str:
    """The page in Markdown. Every package of requirements.lock must be installed."""
    everything = {package.name: package for package in packages()}
    image, scale = pins(IMAGE_LOCK), pins(SCALE_LOCK)
    versions = {**{name: package.version for name, package in everything.items()}, **scale}
    licences = {**{name: p.licence for name, p in everything.items()}, **REVIEW["scale"]}
    asked = [
        (
            f"`{name}`",
            versions.get(name, "other systems"),
            licences.get(name, "-"),
            ", ".join(f"`{extra}`" if extra else "always" for extra in extras),
            REVIEW["why"].get(name, ""),
        )
        for name, extras in sorted(direct().items())
    ]
    early = [(f"`{name}`", version, *_review_of(name)) for name, version in pre_releases().items()]
    rows = [
        (
            f"`{package.name}`",
            package.version,
            package.licence,
            "yes" if package.used else "development",
            "yes" if package.name in image else "",
        )
        for package in everything.values()
    ]
    developers = [p for p in everything.values() if not p.used]
    strict = [
        f"`{p.name}` ({p.licence}, {'for use' if p.used else 'for development'})"
        for p in everything.values()
        if p.licence.startswith(("GPL", "AGPL"))
    ]
    summary = (
        f"{len(everything)} packages: {len(everything) - len(developers)} for use, "
        f"{len(developers)} for development alone, {len(image)} in the image. "
        f"Under the GPL or AGPL: {', '.join(strict) or 'none'}."
    )
    return TEXT.read_text().format(
        direct=_table(("Package", "Version", "Licence", "Extra", "What for"), asked),
        pre_releases=_table(("Package", "Version", "Why", "Look again"), early),
        summary=summary,
        all=_table(("Package", "Version", "Licence", "Used", "In the image"), rows),
        scale=_table(
            ("Package", "Version", "Licence"),
            [(f"`{name}`", version, licences[name]) for name, version in sorted(scale.items())],
        ),
    )


def _review_of(name: str) -> tuple[str, str]:
    entry = REVIEW["pre_releases"].get(name, {"reason": "", "look_again": ""})
    return entry["reason"], str(entry["look_again"])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(ROOT)}, from {LOCK.name} and review.toml")
