"""AuditTrail's own processes over Redis and MongoDB, started again on the port that they had."""
import http.client
import json
import os
import signal
import subprocess

from drive_api.server import environment

from .servers import PATIENCE, Process, until


def ask(address, path, headers=None, patience=5):
    """Status and body of a GET on a new connection; 0 and why where there is no answer."""
    connection = http.client.HTTPConnection(address, timeout=patience)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error).encode()
    finally:
        connection.close()


class Node(Process):
    """One process of the binary."""

    def __init__(self, name, binary, settings):
        super().__init__(name)
        self.binary, self.settings = binary, settings

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def launch(self):
        with open(os.path.join(self.home, "out"), "ab") as out:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.home,
                env=environment(self.settings))

    def answers(self):
        return ask(self.address, "/health/live", patience=1)[0] == 200

    def ready(self):
        """Whether it says that it is, and what it says."""
        status, body = ask(self.address, "/health/ready")
        try:
            return status == 200, json.loads(body).get("detail", "")
        except ValueError:
            return False, body.decode(errors="replace")

    def leads(self):
        """Whether it says that it sequences the log."""
        return b"\naudittrail_leader 1" in b"\n" + ask(self.address, "/metrics", patience=1)[1]

    def terminate(self):
        """SIGTERM, and its end; the exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def log(self):
        with open(os.path.join(self.home, "out"), encoding="utf-8", errors="replace") as out:
            return out.read()


class Api(Node):
    """`audittrail serve`; it sequences too unless the settings say that it does not."""

    def command(self):
        return [self.binary, "serve", "--listen", self.address, "--metrics-listen", "same",
                "--data", os.path.join(self.home, "data")]


class Worker(Node):
    """`audittrail worker`."""

    def command(self):
        return [self.binary, "worker", "--metrics-listen", self.address]


def leader(nodes):
    """Waits for the one of them that leads."""
    def found():
        leading = [one for one in nodes if one.process.poll() is None and one.leads()]
        return leading[0] if len(leading) == 1 else None
    return until(found, "one process leads")
