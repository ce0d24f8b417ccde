"""Chromium over its debugging pipe, and a server to look at, for the tests of pages."""
import json
import os
import select
import shutil
import subprocess
import sys
import time

PATIENCE = 180


class Browser:
    """Chromium over its debugging pipe: messages end with a zero byte."""

    def __init__(self, home):
        program = os.environ.get("CHROMIUM") or next(
            filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
        if program is None:
            sys.exit("Chromium is missing: install it, for instance with apt-get install chromium, "
                     "or name it with CHROMIUM")
        to_it, self.write = os.pipe()
        self.read, from_it = os.pipe()
        flags = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--window-size=1400,1000", f"--user-data-dir={home}", "--remote-debugging-pipe",
                 "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{to_it} 4>&{from_it}', "sh", program, *flags],
            pass_fds=(to_it, from_it), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_it)
        os.close(from_it)
        self.number, self.buffer, self.session = 0, b"", None
        self.requests, self.complaints = [], []

    def message(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("Chromium does not answer")
            part = os.read(self.read, 1 << 20)
            if not part:
                raise EOFError("Chromium ended")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self.message(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.note(answer)

    def note(self, event):
        name, what = event.get("method"), event.get("params", {})
        if name == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif name == "Network.webSocketCreated":
            self.requests.append(what["url"])
        elif name == "Page.javascriptDialogOpening":
            self.complaints.append("a dialog: " + what["message"])
        elif name == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.complaints.append(what["entry"]["text"])
        elif name == "Runtime.exceptionThrown":
            self.complaints.append(what["exceptionDetails"]["text"])
        elif name == "Runtime.consoleAPICalled" and what["type"] in ("error", "assert"):
            self.complaints.append(str([argument.get("value") for argument in what["args"]]))
        elif name == "Audits.issueAdded" and what["issue"]["code"] == "ContentSecurityPolicyIssue":
            self.complaints.append(json.dumps(what["issue"]["details"]))

    def open(self, url):
        self.session = None
        self.requests, self.complaints = [], []
        # A context of its own: nothing is left of the page before.
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        page = self.ask("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Network", "Log", "Runtime", "Audits"]:
            self.ask(f"{domain}.enable")
        self.ask("Page.navigate", url=url)

    def run(self, script):
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, script, what):
        deadline = time.monotonic() + PATIENCE
        while not (value := self.run(script)):
            if time.monotonic() > deadline:
                text = self.run("document.body.innerText.slice(0, 3000)")
                sys.exit(f"{what} did not come\n{self.complaints}\n{text}")
            time.sleep(0.05)
        return value

    def click(self, selector):
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null", selector)
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def close(self):
        self.session = None
        self.ask("Browser.close")
        self.process.wait(PATIENCE)


class Server:
    def __init__(self, binary, home, **settings):
        self.binary, self.data = binary, os.path.join(home, "data")
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("AUDITTRAIL_", "LOG_SIGNING_KEY"))}
        self.environment = kept | settings
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "same",
             "--data", self.data],
            stdout=subprocess.PIPE, stderr=open(os.path.join(home, "log"), "w"), text=True,
            env=self.environment)
        first = self.process.stdout.readline().strip()
        if not first.startswith("listening on "):
            sys.exit(f"the server did not start: {first}")
        self.origin = first.removeprefix("listening on ")

    def token(self):
        command = [self.binary, "token", "--sub", "page", "--role", "admin", "--data", self.data]
        made = subprocess.run(command, env=self.environment, check=True, stdout=subprocess.PIPE)
        return made.stdout.decode().strip()

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


def expect(holds, otherwise):
    if not holds:
        sys.exit(otherwise)
