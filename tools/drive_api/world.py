"""The servers that cases share, each started when the first case asks for it."""
import functools
import os

from . import model
from .cases import equal
from .server import LINES, Server, command


class World:
    def __init__(self, binary, home, docs):
        self.binary, self.home, self.docs = binary, home, docs
        self.servers, self.number = [], 0

    def directory(self):
        self.number += 1
        path = os.path.join(self.home, str(self.number))
        os.makedirs(path)
        return path

    def server(self, *arguments, **options):
        """A server of the case's own."""
        server = Server(self.binary, self.directory(), arguments, **options)
        self.servers.append(server)
        return server

    @functools.cached_property
    def plain(self):
        """For anything; what is in its log nobody knows."""
        return self.server()

    @functools.cached_property
    def known(self):
        """Has model.ENTRIES, and besides only what exports recorded after them."""
        server = self.server()
        model.send(server)
        return server

    @functools.cached_property
    def large(self):
        """Has 100,001 entries, more than are counted by default."""
        server = self.server()
        for start in range(0, 100_000, 10_000):
            body = b"".join(b'{"action":"load.run","resource":"r%d"}\n' % number
                            for number in range(start, start + 10_000))
            answer = server.post(body, kind=LINES, receipts="none").ok(201).json()
            equal((answer["count"], answer["first_index"]), (10_000, start), "a batch of the most")
        server.post({"action": "load.end"}).ok(201)
        return server

    @functools.cached_property
    def document(self):
        return self.plain.get("/openapi.json", token=None).ok().json()

    @functools.cached_property
    def commands(self):
        """The commands that --help lists."""
        shown = self.run("--help").stdout
        part = shown.split("Commands:\n")[1].split("\n\n")[0]
        names = [line.split()[0] for line in part.split("\n") if line[2:3].strip()]
        return [name for name in names if name != "help"]

    def run(self, *arguments, **options):
        options.setdefault("cwd", self.home)
        if Server.pairing:
            # Commands about a server's log find it as the server does.
            own = [server for server in self.servers if getattr(server, "data", None) in arguments]
            settings = own[0].environment() if own else {}
            options["settings"] = settings | (options.get("settings") or {})
        return command(self.binary, *arguments, **options)

    def has(self, path):
        return path in self.document["paths"]

    def shared(self, name, make):
        """What several cases use; the first that asks for it makes it."""
        if name not in self.__dict__:
            self.__dict__[name] = make(self)
        return self.__dict__[name]

    def discard(self, server, kill=False):
        (server.kill if kill else server.stop)()
        self.servers.remove(server)

    @functools.cached_property
    def stores(self):
        """A redis-server and a mongod."""
        from shared_log import servers
        return servers.Stores()

    def close(self):
        for server in self.servers:
            if server.process.poll() is None:
                server.stop()
        if "stores" in self.__dict__:
            self.stores.close()
