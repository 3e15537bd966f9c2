"""The engine process of one run: `python -m engine.service.worker FOLDER`.

The main thread trains. Between two events of the trainer it takes commands, answers queries and
sends what happened; a thread of its own moves the bytes (see server). Torch is imported in the
background while the corpus is read, so the door is open at once.

The process ends when it is told to, when nobody ever comes, when its last client vanished without a
word (then it saves first), or when the run's folder is gone. After Detach, or where its client was
let go for it did not read, it trains on alone until its limit, or until another client takes over.

With `--ask DESCRIPTOR` it answers the questions of the one client behind that socket, from the
saved model, and writes nothing; it reads the run's text only with `--corpus`. With `--vectors` the
path is that of a file of word vectors, which it loads to be asked; there is no run then.
"""

import argparse
import gc
import importlib
import logging
import os
import queue
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import assert_never

import msgspec

from engine import messages as p
from engine.config import RunConfig
from engine.errors import UserError
from engine.events import AnyEvent, Progress
from engine.runs import load_config, remove_unbegun
from engine.runs.engines import EngineAddress, forget_address, hold, tell_address
from engine.runs.origins import note_begun, tidy
from engine.runs.steps import last_step
from engine.service.answers import answer
from engine.service.conductor import Conductor
from engine.service.log import begin_log, log_to_stderr
from engine.service.preparing import build, load_file, open_corpus
from engine.service.record import Record
from engine.service.run import Run, describe
from engine.service.server import Client, Connected, Gone, Item, Received, Server
from engine.service.streams import Streams

FIRST_CLIENT_SECONDS = 30.0
"""How long a new engine waits for anybody to come."""
GRACE_SECONDS = 10.0
"""How long an engine goes on after its last client vanished without Detach."""
SAVE_AGAIN_SECONDS = 60.0
"""How long an engine that nobody is left for waits after a save that failed."""
LOOK_EVERY = 1.0
"""Seconds between two looks whether the run's folder is still there."""
TAKES_OVER = (p.Start, p.Step, p.Pause, p.Stop)
"""With these a client takes over a run that another has left."""
TURN = 0.05
"""Seconds for which calls are taken between two steps."""


class Worker:
    """Serves one run until it ends."""

    def __init__(
        self,
        folder: Path,
        server: Server,
        *,
        asking: bool,
        corpus: bool = False,
        vectors: bool = False,
    ) -> None:
        """`asking` says that questions about a saved model are all there is to do; `corpus`, that
        the run's text may be read; `vectors`, that `folder` is a file of vectors instead. Raises
        UserError where the folder holds no run."""
        self.folder = folder
        self.server = server
        self.record = Record(folder, self._broadcast)
        config = RunConfig() if vectors else load_config(folder)
        self.run = Run(folder, config, self.record, asking=asking)
        self.conductor = Conductor(self.run)
        self.streams = Streams(lambda question: answer(question, self.run))
        self.saves: list[Received] = []
        """Saves asked for while an evaluation was half done, one of a client."""
        self.clients: set[Client] = set()
        self.detached = False
        self.left_paused = False
        """Whether the last one to leave wants the run to stay as it is."""
        self.deadline = time.monotonic() + FIRST_CLIENT_SECONDS
        """When it ends if nobody is there."""
        self.ending = ""
        """Why it ends, once it does."""
        self.ended_by: Client | None = None
        self.exit_code = 0
        self._reads_corpus = corpus
        self._loads_vectors = vectors
        self._looked = time.monotonic()

    def work(self) -> int:
        """Prepare, then train and serve until the end. Returns the exit code."""
        try:
            self._prepare()
        except UserError as error:
            if not self.ending:
                self.exit_code = 2
                self.run.fail(str(error), error.advice)
        except Exception as error:
            logging.exception("preparing failed")
            self.exit_code = 1
            self.run.fail(describe(error))
        while not self.ending:
            if self.run.busy:
                self.conductor.advance()
                self._serve()
            else:
                self._serve(wait=self.streams.patience)
        self._close()
        return self.exit_code

    def _prepare(self) -> None:
        """Read the corpus while torch is imported, then build the model. A file of vectors takes
        neither."""
        if self._loads_vectors:
            load_file(self.run, self._on_progress)
            return
        torch_import = _BackgroundImport("torch")
        problem = self._open_corpus() if self._reads_corpus else ""
        if torch_import.running:
            self.run.tell_progress("loading torch")
        while torch_import.running and not self.ending:
            self._serve(wait=0.02)
        if torch_import.error is not None:
            raise torch_import.error
        if not self.ending:
            _flush_denormals()
            build(self.run, self.conductor.saver, problem, self._on_progress)

    def _open_corpus(self) -> str:
        """Read the run's text. Returns why that can't be done, if it can't."""
        try:
            open_corpus(self.run, self._on_progress)
        except UserError as error:
            if self.ending:
                raise
            return str(error)
        return ""

    def _on_progress(self, progress: Progress) -> None:
        self.run.progress = progress
        self.run.publish(progress)
        self._serve()
        if self.ending:
            raise UserError("The engine was asked to end while it was preparing.")

    def _close(self) -> None:
        """Close the record."""
        self.record.close()
        logging.info("ended: %s", self.ending)

    def say_goodbye(self) -> None:
        """Tell every client why, and close the door."""
        told = self._farewell()
        for client in self.clients:
            mine = client is self.ended_by
            client.send(p.Goodbye(reason="The engine was told to end." if mine else told))
        self.server.close()

    def _farewell(self) -> str:
        """Why it ends, and what is kept."""
        run, saver = self.run, self.conductor.saver
        if run.asking or saver.kept_step is None or run.folder_is_gone:
            return self.ending
        if saver.held_step == run.step:
            return f"{self.ending[:-1]}, saved at step {run.step:,}."
        return (
            f"{self.ending[:-1]}, last saved at step {saver.kept_step:,}; what came after is lost."
        )

    def end(self, reason: str, save: bool = True) -> bool:
        """Let the process end after the current event. False where a save that was asked failed."""
        if save and not self.conductor.saver.keep():
            return False
        self.ending = reason
        return True

    def _broadcast(self, events: list[AnyEvent]) -> None:
        frame = p.frame(p.Events(events=events))
        for client in self.clients:
            client.send_frame(frame)

    # --- serving ------------------------------------------------------------------------------

    def _serve(self, wait: float = 0.0) -> None:
        """Take what came in, go on with streams, send what happened. Waits only for the first."""
        if self.server.terminated:
            self._terminate()
            return
        if wait:
            self.record.flush()
        self.server.turn = time.monotonic()
        with suppress(queue.Empty):
            item = self.server.next_item(wait)
            ends = time.monotonic() + TURN
            self._take(item)
            while not self.server.terminated and time.monotonic() < ends:
                self._take(self.server.next_item())
        self.server.turn = time.monotonic()
        if self.run.between_steps:
            waiting, self.saves = self.saves, []
            for received in waiting:
                self._answer(received)
        self.streams.advance(training=self.run.busy)
        self.record.flush_if_due()
        if self.ending:
            return
        if not self.clients:
            self._leave_if_due()
        self._look_for_folder()

    def _terminate(self) -> None:
        """End, saved if that can be done: a second signal would not be so patient."""
        reason = "The engine was terminated."
        if not self.end(reason):
            self.end(reason, save=False)

    def _look_for_folder(self) -> None:
        """End where the run's folder is gone: nobody could reach this engine any more."""
        if self.server.path is None or time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        if self.run.folder_is_gone:
            self.exit_code = 1
            self.end("The run's folder is gone, so its engine has ended.", save=False)

    def _leave_if_due(self) -> None:
        under_way = self.run.busy or self.run.state == "preparing"
        stays = self.left_paused and self.run.state == "paused"
        if self.detached and (under_way or stays):
            return
        if time.monotonic() > self.deadline and not self.end("Nobody was left to train for."):
            self.deadline = time.monotonic() + SAVE_AGAIN_SECONDS

    def _take(self, item: Item) -> None:
        match item:
            case Connected(client):
                self.record.flush()
                self.clients.add(client)
                self.streams.welcome(client)
                client.send(p.Welcome(status=self._status(), recorded=self.record.extent))
            case Gone(client):
                self.clients.discard(client)
                self.streams.drop(client)
                self.saves = [save for save in self.saves if save.client is not client]
                if self.server.path is None:
                    self.end("Nobody asks any more.", save=False)
                elif client.stalled:  # its terminal is held, or its connection lost: it may be back
                    self._leave_as_it_is()
                elif not self.detached:
                    self.deadline = time.monotonic() + GRACE_SECONDS
            case Received(call=p.Call(body=p.Save())) if not self.run.between_steps:
                self._put_off(item)
            case Received():
                self._answer(item)
            case _:
                assert_never(item)

    def _put_off(self, save: Received) -> None:
        """Save at the evaluation's end."""
        if any(waiting.client is save.client for waiting in self.saves):
            refusal = p.Refusal(reason="A save waits for the evaluation's end already.")
            save.client.send(p.Answer(id=save.call.id, body=refusal))
        else:
            self.saves.append(save)

    def _leave_as_it_is(self) -> None:
        """Let the run go on, or stay paused, without a client."""
        self.detached = True
        self.left_paused = self.run.state == "paused"
        self.deadline = time.monotonic()

    def _status(self) -> p.Status:
        others = max(0, len(self.clients) - 1)
        return msgspec.structs.replace(self.run.status(), others=others)

    def _answer(self, received: Received) -> None:
        """Carry a call out and answer it, after the events it caused."""
        try:
            answer = self._carry_out(received)
        except UserError as error:
            answer = p.Refusal(reason=str(error), advice=error.advice)
        except Exception as error:
            logging.exception("a call failed")
            answer = p.Refusal(reason=describe(error))
        self.record.flush()
        received.client.send(p.Answer(id=received.call.id, body=answer))

    def _carry_out(self, received: Received) -> p.AnyAnswer:
        """Do at once what a client wants. Raises UserError."""
        conductor, client, body = self.conductor, received.client, received.call.body
        if isinstance(body, p.TrainingCommand):
            done = conductor.command(body)
            if isinstance(body, TAKES_OVER):
                self.detached = self.left_paused = False
            return done
        match body:
            case p.AskStatus():
                return self._status()
            case p.Detach():
                self._leave_as_it_is()
            case p.Shutdown(save=save):
                if not self.end("Ended from another screen.", save):
                    raise UserError("The run could not be saved, so the engine goes on.")
                self.ended_by = client
            case p.Cancel(call=number):
                self.streams.cancel(client, number)
            case p.Save():
                return conductor.saver.save_asked()
        return p.Done(step=self.run.step)


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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ask", type=int, metavar="DESCRIPTOR")
    parser.add_argument("--corpus", action="store_true")
    parser.add_argument("--vectors", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Serve the run in the folder given."""
    log_to_stderr()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    options = _options()
    folder = options.folder.absolute()
    try:
        if options.ask is None:
            return _train(folder)
        return _ask(folder, socket.socket(fileno=options.ask), options.corpus, options.vectors)
    except UserError as error:
        logging.error("%s", error)
        return 2


def _train(folder: Path) -> int:
    with hold(folder):
        forget_address(folder)
        begin_log(folder)
        if last_step(folder):
            note_begun(folder)  # it may have to begin anew, where nothing was saved
        server = Server(folder)
        worker = Worker(folder, server, asking=False, corpus=True)
        _on_term(server)
        tell_address(folder, EngineAddress(os.getpid(), str(server.path)))
        exit_code = worker.work()
        server.withdraw()
    if exit_code != 1:
        remove_unbegun(folder)
    worker.say_goodbye()  # the run is free again: whoever hears it may open it at once
    tidy()
    return exit_code


def _ask(folder: Path, connection: socket.socket, corpus: bool, vectors: bool) -> int:
    server = Server(folder, connection)
    worker = Worker(folder, server, asking=True, corpus=corpus, vectors=vectors)
    _on_term(server)
    exit_code = worker.work()
    worker.say_goodbye()
    return exit_code


def _on_term(server: Server) -> None:
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "terminated", True))


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # Not sys.exit: a thread that still loads torch may hold up the interpreter's end for good.
    os._exit(code)
