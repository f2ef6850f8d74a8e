"""An import-linter contract: the packages under `app/` import each other as the table of the service's apps allows.

pyproject.toml names the class; `lint-imports` runs it. A new app is held to the contract by its line in the table.
"""

from collections.abc import Iterator
from pathlib import Path

import grimp
from importlinter import Contract, ContractCheck, output

from config.service_apps import SERVICE_APPS

APP = Path(__file__).parents[2] / "app"


def allowed_imports() -> dict[str, set[str]]:
    """Return each package under `app/` with the other packages there that it may import."""
    labels = {app.label for app in SERVICE_APPS}
    return {
        "switchyard": set(),
        "rest": {"switchyard"},
        **{app.label: {"rest", "switchyard", *app.imports} for app in SERVICE_APPS},
        "config": {"rest", "switchyard", *labels},
    }


class ServiceAppsContract(Contract):
    """Hold each package under `app/` to `allowed_imports()`; keep `switchyard.testing` for tests."""

    type_name = "service_apps"

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Look at direct imports: where each of them is allowed, each chain of them is."""
        problems = [*unlisted_packages(), *wrong_imports()]
        return ContractCheck(kept=not problems, metadata={"problems": problems})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for problem in check.metadata["problems"]:
            output.print_error(f"- {problem}")


def unlisted_packages() -> Iterator[str]:
    """Yield a line for each package under `app/` that no row of the table and no rule above names."""
    for package in sorted(path.parent.name for path in APP.glob("*/__init__.py")):
        if package not in allowed_imports():
            yield f"app/{package} is no app of the service: add a line for it to app/config/service_apps.py."


def wrong_imports() -> Iterator[str]:
    """Yield a line for each import that `allowed_imports()` does not allow."""
    allowed = allowed_imports()
    graph = grimp.build_graph(*allowed, cache_dir=None)
    for importer in sorted(graph.modules):
        package = importer.partition(".")[0]
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            other = imported.partition(".")[0]
            if other != package and other not in allowed[package]:
                may = ", ".join(sorted(allowed[package])) or "none of the others"
                yield f"{importer} imports {imported}; of the packages under app/, {package} may import: {may}."
            elif other != package and imported.startswith("switchyard.testing"):
                yield f"{importer} imports {imported}, which is for tests only."
