"""Train on a CUDA device, prove and time every runtime of it, and keep the figures.

    python benchmarks/gpu.py NEU-DET.zip [--out docs/benchmarks]

Trains NEU-DET with the default settings, verifies the inspector on the CPU and the GPU, and writes
`<gpu>-neu_det.json`. Takes some minutes; a GPU is required.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch


def main() -> None:
    """Run the commands in order; the first that fails ends the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="NEU-DET.zip")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no CUDA device here; this benchmark needs one")
    gpu = re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name().lower()).strip("-")
    with tempfile.TemporaryDirectory() as folder:
        source = ["dataset=neu_det", f"dataset.root={given.data.resolve()}"]
        run("train", *source, "device=cuda", f"output_dir={folder}")
        inspector = Path(folder, "latest", "inspector").resolve()
        devices = ("--device", "cpu", "--device", "cuda")
        run("verify", inspector, given.data, *devices)
        results = Path(folder, "results")
        run("benchmark", inspector, "--images", given.data, "--devices", "cpu,cuda",
            "--samples", 400, "--out", results)  # fmt: skip
        given.out.mkdir(parents=True, exist_ok=True)
        target = given.out / f"{gpu}-neu_det.json"
        target.write_bytes((results / "benchmark.json").read_bytes())
    print(f"-> {target}")


def run(*words: object) -> None:
    """Run one command of Sihwa and show what it prints."""
    print("sihwa", *words, flush=True)
    subprocess.run([sys.executable, "-m", "sihwa", *map(str, words)], check=True)


if __name__ == "__main__":
    main()
