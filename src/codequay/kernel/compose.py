"""One face per adapter: guard, configured layers, translate, composed once per operation.

The face is a generated class with the port's own methods and signatures. There is no ``__getattr__``: it costs 4 us a
call and hides what exists. Without layers, guard and translate share one frame, well under 2 us.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Sequence
from typing import Any

from codequay.layers.base import Layer
from codequay.ports.errors import BrokenPlugin
from codequay.ports.op import Effect, Op, operations
from codequay.ports.spec import Capabilities, Fallback, PortSpec

from . import guard
from .translate import Translator, translated

_HEAD = """
{define} {name}(self{params}):
    if self._gate.closed:
        raise closed(op_{name}, self._translator)
"""
_CHECK = """
    try:
        check_{name}(self._caps{args})
    except Exception as exc:
        error = refusal(exc, op_{name}, self._translator)
        if error is exc:
            raise
        raise error from exc
"""
_CALL = """
    try:
        return {call}
    except Exception as exc:
        error = self._translator.error(exc, op_{name})
        if error is exc:
            raise
        raise error from exc
"""
_POWER = """
    if not getattr(self._caps, {capability!r}, False) or self._call_{name} is None:
        raise undeclared(op_{name}, self._translator, {capability!r})
"""


def compose(
    spec: PortSpec,
    adapter: Any,
    capabilities: Capabilities,
    translator: Translator,
    gate: guard.Gate,
    layers: Sequence[Layer] = (),
) -> Any:
    """The asynchronous face of an adapter that fits; ``layers`` from the outside in."""
    ops = operations(spec.protocol)
    calls: dict[str, Any] = {}
    for name, op in ops.items():
        call: Any = getattr(adapter, name, None)
        if name in spec.fallbacks and _unfit(op, call):
            call = _instead(adapter, spec.fallbacks[name])
        if layers and not op.stream:
            call = translated(call, op, translator)
            for layer in reversed(layers):
                call = layer.wrap(op, call)
        calls[name] = call
    for name in _powers(spec):
        calls[name] = getattr(adapter, name, None)
    return _async_face(spec)(calls, capabilities, translator, gate)


def compose_sync(
    spec: PortSpec, reads: Any, capabilities: Capabilities, translator: Translator, gate: guard.Gate
) -> Any:
    """The synchronous face: guard and translate, no layers."""
    calls: dict[str, Any] = {}
    for name, op in operations(spec.protocol).items():
        if op.sync:
            call = getattr(reads, name, None)
            older = name in spec.fallbacks and _unfit(op, call)
            calls[name] = _instead_sync(reads, spec.fallbacks[name]) if older else call
    return _sync_face(spec)(calls, capabilities, translator, gate)


def _instead(adapter: Any, fallback: Fallback) -> Any:
    """What answers an operation that is newer than the adapter; a method of that name may be something else there."""
    older, meaning = getattr(adapter, fallback.operation), fallback.meaning

    async def answer(*args: Any, **options: Any) -> Any:
        return meaning(await older(*args, **options))

    return answer


def _instead_sync(reads: Any, fallback: Fallback) -> Any:
    older, meaning = getattr(reads, fallback.operation), fallback.meaning
    return lambda *args, **options: meaning(older(*args, **options))


def check_fit(spec: PortSpec, adapter: Any, component: str) -> None:
    """Compare the adapter with the Protocol, once, when it is opened.

    :raises BrokenPlugin: an operation without a fallback is missing, of another kind, or lacks a parameter
    """
    ops = operations(spec.protocol)
    reads = getattr(adapter, "sync", None)
    due = [name for name, op in ops.items() if op.sync and name not in spec.fallbacks]
    missing = [name for name in due if not callable(getattr(reads, name, None))]
    if reads is not None and missing:
        raise _misfit(spec, component, f"its sync face lacks {', '.join(missing)}")
    for name, op in ops.items():
        why = "" if name in spec.fallbacks else _unfit(op, getattr(adapter, name, None))
        if why:
            raise _misfit(spec, component, why)


def _unfit(op: Op, method: Any) -> str:
    """Why a method cannot be called as the operation; "" when it can."""
    if not callable(method):
        return f"it has no operation {op.name}"
    if op.stream and inspect.iscoroutinefunction(method):
        return f"{op.name} must return an async iterator, not be a coroutine"
    if not op.stream and inspect.isasyncgenfunction(method):
        return f"{op.name} must be a coroutine, not an async iterator"
    taken = inspect.signature(method).parameters
    if any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in taken.values()):
        return ""
    lacking = [parameter for parameter in list(op.signature.parameters)[1:] if parameter not in taken]
    return f"{op.name} does not take {', '.join(lacking)}" if lacking else ""


def _misfit(spec: PortSpec, component: str, why: str) -> BrokenPlugin:
    return BrokenPlugin(
        f"{component} does not fit the port {spec.name}: {why}",
        component=component,
        remedy="update or uninstall the distribution that provides it",
    )


def _powers(spec: PortSpec) -> dict[str, tuple[Op, str]]:
    """Methods of the optional Protocols (``SupportsScript``) in the port's module, with the capability of each."""
    found: dict[str, tuple[Op, str]] = {}
    for name, cls in vars(sys.modules[spec.protocol.__module__]).items():
        if not name.startswith("Supports") or not getattr(cls, "_is_protocol", False):
            continue
        capability = re.sub(r"(?<!^)(?=[A-Z])", "_", name.removeprefix("Supports")).lower()
        for method, fn in vars(cls).items():
            if not method.startswith("_") and inspect.isfunction(fn):
                signature = inspect.signature(fn)
                op = Op(method, Effect.WRITE, False, None, sync=False, stream=False, signature=signature)
                found[method] = (op, capability)
    return found


_faces: dict[tuple[type, str], type] = {}


def _async_face(spec: PortSpec) -> type:
    key = (spec.protocol, "async")
    if key not in _faces:
        ops = operations(spec.protocol)
        sources = [_method(spec, op, sync=False) for op in ops.values()]
        powers = _powers(spec)
        sources += [_method(spec, op, sync=False, capability=capability) for op, capability in powers.values()]
        everything = {**ops, **{name: op for name, (op, _) in powers.items()}}
        _faces[key] = _generate(f"Guarded{spec.protocol.__name__}", spec, everything, sources)
    return _faces[key]


def _sync_face(spec: PortSpec) -> type:
    key = (spec.protocol, "sync")
    if key not in _faces:
        ops = {name: op for name, op in operations(spec.protocol).items() if op.sync}
        sources = [_method(spec, op, sync=True) for op in ops.values()]
        _faces[key] = _generate(f"Guarded{spec.protocol.__name__}Sync", spec, ops, sources)
    return _faces[key]


def _method(spec: PortSpec, op: Op, *, sync: bool, capability: str = "") -> str:
    """Source of one method of a face."""
    params, args, starred = "", "", False
    for parameter in list(op.signature.parameters.values())[1:]:
        name = parameter.name
        if parameter.kind is parameter.KEYWORD_ONLY:
            params += "" if starred else ", *"
            starred = True
            args += f", {name}={name}"
        else:
            args += f", {name}"
        params += f", {name}" if parameter.default is parameter.empty else f", {name}=default_{op.name}_{name}"
    call = f"self._call_{op.name}({args[2:]})"
    if op.stream:
        call = f"stream({call}, op_{op.name}, self._translator)"
    elif not sync:
        call = f"await {call}"
    define = "def" if sync or op.stream else "async def"
    source = _HEAD.format(define=define, name=op.name, params=params)
    if capability:
        source += _POWER.format(name=op.name, capability=capability)
    elif op.name in spec.checks:
        source += _CHECK.format(name=op.name, args=args)
    return source + _CALL.format(name=op.name, call=call)


def _generate(class_name: str, spec: PortSpec, ops: dict[str, Op], sources: list[str]) -> type:
    namespace: dict[str, Any] = {
        "closed": guard.closed,
        "refusal": guard.refusal,
        "stream": guard.stream,
        "undeclared": guard.undeclared,
    }
    for name, op in ops.items():
        namespace[f"op_{name}"] = op
        namespace[f"check_{name}"] = spec.checks.get(name)
        for parameter in op.signature.parameters.values():
            namespace[f"default_{name}_{parameter.name}"] = parameter.default
    exec(compile("".join(sources), f"<{class_name}>", "exec"), namespace)  # noqa: S102 - our own text, above
    body: dict[str, Any] = {
        "__slots__": ("_caps", "_gate", "_translator", *(f"_call_{name}" for name in ops)),
        "__doc__": spec.protocol.__doc__,
        "__module__": __name__,
        "__init__": _init,
        "capabilities": property(_capabilities),
    }
    for name, op in ops.items():
        method = namespace[name]
        method.__doc__ = getattr(getattr(spec.protocol, name, None), "__doc__", None)
        method.__qualname__ = f"{class_name}.{name}"
        method.__signature__ = op.signature
        body[name] = method
    return type(class_name, (), body)


def _init(self: Any, calls: dict[str, Any], caps: Capabilities, translator: Translator, gate: guard.Gate) -> None:
    self._caps, self._translator, self._gate = caps, translator, gate
    for name, call in calls.items():
        setattr(self, f"_call_{name}", call)


def _capabilities(self: Any) -> Capabilities:
    """What the adapter declares."""
    caps: Capabilities = self._caps
    return caps
