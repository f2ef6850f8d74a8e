"""Instructions per call, counted by valgrind, with this Python and with the optimised Python of the image.

A Python that was built without optimisation needs a third more instructions, so the numbers of two builds cannot be
compared.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import docker
from docker.errors import APIError, BuildError, ContainerError, DockerException
from tests.bench.results import ROOT
from tests.support.engine import LABEL

IMAGE = "python:3.13-slim"
_DOCKERFILE = f"""
FROM {IMAGE}
RUN apt-get update && apt-get install --yes --no-install-recommends valgrind && rm -rf /var/lib/apt/lists/*
"""
_VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")

type Counts = dict[str, float]  # instructions per call, by workload


@dataclass(frozen=True)
class Build:
    """A build of Python to count with: it runs a contender's environment with arguments, and returns the output."""

    name: str
    optimised: bool
    run: Callable[[Mapping[str, str], list[str]], str]

    def count(self, environs: Mapping[str, Mapping[str, str]], module: str, calls: int) -> dict[str, Counts]:
        """Return the counts of each contender. Other load does not change counts, unlike times."""

        def counted(environ: Mapping[str, str]) -> Counts:
            return _per_call(self.run(environ, ["-m", "tests.bench.contender", module, f"--count={calls}"]), calls)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(zip(environs, pool.map(counted, environs.values()), strict=True))


def this_python() -> Iterator[Build]:
    """Yield this Python if valgrind is installed."""
    if shutil.which("valgrind") is None:
        print("left out: this Python's instructions (valgrind is not installed)", file=sys.stderr)
        return
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    yield Build("this Python", optimised, _here)


@contextmanager
def images_python() -> Iterator[list[Build]]:
    """Yield the image's Python with valgrind, if an engine can build this image."""
    try:
        engine = docker.from_env()
        engine.images.get(IMAGE)
        made, _ = engine.images.build(fileobj=BytesIO(_DOCKERFILE.encode()), rm=True, tag="switchyard-bench")
    except (DockerException, APIError, BuildError) as error:
        print(f"left out: the instructions of {IMAGE} ({error})", file=sys.stderr)
        yield []
        return

    def run(environ: Mapping[str, str], arguments: list[str]) -> str:
        packages = sysconfig.get_path("purelib")
        names = (
            "PYTHONPATH",
            "PYTHONHASHSEED",
            "DJANGO_SETTINGS_MODULE",
            "SECRET_KEY",
            "BENCH_STACK",
            "BENCH_REPLICAS",
        )
        given = {name: environ[name] for name in names}
        try:
            output: bytes = engine.containers.run(
                made,
                [*_VALGRIND, "python", *arguments],
                environment={
                    **given,
                    "PYTHONPATH": os.pathsep.join((given["PYTHONPATH"], packages)),
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                volumes={str(path): {"bind": str(path), "mode": "ro"} for path in (ROOT, packages)},
                working_dir=str(ROOT),
                labels={LABEL: str(os.getpid())},
                stderr=True,
                remove=True,
            )
        except ContainerError as error:
            raise SystemExit(f"valgrind in {IMAGE}: {str(error)[-2000:]}") from error
        return output.decode()

    try:
        yield [Build(IMAGE, True, run)]
    finally:
        engine.close()


def _here(environ: Mapping[str, str], arguments: list[str]) -> str:
    ran = subprocess.run(
        [*_VALGRIND, sys.executable, *arguments],
        env=dict(environ),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"valgrind ended with {ran.returncode}:\n{ran.stdout[-2000:]}")
    return ran.stdout


def _per_call(output: str, calls: int) -> Counts:
    total = {pid: int(count.replace(",", "")) for pid, count in re.findall(r"==(\d+)== I +refs: +([\d,]+)", output)}
    runs: dict[str, list[int]] = {}
    for pid, name in re.findall(r"^(\d+) \d+ (.+)$", output, re.MULTILINE):
        runs.setdefault(name, []).append(total[pid])
    return {name: (longer - shorter) / calls for name, (shorter, longer) in runs.items()}
