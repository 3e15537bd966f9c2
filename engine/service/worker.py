"""The engine process of one run: `python -m engine.service.worker FOLDER`.

The main thread trains. Between two events of the trainer it takes commands, answers queries and
sends what happened; a thread of its own moves the bytes (see server). Torch is imported in the
background while the corpus is read, so the door is open at once.

The process ends when it is told to, when nobody ever comes, or when its last client vanished
without a word; then it saves first. After Detach it trains on alone until its limit.
"""

import fcntl
import gc
import importlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO, assert_never

import msgspec

from engine.errors import UserError
from engine.events import AnyEvent, Progress
from engine.files import replace_file
from engine.runs import EngineAddress, remove_unbegun
from engine.service import protocol as p
from engine.service.conductor import Conductor, describe
from engine.service.record import Record
from engine.service.server import Client, Connected, Gone, Item, Received, Server, Terminated
from engine.service.streams import Streams

FIRST_CLIENT_SECONDS = 30.0
"""How long a new engine waits for anybody to come."""
GRACE_SECONDS = 10.0
"""How long an engine goes on after its last client vanished without Detach."""
SAVE_AGAIN_SECONDS = 60.0
"""How long an engine that nobody is left for waits after a save that failed."""


class Worker:
    """Serves one run until it ends."""

    def __init__(self, folder: Path, server: Server) -> None:
        """Raises UserError where the folder holds no run."""
        self.folder = folder
        self.server = server
        self.record = Record(folder, self._broadcast)
        self.conductor = Conductor(folder, self.record)
        self.streams = Streams()
        self.saves: list[Received] = []
        """Saves asked for while an evaluation was half done."""
        self.clients: set[Client] = set()
        self.detached = False
        self.deadline = time.monotonic() + FIRST_CLIENT_SECONDS
        """When it ends if nobody is there."""
        self.ending = ""
        """Why it ends, once it does."""
        self.exit_code = 0

    def run(self) -> int:
        """Prepare, then train and serve until the end. Returns the exit code."""
        try:
            self._prepare()
        except UserError as error:
            if not self.ending:
                self.exit_code = 2
                self.conductor.fail(str(error))
        except Exception as error:
            logging.exception("preparing failed")
            self.exit_code = 1
            self.conductor.fail(describe(error))
        while not self.ending:
            if self.conductor.busy:
                self.conductor.advance()
                self._serve()
            else:
                self._serve(wait=self.streams.patience)
        self._close()
        return self.exit_code

    def _prepare(self) -> None:
        """Read the corpus while torch is imported, then build the model."""
        torch_import = _BackgroundImport("torch")
        problem = self.conductor.open_corpus(self._on_corpus_progress)
        if torch_import.running:
            self.conductor.tell_progress("loading torch")
        while torch_import.running and not self.ending:
            self._serve(wait=0.02)
        if torch_import.error is not None:
            raise torch_import.error
        if not self.ending:
            _flush_denormals()
            self.conductor.build(problem)

    def _on_corpus_progress(self, progress: Progress) -> None:
        self.conductor.progress = progress
        self.conductor.publish(progress)
        self._serve()
        if self.ending:
            raise UserError("The engine was asked to end while it read the corpus.")

    def _close(self) -> None:
        """Close the record; remove a run that never began."""
        self.record.close()
        logging.info("ended: %s", self.ending)
        if self.conductor.step == 0 and self.exit_code != 1:
            remove_unbegun(self.folder)

    def say_goodbye(self) -> None:
        """Tell every client why, and close the door."""
        for client in self.clients:
            client.send(p.Goodbye(reason=self.ending))
        self.server.close()

    def end(self, reason: str, save: bool = True) -> bool:
        """Let the process end after the current event. False where a save that was asked failed."""
        if save and self.conductor.unsaved and not self.conductor.save():
            return False
        self.ending = reason
        return True

    def _broadcast(self, events: list[AnyEvent]) -> None:
        for client in self.clients:
            client.send(p.Events(events=events))

    # --- serving ------------------------------------------------------------------------------

    def _serve(self, wait: float = 0.0) -> None:
        """Take what came in, go on with streams, send what happened. Waits only for the first."""
        if wait:
            self.record.flush()
        try:
            inbox = self.server.inbox
            self._take(inbox.get(timeout=wait) if wait else inbox.get_nowait())
            while True:
                self._take(inbox.get_nowait())
        except queue.Empty:
            pass
        if self.conductor.between_steps:
            waiting, self.saves = self.saves, []
            for received in waiting:
                self._answer(received)
        self.streams.advance(training=self.conductor.busy)
        self.record.flush_if_due()
        if not self.clients and not self.ending:
            self._leave_if_due()

    def _leave_if_due(self) -> None:
        if self.detached and (self.conductor.busy or self.conductor.state == "preparing"):
            return
        if time.monotonic() > self.deadline and not self.end("Nobody was left to train for."):
            self.deadline = time.monotonic() + SAVE_AGAIN_SECONDS

    def _take(self, item: Item) -> None:
        match item:
            case Connected(client):
                self.record.flush()
                self.clients.add(client)
                welcome = p.Welcome(status=self.conductor.status(), recorded=self.record.extent)
                client.send(welcome)
            case Gone(client):
                self.clients.discard(client)
                self.streams.drop(client)
                if not self.detached:
                    self.deadline = time.monotonic() + GRACE_SECONDS
            case Received(call=p.Call(body=p.Save())) if not self.conductor.between_steps:
                self.saves.append(item)
            case Received():
                self._answer(item)
            case Terminated():
                reason = "The engine was terminated."
                if not self.end(reason):  # a second signal would not be so patient
                    self.end(reason, save=False)
            case _:
                assert_never(item)

    def _answer(self, received: Received) -> None:
        """Carry a call out and answer it, after the events it caused."""
        try:
            answer = self._carry_out(received)
        except UserError as error:
            answer = p.Refusal(reason=str(error), suggestions=getattr(error, "suggestions", []))
        except Exception as error:
            logging.exception("a call failed")
            answer = p.Refusal(reason=describe(error))
        if answer is not None:
            self.record.flush()
            received.client.send(p.Answer(id=received.call.id, body=answer))

    def _carry_out(self, received: Received) -> p.AnyAnswer | None:
        """The answer, or None where a stream gives it. Raises UserError."""
        conductor, client, call = self.conductor, received.client, received.call
        match call.body:
            case p.AskStatus():
                return conductor.status()
            case p.Detach():
                self.detached = True
                self.deadline = time.monotonic()
            case p.Shutdown(save=save):
                if not self.end("The engine was told to end.", save):
                    raise UserError("The run could not be saved, so the engine goes on.")
            case p.Cancel(call=number):
                self.streams.cancel(client, number)
            case p.Save():
                return conductor.save_asked()
            case p.Represent() as query:
                return conductor.represent(query)
            case p.Neighbours() as query:
                return conductor.neighbours(query)
            case p.Score() as query:
                return conductor.score(query)
            case p.Generate() as query:
                interval = 1 / query.per_second if query.per_second > 0 else 0.0
                self.streams.add(client, call.id, conductor.generate(query), interval)
                return None
            case p.EvaluateCorpus() as query:
                self.streams.add(client, call.id, conductor.evaluate_corpus(query))
                return None
            case p.FindRate():
                self.streams.add(client, call.id, conductor.find_rate())
                return None
            case p.Replay():
                self.streams.add(client, call.id, conductor.replay())
                return None
            case p.GradientFlow():
                return conductor.gradient_flow()
            case command:
                return conductor.command(command)
        return p.Done(step=conductor.step)


def _flush_denormals() -> None:
    """Denormal numbers slow an LSTM many times over. It holds for the whole process."""
    import torch

    torch.set_flush_denormal(True)


class _BackgroundImport:
    """Imports a module in a thread.

    What it loads stays. Left to the garbage collector it would be gone through again and again,
    while it is loaded and all through the training, 80 ms each time.
    """

    def __init__(self, module: str) -> None:
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._import, args=(module,), daemon=True)
        self._thread.start()

    def _import(self, module: str) -> None:
        gc.disable()
        try:
            importlib.import_module(module)
        except Exception as error:
            self.error = error
        gc.freeze()
        gc.enable()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()


def _lock(folder: Path) -> BinaryIO:
    """Hold the run for this process alone. Raises UserError where another has it."""
    try:
        file = (folder / "engine.lock").open("ab")
    except OSError as error:
        raise UserError(f"Can't write to {error.filename}: {error.strerror}.") from None
    for _ in range(20):  # somebody may just be looking whether the run is live
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.05)
        else:
            return file
    raise UserError(f"Another engine serves {folder.name}: `lstm-tui attach {folder.name}`.")


def _tell_address(folder: Path, server: Server) -> None:
    address = EngineAddress(os.getpid(), str(server.path))
    try:
        replace_file(folder / "engine.json", [msgspec.json.encode(address)])
    except OSError as error:
        raise UserError(f"Can't write to {folder}: {error.strerror}.") from None


def main() -> int:
    """Serve the run in the folder given as the only argument."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    folder = Path(sys.argv[1]).absolute()
    try:
        with _lock(folder):
            server = Server(folder)
            worker = Worker(folder, server)
            signal.signal(signal.SIGTERM, lambda *_: server.inbox.put(Terminated()))
            _tell_address(folder, server)
            exit_code = worker.run()
    except UserError as error:
        logging.error("%s", error)
        return 2
    worker.say_goodbye()  # the run is free again: whoever hears it may open it at once
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
