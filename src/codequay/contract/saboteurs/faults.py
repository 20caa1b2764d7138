"""Adapters of a server that are wrong in one behaviour when the network breaks, or the server: one set for all ports.

Each is a client or a server of ``codequay.contract.far``, with one thing changed.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from codequay.kernel.registry import Registry
from codequay.ports.errors import PortError
from codequay.ports.spec import Level

from ..far import Asked, Client, Connection, FarHarness, Server, far
from ..harness import Subject
from ..ports.faults import AT_ONCE
from . import Saboteur

STORES = ("chunks", "lexical", "metadata", "cache")
EVERY = (*STORES, "lock")


class FaultSaboteur(Saboteur):
    """A base: ``client`` and ``server`` stand in for those of the reference behind a wire."""

    level = Level.FAULTS
    client: type[Client] = Client
    server: type[Server] = Server
    ports: tuple[str, ...] = EVERY

    @classmethod
    def subject(cls, component: str, registry: Registry) -> Subject:
        harness = type(cls.__name__, (FarHarness,), {"client_type": cls.client, "server_type": cls.server})
        return far(component, registry, harness)


class SaysItIsDone(FaultSaboteur):
    wrong = "when the answer is lost, it says what it would say if all had gone well"
    ports = STORES

    class client(Client):
        async def in_doubt(self, asked: Asked, exc: Exception) -> Any:
            return asked.answer


class NeverAmbiguous(FaultSaboteur):
    wrong = "never says that a write may have been applied"

    class client(Client):
        def lost(self, asked: Asked, exc: Exception) -> PortError:
            return self.unreached(exc)


class AlwaysAmbiguous(FaultSaboteur):
    wrong = "says that a write may have been applied which was never sent"

    class client(Client):
        def unreached(self, exc: Exception) -> PortError:
            error = super().unreached(exc)
            error.ambiguous = True
            return error


class RaisesWhatItGot(FaultSaboteur):
    wrong = "an error of the network goes through as it is"

    class client(Client):
        async def in_doubt(self, asked: Asked, exc: Exception) -> Any:
            raise exc


class SendsItAgain(FaultSaboteur):
    wrong = "sends a write again when its answer is lost"
    ports = ("cache", "lock")

    class client(Client):
        async def in_doubt(self, asked: Asked, exc: Exception) -> Any:
            again = Asked(asked.op, asked.args, asked.options)
            connection = await self.connect()
            await self.exchange(connection, again)
            await connection.close()
            return again.answer


class HasNoDeadline(FaultSaboteur):
    wrong = "waits for ever when the server says nothing"

    class client(Client):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.timeout = None


class WaitsWhenCancelled(FaultSaboteur):
    wrong = "a cancelled call goes on until its answer has come"

    class client(Client):
        async def call(self, asked: Asked) -> Any:
            calling = asyncio.ensure_future(super().call(asked))
            try:
                return await asyncio.shield(calling)
            except asyncio.CancelledError:
                await asyncio.wait({calling}, timeout=10)
                calling.cancel()
                await asyncio.wait({calling})
                raise


class UsesWhatIsLost(FaultSaboteur):
    wrong = "goes on with a connection that was lost while nobody used it"

    class client(Client):
        def idle(self) -> Connection | None:
            return self._idle.pop() if self._idle else None


class NeverConnectsAgain(FaultSaboteur):
    wrong = "a server that could not be reached once is not tried again"

    class client(Client):
        broken: Exception | None = None

        async def connect(self) -> Connection:
            if self.broken is not None:
                raise self.broken
            try:
                return await super().connect()
            except OSError as exc:
                self.broken = exc
                raise


class LeaksWhatIsGivenUp(FaultSaboteur):
    wrong = "the connection of a cancelled call is never closed"

    class client(Client):
        async def given_up(self, connection: Connection) -> None:
            self.__dict__.setdefault("leaked", []).append(connection)


class ReadsTheAnswerBefore(FaultSaboteur):
    wrong = "the connection of a cancelled call is used again, with its answer still to come"

    class client(Client):
        async def answered(self, connection: Connection, number: int) -> None:
            asked = self.server.calls[number]
            number = int.from_bytes((await connection.reader.readexactly(12))[:8])
            before = self.server.calls[number]
            asked.answer, asked.error = before.answer, before.error

        async def given_up(self, connection: Connection) -> None:
            self._idle.append(connection)


class TearsBatches(FaultSaboteur):
    wrong = "of a batch that was cut, what arrived is applied"
    ports = ("chunks", "lexical", "cache")

    class server(Server):
        async def partly(self, asked: Asked, part: float) -> None:
            if asked.op.name == "stage":
                files = asked.options["files"]
                options = {**asked.options, "files": files[: int(part * len(files))]}
                await self.apply(Asked(asked.op, asked.args, options))
            elif asked.op.name == "set_many":
                items = list(asked.args[0].items())
                await self.apply(Asked(asked.op, (dict(items[: int(part * len(items))]),), asked.options))


class ForgetsAtRestart(FaultSaboteur):
    wrong = "what was acknowledged last is gone after a restart of the server"

    class server(Server):
        async def apply(self, asked: Asked) -> None:
            await super().apply(asked)
            if asked.op.name in ("seal", "publish", "set", "acquire") and asked.error is None:
                self.__dict__.setdefault("told", []).append(asked)

        async def restarted(self) -> None:
            for asked in self.__dict__.get("told", [])[-2 * AT_ONCE :]:
                if asked.op.name == "acquire":
                    await self.store.release(asked.answer)
                else:
                    await self.store.purge(getattr(asked.args[0], "repo_id", asked.args[0]))


class StrandsWhoWaits(FaultSaboteur):
    wrong = "a call that waits is never told that its connection was lost"
    ports = ("lock",)

    class client(Client):
        async def in_doubt(self, asked: Asked, exc: Exception) -> Any:
            if asked.options.get("wait") or asked.op.name == "wait_lost":
                await asyncio.Event().wait()
            return await super().in_doubt(asked, exc)


class FenceFalls(FaultSaboteur):
    wrong = "fences begin anew with a restart of the server, under the same store id"
    ports = ("lock",)

    class server(Server):
        down = 0

        async def apply(self, asked: Asked) -> None:
            await super().apply(asked)
            if asked.op.name == "acquire" and asked.answer is not None:
                fence = max(asked.answer.fence - self.down, 1)
                asked.answer = replace(asked.answer, fence=fence)

        async def restarted(self) -> None:
            self.down += 3
