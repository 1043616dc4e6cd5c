"""What ends the program: signals, which all do what Ctrl-C does, so that nothing it started is left behind; and the
deadline of its script. A thread sees to it that both do, however busy the event loop is.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from llmspell_core.watchdog import Alarm

__all__ = ["Ending"]

NAMES = ("SIGTERM", "SIGHUP")
PATIENCE = 0.5
"""Seconds in which the event loop has to take notice of an interrupt."""
STUCK = 0.25
"""Seconds after a script's deadline in which the event loop has come round: the work that holds it is interrupted before."""
CLEANING = 0.4
"""Seconds after its deadline in which a script and all that it made the host do has ended."""
LOCKED = 0.2
"""Seconds more after which it ends even if nothing of Python's can run."""
LAST_WORDS = 0.2
"""Seconds for the message of a program that ends itself: nobody may be reading it."""
LAST_OUTPUT = 0.1
"""Seconds for what the script printed to go out after that: it waits for a reader since the deadline."""
READING = 0.5
"""Seconds that whoever reads the output has at least, however late the script ended."""


class Ending:
    """Which signal ends the program.

    Attributes:
        signal: the number of the one that came last; that of Ctrl-C as long as none has.
        is_program: whether this process is ours to end; otherwise somebody called `main`.
    """

    def __init__(self) -> None:
        self.signal = int(signal.SIGINT)
        self.is_program = False
        self._alarms: list[Alarm] = []
        self._insisted = False
        self._is_armed = False
        self._deadline: float | None = None

    @property
    def exit_code(self) -> int:
        """What a shell makes of it."""
        return 128 + self.signal

    def listen(self) -> None:
        """A shell has what it starts in the background of a script ignore Ctrl-C; whoever sends it means it all the same."""
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def as_interrupt(self) -> Iterator[None]:
        """Inside, the other signals do what Ctrl-C does. One that is ignored, as under nohup, stays ignored."""
        wanted = [getattr(signal, name) for name in NAMES if os.name == "posix"]
        is_main = threading.current_thread() is threading.main_thread()
        ours = [each for each in wanted if is_main and signal.getsignal(each) is signal.SIG_DFL]
        for each in ours:
            signal.signal(each, self._come)
        try:
            yield
        finally:
            for each in ours:
                signal.signal(each, signal.SIG_DFL)

    def _come(self, number: int, _: object) -> None:
        self.signal = number
        signal.raise_signal(signal.SIGINT)

    @contextmanager
    def insisting(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Inside, which is work of `loop`, an interrupt that the loop takes no notice of is repeated; then the program ends."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return

        def come(number: int, frame: object) -> None:
            self._insist(loop)
            before(number, frame)  # type: ignore[arg-type]

        signal.signal(signal.SIGINT, come)
        try:
            yield
        finally:
            if signal.getsignal(signal.SIGINT) is come:
                signal.signal(signal.SIGINT, before)

    def _insist(self, loop: asyncio.AbstractEventLoop) -> None:
        import time

        from llmspell_core import watchdog

        came_round = threading.Event()
        loop.call_soon_threadsafe(came_round.set)

        def ring() -> float | None:
            if came_round.is_set():
                return None
            if self._insisted:
                self._leave(self.exit_code, lambda: print("Interrupted", file=sys.stderr, flush=True))
                return None
            self._insisted = True
            # To that thread: a system call that it waits in is interrupted. The second one raises KeyboardInterrupt.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            return PATIENCE

        self._alarms.append(watchdog.at(time.monotonic() + PATIENCE, ring))

    def at_deadline(self, when: float, report: Callable[[], int]) -> None:
        """Ends the program soon after a script should have ended, with what `report` says and the code it returns."""
        import asyncio

        from llmspell_core import watchdog

        if self.is_program:
            self._leave_without_python(when + CLEANING + LAST_WORDS + LAST_OUTPUT + LOCKED)
        self._deadline = self._deadline or when
        rounds = self._give_up(asyncio.get_running_loop(), report)
        self._alarms.append(watchdog.at(when, lambda: next(rounds, None)))

    def at_unread_output(self, seconds: float) -> None:
        """From now on the program writes what its script returned: it waits for a reader, but not beyond the deadline."""
        import time

        from llmspell_core import watchdog

        if self._deadline is None or not self.is_program:
            return
        message = f"Error: the output was not read within the {seconds:g} s of --timeout; the rest of it is lost"
        when = max(self._deadline + CLEANING, time.monotonic() + READING)
        watchdog.at(when, lambda: self._leave(1, lambda: print(message, file=sys.stderr, flush=True)))

    def _give_up(self, loop: asyncio.AbstractEventLoop, report: Callable[[], int]) -> Iterator[float]:
        """Yields the seconds to wait. A loop that a system call holds, a write that nobody reads, does not come back."""
        came_round = threading.Event()
        try:
            loop.call_soon_threadsafe(came_round.set)
        except RuntimeError:  # closed: the program is at its end
            came_round.set()
        yield STUCK
        if came_round.is_set():
            yield CLEANING - STUCK
        self._leave(1, report)

    def _leave_without_python(self, when: float) -> None:
        """Code in C that keeps the interpreter's lock stops the watchdog's thread, too. This thread needs no lock."""
        import faulthandler
        import time

        try:
            faulthandler.dump_traceback_later(max(LOCKED, when - time.monotonic()), exit=True)
        except (ValueError, OSError, RuntimeError, OverflowError):
            return  # no standard error to write to, or a time that no clock reaches
        self._is_armed = True

    def _leave(self, code: int, say: Callable[[], int | None]) -> None:
        """End the process, in the watchdog's thread. Whoever holds a stream, or does not read from one, cannot stop it."""
        if not self.is_program:
            return
        self._disarm()
        codes, said = [code], threading.Event()

        def speak() -> None:
            codes.append(say() or code)
            sys.stderr.flush()
            said.set()
            sys.stdout.flush()

        speaker = threading.Thread(target=speak, daemon=True)
        speaker.start()
        if said.wait(LAST_WORDS):
            speaker.join(LAST_OUTPUT)
        os._exit(codes[-1])

    def over(self) -> None:
        """The work has ended; nothing has to be insisted on."""
        for alarm in self._alarms:
            alarm.cancel()
        self._alarms.clear()
        self._disarm()

    def _disarm(self) -> None:
        if self._is_armed:
            import faulthandler

            faulthandler.cancel_dump_traceback_later()
            self._is_armed = False
