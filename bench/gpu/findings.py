"""What follows from a result of `bench gpu`: wrong answers, aims, reasons for caution, and lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..cells import short
from ..measure import Result
from .kernel_lab import FAILED, TOOLS, touch_us
from .processes import NOT_DONE
from .timing import MATCH, NETWORK, OUTSIDE, SUM, TO_AB, TO_PICTURE, TO_PICTURE_ON_GPU, WAYS

# The longest that a touch with 16 hints should take, and how many times as long as ours PyTorch's network should.
AIM_HINTS, AIM_AB_MS, AIM_PICTURE_MS = 16, 0.12, 0.2
AIM_EAGER, AIM_GRAPH = 3.0, 1.5
PAPER, OURS = "siggraph17", "touch"
# TensorRT's own optimisation level.
DEFAULT_LEVEL = 3
# From this share of a GPU's time that others use, times are upper bounds.
BUSY_PERCENT = 5
# A whole takes this much longer than its steps only if something else runs on the GPU between them.
UNEXPLAINED_FACTOR, UNEXPLAINED_MS = 1.5, 0.05


def p50(times: Mapping[str, Any] | None, *keys: str) -> float | None:
    """The median at the end of a path of keys; None where there is none."""
    found: Any = times
    for key in (*keys, "p50"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, (int, float)) else None


def with_hints(result: Result, model: str, hints: int | None = None, way: str | None = None) -> dict[str, Any]:
    """A model's times with a number of hints (the main one if None), by the way that it uses unless another is asked
    for; {} where there are none."""
    stages = result["models"].get(model, {}).get("stages", {})
    way = way or next((way for way in WAYS if way in stages), "")
    return stages.get(way, {}).get("hints", {}).get(str(hints or result["main_hints"]), {})


def torch_events(result: Result, model: str) -> dict[str, Any]:
    """part → {"direct", "graph"} of PyTorch; {} where there are none."""
    return result.get("torch", {}).get("models", {}).get(model, {}).get("events", {})


def aims_of(result: Result) -> list[dict[str, Any]]:
    """Every aim with what was measured: {"aim", "limit", "found", "met"}; found and met are None if not measured."""
    touch, paper = with_hints(result, OURS, AIM_HINTS), with_hints(result, PAPER, AIM_HINTS)
    ours, theirs = p50(paper, NETWORK, "graph"), torch_events(result, PAPER).get("network", {})
    eager, graph = p50(theirs, "direct"), p50(theirs, "graph")
    hints = f"{OURS}, {AIM_HINTS} hints"
    return [
        _at_most(f"{hints}: touch → ab, ms", AIM_AB_MS, p50(touch, TO_AB, "graph")),
        _at_most(f"{hints}: touch → picture without the final copy, ms", AIM_PICTURE_MS,
                 p50(touch, TO_PICTURE_ON_GPU, "graph")),
        _at_least(f"{PAPER}: PyTorch's time, eager, over ours", AIM_EAGER, eager and ours and eager / ours),
        _at_least(f"{PAPER}: PyTorch's time, in a CUDA graph, over ours", AIM_GRAPH, graph and ours and graph / ours),
    ]  # fmt: skip


def _at_most(aim: str, limit: float, found: float | None) -> dict[str, Any]:
    return {"aim": aim, "limit": limit, "found": found, "met": None if found is None else found <= limit}


def _at_least(aim: str, limit: float, found: float | None) -> dict[str, Any]:
    return {"aim": aim, "limit": limit, "found": found, "met": None if found is None else found >= limit}


def wrong_in(result: Result) -> list[str]:
    """What answered wrongly, in words; empty when all that could be checked is right."""
    wrong = [f"kernels: {step}" for step in ("lab", *TOOLS) if result["kernels"].get(step) == FAILED]
    for name, model in result["models"].items():
        for way in WAYS:
            found = model.get("answers", {}).get(way)
            if found and not found["within"]:
                wrong.append(f"{name} by {way}: {found['sentence']}")
    return wrong


def warnings_of(result: Result) -> list[str]:
    """Why the times should not be quoted as they are."""
    found = []
    for gpu in (result["machine"].get("gpus") or [])[:1]:
        busy = gpu.get("busy_percent")
        if busy is not None and busy >= BUSY_PERCENT:
            found.append(f"the GPU was {busy} % busy with other programs before the run: times are upper bounds")
    found += [line for name, model in result["models"].items() for line in _low_level(name, model)]
    return found + [line for model in result["models"] for line in _unexplained(result, model)]


def _low_level(name: str, model: Mapping[str, Any]) -> Iterator[str]:
    built = model.get("answers", {}).get("plans", {})
    timed = [plan for plan in built.get("plans", []) if plan["stage"] != "distribution"]
    levels = {plan.get("optimisation", built["options"].get("optimisation")) for plan in timed}
    low = sorted(level for level in levels if level is not None and level < DEFAULT_LEVEL)
    if low:
        level = " and ".join(map(str, low))
        yield f"plans of {name} were built at optimisation level {level}: TensorRT tried few kernels"


def _unexplained(result: Result, model: str) -> Iterator[str]:
    times = with_hints(result, model)
    for name in (TO_AB, TO_PICTURE, OUTSIDE):
        whole, steps = p50(times, name, "graph"), times.get(name, {}).get(SUM, {}).get("graph")
        if whole and steps and whole > UNEXPLAINED_FACTOR * steps + UNEXPLAINED_MS:
            yield (
                f"{model}: {name} takes {short(whole)} ms, its steps {short(steps)} ms: something else seems to use "
                "the GPU between them"
            )


def as_lines(result: Result) -> str:
    """For the terminal."""
    gpu = result["gpu"]
    lines = [f"{gpu['name']} (compute capability {gpu['compute_capability']})", *_kernel_lines(result)]
    for name, model in result["models"].items():
        lines += ["", *_model_lines(result, name, model)]
    lines += ["", *_torch_lines(result), ""]
    lines += [_aim_line(aim) for aim in result["aims"]]
    lines += [f"caution: {warning}" for warning in result["warnings"]]
    return "\n".join(lines + [f"WRONG  {line}" for line in result["wrong"]])


def _kernel_lines(result: Result) -> list[str]:
    kernels = result["kernels"]
    if NOT_DONE in kernels:
        return [f"kernels: not checked: {kernels[NOT_DONE]}"]
    steps = ", ".join(f"{step} {found}" for step, found in kernels.items() if isinstance(found, str))
    lines = [f"kernels: {steps}"]
    if "launches" in kernels:
        lines.append(f"  {kernels['right']} of {kernels['launches']} launches are right")
        lines += [] if kernels["launches"] else [f"  {line}" for line in kernels["said"]["lab"][-3:]]
        lines += [f"  WRONG {launch}" for launch in kernels["wrong"]]
        sums = [(count, touch_us(kernels["us"], count)) for count in result["hints"]]
        lines += [f"  kernels of a touch, {count} hints: {us} µs" for count, us in sums if us is not None]
    return lines


def _model_lines(result: Result, name: str, model: dict[str, Any]) -> list[str]:
    table, stages = model.get("model", {}), model.get("stages", {})
    lines = [f"{name} ({table.get('version', 'not found')})"]
    for step in ("build", "answers", "stages"):
        found = model.get(step, {})
        if NOT_DONE in found:
            lines.append(f"  {step}: not done: {found[NOT_DONE]}")
    lines += [
        f"  built in {model['build']['seconds']} s: {line}" for line in model.get("build", {}).get("said", [])[-1:]
    ]
    lines += [
        f"  answers by {way}: {model['answers'][way]['sentence']}" for way in WAYS if way in model.get("answers", {})
    ]
    for way in (way for way in WAYS if way in stages):
        lines += [line for count in result["hints"] for line in _way_lines(result, name, way, count)]
    return lines


def _way_lines(result: Result, name: str, way: str, count: int) -> Iterator[str]:
    times = with_hints(result, name, count, way)
    if not times:
        return
    yield f"  by {way}, {count} hints; median ms{'':<14}{'direct':>10}{'graph':>10}{'steps':>10}{'host':>10}"
    if count == result["main_hints"]:
        for step, found in times["steps"].items():
            yield _row(f"  {step}", found.get("direct"), found.get("graph"))
    for group in (NETWORK, MATCH, OUTSIDE, TO_AB, TO_PICTURE_ON_GPU, TO_PICTURE):
        if group in times:
            found = times[group]
            yield _row(group, p50(found, "direct"), p50(found, "graph"), found[SUM]["graph"], p50(found, "host"))


def _torch_lines(result: Result) -> list[str]:
    torch = result["torch"]
    lines = [f"PyTorch {torch['torch']}; median ms{'':<16}{'eager':>10}{'graph':>10}"] if "torch" in torch else []
    for name in torch.get("models", {}):
        for part, found in torch_events(result, name).items():
            lines.append(_row(f"{name}: {part}", p50(found, "direct"), p50(found, "graph")))
            lines += [f"    not done: {found[NOT_DONE]}"] if NOT_DONE in found else []
    return lines + ([f"PyTorch: not timed: {torch[NOT_DONE]}"] if NOT_DONE in torch else [])


def _row(title: str, *times: float | None) -> str:
    return f"    {title:<36}" + "".join(f"{'' if time is None else short(time):>10}" for time in times)


def _aim_line(aim: dict[str, Any]) -> str:
    found = "not measured" if aim["found"] is None else short(aim["found"])
    verdict = {True: "reached", False: "missed", None: ""}[aim["met"]]
    return f"aim: {aim['aim']}: {aim['limit']}; found: {found} {verdict}".rstrip()
