"""An adapter's options: its table, checked by its own pydantic model. Nobody else's table is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from codequay.ports.errors import ConfigError
from codequay.ports.spec import AdapterSpec

from .errors import PlanError, did_you_mean
from .registry import resolve
from .secrets import revealed, scrubbed

NO_CONFIG = "codequay.ports.config:NoConfig"


def load_options(spec: AdapterSpec, options: Mapping[str, Any], instance: str, origin: Callable[[str], str]) -> Any:
    """The configuration object for the factory; secrets are looked up now.

    Without options nothing needs checking, so pydantic stays out: ``spec.extra["defaults"]`` may name a function
    that gives an object with the default options, and an adapter without options gets None.

    :raises PlanError: every option that does not fit
    :raises SecretError: a reference cannot be looked up
    """
    component = f"{spec.port}.{spec.name}"
    if not options:
        defaults = spec.extra.get("defaults")
        if defaults:
            return resolve(str(defaults), component, spec=spec)()
        if spec.config == NO_CONFIG:
            return None
    model = resolve(spec.config, component, spec=spec)
    return _validated(model, dict(options), f"adapters.{instance}", component, origin)


def _validated(model: Any, options: dict[str, Any], path: str, component: str, origin: Callable[[str], str]) -> Any:
    from pydantic import ValidationError

    from .sources import decoded

    plain = revealed(options)
    try:
        return model.model_validate(plain)
    except ValidationError as first:
        failure = first
    # A list or table that came from the environment is JSON text; only a field that refused text is decoded.
    refused = {error["loc"][0] for error in failure.errors(include_url=False, include_context=False) if error["loc"]}
    again = {
        key: decoded(value) if key in refused and isinstance(value, str) else value for key, value in plain.items()
    }
    if again != plain:
        try:
            return model.model_validate(again)
        except ValidationError as second:
            failure = second
    errors: list[ConfigError] = []
    known = [field.alias or name for name, field in model.model_fields.items()]
    for error in failure.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join([path, *(str(part) for part in error["loc"])])
        name = str(error["loc"][-1]) if error["loc"] else ""
        if error["type"] == "extra_forbidden":
            message = f"{component} has no option {name}{did_you_mean(name, known)}"
            remedy = f"use one of: {', '.join(known)}" if known else f"remove {where}: {component} has no options"
        elif error["type"] == "missing":
            message, remedy = f"{component} needs the option {name}", f"set {where}"
        else:
            said = scrubbed(error["msg"], options).removeprefix("Value error, ")
            message, remedy = f"{where}: {said}", f"correct {where}"
        errors.append(ConfigError(message, component=component, at=f"{where} ({origin(where)})", remedy=remedy))
    # The cause holds what was typed, a secret perhaps, so it is left out.
    raise PlanError(errors) from None
