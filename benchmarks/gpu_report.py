"""The section of docs/benchmarks.md that ``gpu.py`` prints."""

from pathlib import Path

RUNS, ITERATIONS = 15, 500_000  # of PREFINE, together (paper A.4)
HOUR = 3.6e6  # milliseconds
OTHER_WAYS = ("compiled", "TF32", "compiled TF32")


def report(found: dict, config: Path) -> tuple[str, dict]:
    """Markdown, and the times of the paper's runs as numbers."""
    machine, rates = found["machine"], found["rates"]
    projection = projected(rates, config)
    lines = [
        "## On a GPU",
        "",
        f"{machine['gpu']}; torch {machine['torch']}, CUDA {machine['cuda']}, "
        f"Python {machine['python']}, {machine['cores']} cores. `python benchmarks/gpu.py`, "
        f"{found['seconds']:.0f} s.",
        "",
    ]
    if machine["tiny"]:
        lines += ["A rehearsal with tiny sizes: its times mean nothing.", ""]
    lines += [*checks(found["checks"]), *rate_tables(rates), *sentences(projection)]
    return "\n".join(lines) + "\n", projection


def number(value) -> str:
    """Three digits; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """A table with an empty line behind it."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [*("| " + " | ".join(line) + " |" for line in lines), ""]


def checks(found: dict) -> list[str]:
    """One row a check: the largest differences from the CPU."""
    keys = ("gradient", "jump", "first", "loss", "drift", "largest")
    rows = []
    for name, check in found.items():
        verdict = "yes" if check.get("passed") else "**no**"
        if "error" in check:
            verdict = "**failed**: " + check["error"][-1].replace("|", "/")
        verdict = "not done" if "skipped" in check else verdict
        bits = check.get("same_bits", {})
        bits = f"{sum(bits.values())} of {len(bits)}" if bits else ""
        cells = [number(check[key]) if key in check else "" for key in keys]
        rows.append([name, verdict, *cells, bits])
    heads = ["check", "passed", "gradient, median", "gradient, largest", "first iteration"]
    heads += ["losses", "parameters", "largest"]
    text = (
        "Largest relative differences from the CPU over 50 iterations and all ways (with and "
        "without graphs, in chunks, killed and gone on with); `parameters` is by the way that they "
        "went, `largest` their largest difference as it is. `same bits`: ways that end with the "
        "same bits as the first one."
    )
    return [text, "", *table([*heads, "same bits"], rows)]


def rate_tables(rates: dict) -> list[str]:
    """PREFINE by number of runs, then every method."""
    done = {name.rsplit(" ", 1)[0]: {} for name in rates}
    for name, rate in rates.items():
        if "ms" in rate:
            done[name.rsplit(" ", 1)[0]][rate["runs"]] = rate
    rows = []
    for runs in sorted({runs for way in done.values() for runs in way}):
        kinds = ("graphs", "eager", *OTHER_WAYS, "plain")
        ways = [done.get(f"prefine {way}", {}).get(runs, {}) for way in kinds]
        graphs, plain = ways[0], ways[-1]
        times = plain["ms"] / graphs["ms"] if plain and graphs else None
        cells = [*(number(way.get("ms")) for way in ways), number(times), number(graphs.get("gib"))]
        rows.append([str(runs), *cells])
    heads = ["runs", "graphs, ms", "no graphs, ms", "compiled, ms", "TF32, ms"]
    heads += ["compiled and TF32, ms", "plain loop, ms"]
    text = [
        "PREFINE with the VAE policy at HalfCheetahVelocity's sizes: milliseconds an iteration of "
        "all runs, against a plain loop over separate `torch.nn` policies; memory is the peak.",
        "",
    ]
    text += table([*heads, "times as fast as the plain loop", "GiB"], rows)
    rows = [
        [way, str(runs), number(rate["ms"]), number(rate.get("gib"))]
        for way, sizes in done.items()
        for runs, rate in sizes.items()
        if not way.startswith("prefine")
    ]
    text += ["Other methods and policies.", "", *table(["what", "runs", "ms", "GiB"], rows)]
    missing = [f"{name}: {rate['error'][-1]}" for name, rate in rates.items() if "error" in rate]
    missing += [f"{name}: no time" for name, rate in rates.items() if "skipped" in rate]
    return text + [f"Not measured: {line}" for line in missing]


def projected(rates: dict, config: Path) -> dict:
    """How long the paper's runs take by these rates."""

    def ms(name: str) -> float | None:
        return rates.get(name, {}).get("ms")

    measured = [int(name.split()[-1]) for name in rates if name.startswith("gaussian graphs")]
    runs = max(measured, default=RUNS)  # a rehearsal has fewer
    found: dict = {"runs": runs}
    together, alone = ms(f"prefine graphs {runs}"), ms("prefine eager 1")
    for way in ("graphs", *OTHER_WAYS):
        if rate := ms(f"prefine {way} {runs}"):
            found.setdefault("prefine_minutes", {})[way] = rate * ITERATIONS / HOUR * 60
    if together and alone:
        found["times_one_by_one"] = runs * alone / together
    try:
        import yaml
        from gpu_rates import protocol

        rows = protocol(yaml.safe_load(config.read_text()))
        hours, lacking = {}, set()
        for row in rows:
            name = row["rate"] if row["rate"] in rates else f"{row['rate']} {runs}"
            if not (rate := ms(name)):
                lacking.add(row["rate"])
                continue
            method = row["rate"].split()[0]
            spent = rate * row["iterations"] * row["stacks"] / HOUR
            hours[method] = hours.get(method, 0.0) + spent
        found |= {"table_1_hours": hours, "table_1_lacks": sorted(lacking)}
        found["table_1_total_hours"] = None if lacking else sum(hours.values())
    except Exception as error:  # the numbers above are worth printing without it
        found["table_1_error"] = f"{type(error).__name__}: {error}"
    return found


def sentences(projection: dict) -> list[str]:
    """The times of the paper's runs."""
    lines, runs = [], projection["runs"]
    if minutes := projection.get("prefine_minutes"):
        others = "".join(f"; {way} {number(minutes.get(way))}" for way in OTHER_WAYS)
        lines.append(
            f"{runs} PREFINE runs of {ITERATIONS:,} iterations: "
            f"{number(minutes.get('graphs'))} minutes together{others}."
        )
    if times := projection.get("times_one_by_one"):
        lines.append(f"That is {number(times)} times as fast as one after another without graphs.")
    if hours := projection.get("table_1_hours"):
        each = ", ".join(f"{name} {number(value)}" for name, value in hours.items())
        total = projection["table_1_total_hours"]
        lines.append(
            f"The whole of Table 1, job after job on one card: {number(total)} hours of training "
            f"({each})."
        )
        if projection["table_1_lacks"]:
            lines.append(f"Without a rate: {', '.join(projection['table_1_lacks'])}.")
    if error := projection.get("table_1_error"):
        lines.append(f"Table 1's hours are not there: {error}")
    return [*lines, ""]
