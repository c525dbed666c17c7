"""The rooms of the house import downward only."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2] / "fitcheck"

# Ground first. Rooms on one step may not import each other, but for the pairs below.
STEPS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("units",),
    ("schema",),
    ("footprint",),
    ("speed",),
    ("budget",),
    ("placement",),
    ("spreader",),
    ("host",),
    ("flags", "pace"),
    ("verdict",),
    ("judge",),
    ("choice",),
    ("planner",),
    ("accuracy",),
    ("requirements", "ranking", "claims", "expectation"),
    ("sources", "bench"),
    ("probe", "runners"),
    ("verify", "verify_engine"),
    ("calibrate",),
    ("render",),
    ("tui",),
    ("cli",),
)
HEIGHT = {room: height for height, rooms in enumerate(STEPS) for room in rooms}


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "fitcheck" and len(parts) > 1 and parts[1] != "__main__" else None


def imports(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def arrows() -> list[tuple[str, str, str]]:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        here = room_of(".".join(("fitcheck", *path.relative_to(ROOT).with_suffix("").parts)))
        for module in imports(path):
            there = room_of(module)
            if here in HEIGHT and there in HEIGHT and here != there:
                found.append((str(path.relative_to(ROOT)), here, there))
    return found


def test_every_room_has_its_step() -> None:
    rooms = {path.stem for path in ROOT.iterdir() if path.is_dir() or path.suffix == ".py"}
    rooms -= {"__init__", "__main__", "__pycache__", "profiles", "_native.abi3", "_native"}
    unknown = {room for room in rooms if not room.startswith("_native")} - set(HEIGHT)
    assert not unknown, f"give {unknown} a step in this test"


def test_imports_run_downward() -> None:
    found = arrows()
    assert found, "no imports seen: the walk is broken"
    upward = [arrow for arrow in found if HEIGHT[arrow[2]] >= HEIGHT[arrow[1]]]
    assert not upward


def test_planning_imports_nothing_heavy() -> None:
    """The pure rooms know neither files nor numpy nor a clock."""
    allowed = {
        "fitcheck",
        "bisect",
        "collections",
        "dataclasses",
        "enum",
        "fractions",
        "functools",
        "itertools",
        "math",
        "operator",
        "re",
        "types",
        "typing",
        "difflib",
    }
    for room in (
        "footprint",
        "speed",
        "schema",
        "units.py",
        "errors.py",
        "planner.py",
        "budget.py",
        "placement.py",
        "spreader.py",
        "flags.py",
        "pace.py",
        "host.py",
        "judge.py",
        "choice.py",
        "verdict.py",
        "ranking.py",
    ):
        path = ROOT / room
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            used = {module.split(".")[0] for module in imports(file)}
            assert used <= allowed, f"{file.name} imports {used - allowed}"


def test_one_file_loads_the_extension() -> None:
    users = [path.name for path in ROOT.rglob("*.py") if '"fitcheck._native"' in path.read_text()]
    assert users == ["extension.py"]


def test_every_room_is_installed() -> None:
    """A room that the list forgets is missing for all who install; one that is gone fails them."""
    listed = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rooms = {file.parent.relative_to(ROOT.parent).as_posix().replace("/", ".") for file in ROOT.rglob("*.py")}
    assert rooms | {"fitcheck.profiles"} == set(listed)
