"""Cases: each belongs to a row of a table and is good or bad."""
import signal
import time
import traceback

CASES = []
# Seconds after which a case hangs, on a machine however slow.
LONGEST = 180


def overdue(*_):
    raise TimeoutError(f"no end in {LONGEST} seconds")


class Case:
    def __init__(self, row, is_good, name, run):
        self.row, self.is_good, self.name, self.run = row, is_good, name, run
        self.failure, self.seconds = None, 0.0

    def carry_out(self, world):
        signal.signal(signal.SIGALRM, overdue)
        signal.alarm(LONGEST)
        start = time.monotonic()
        try:
            self.run(world)
        except Exception as error:  # noqa: BLE001: whatever it is, the case has failed
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = str(error) or type(error).__name__
            self.failure = f"{text} [{where.filename.rsplit('/', 1)[-1]}:{where.lineno}]"
        finally:
            signal.alarm(0)
            self.seconds = time.monotonic() - start


def good(row):
    """Makes a function a good case of a row: what is asked for is done."""
    return lambda function: add(row, True, function.__name__, function)


def bad(row):
    """Makes a function a bad case of a row: it is refused as documented, and nothing is done."""
    return lambda function: add(row, False, function.__name__, function)


def add(row, is_good, name, run):
    CASES.append(Case(row, is_good, name.replace("_", " "), run))
    return run


def expect(holds, *otherwise):
    if not holds:
        raise AssertionError(" ".join(str(part)[:1500] for part in otherwise) or "it is not so")


def equal(found, wanted, *what):
    expect(found == wanted, *what, "found", repr(found), "instead of", repr(wanted))


def until(holds, what, seconds=60):
    """Asks again and again; the deadline only tells waiting from hanging."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come in {seconds} seconds")
        time.sleep(0.02)
    return value
