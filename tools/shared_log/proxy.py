"""A TCP proxy on loopback whose network can be cut."""
import selectors
import socket
import struct
import threading

RESET = struct.pack("ii", 1, 0)
ROOM = 1 << 20


class Proxy:
    """Passes connections on to a port. `reset` breaks all of them and takes no new ones; `stall`
    leaves them as they are and passes nothing on, as a network does that swallows packets and a
    peer that sends them again; `heal` ends both. What was stalled then arrives, late."""

    def __init__(self, to):
        self.to, self.way = to, "open"
        self.listener = self.listen(0)
        self.port = self.listener.getsockname()[1]
        self.selector, self.peers, self.unsent = selectors.DefaultSelector(), {}, {}
        self.ours, self.theirs = socket.socketpair()
        self.wanted, self.applied = None, threading.Event()
        self.selector.register(self.ours, selectors.EVENT_READ)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @staticmethod
    def listen(port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        return listener

    def reset(self):
        self.tell("reset")

    def stall(self):
        self.tell("stall")

    def heal(self):
        self.tell("open")

    def close(self):
        self.tell("end")
        self.thread.join()

    def tell(self, way):
        self.applied.clear()
        self.wanted = way
        self.theirs.send(b".")
        self.applied.wait()

    def run(self):
        while self.way != "end":
            for key, events in self.selector.select():
                if key.fileobj is self.ours:
                    self.ours.recv(1)
                    self.become(self.wanted)
                    self.applied.set()
                    break  # what else was ready may be closed by now
                if key.fileobj is self.listener:
                    self.accept()
                elif key.fileobj in self.peers:
                    self.serve(key.fileobj, events)

    def become(self, way):
        self.way = way
        if way in ("reset", "end"):
            for one in list(self.peers):
                self.drop(one)
            if self.listener:
                self.selector.unregister(self.listener)
                self.listener.close()
                self.listener = None
        elif way == "stall":
            for one in [*self.peers, self.listener]:
                self.watch(one, 0)
        else:
            if not self.listener:
                self.listener = self.listen(self.port)
            self.watch(self.listener, selectors.EVENT_READ)
            for one in self.peers:
                self.interest(one)

    def watch(self, one, events):
        known = self.selector.get_map().get(one)
        if known and events:
            self.selector.modify(one, events)
        elif known:
            self.selector.unregister(one)
        elif events:
            self.selector.register(one, events)

    def interest(self, one):
        """Reads while there is room for what it says, and writes what waits for it."""
        reads = selectors.EVENT_READ if len(self.unsent[self.peers[one]]) < ROOM else 0
        self.watch(one, reads | (selectors.EVENT_WRITE if self.unsent[one] else 0))

    def accept(self):
        near, _ = self.listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self.to), timeout=1)
        except OSError:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers[one], self.unsent[one] = other, bytearray()
        for one in (near, far):
            self.interest(one)

    def serve(self, one, events):
        other = self.peers[one]
        try:
            if events & selectors.EVENT_READ:
                got = one.recv(1 << 16)
                if not got:
                    self.drop(one)
                    return
                self.unsent[other] += got
                self.flush(other)
            if events & selectors.EVENT_WRITE:
                self.flush(one)
        except BlockingIOError:
            pass
        except OSError:
            self.drop(one)
            return
        self.interest(one)
        self.interest(other)

    def flush(self, one):
        while self.unsent[one]:
            try:
                sent = one.send(self.unsent[one])
            except BlockingIOError:
                return
            del self.unsent[one][:sent]

    def drop(self, one):
        if one not in self.peers:
            return
        for end in (one, self.peers[one]):
            self.watch(end, 0)
            del self.peers[end], self.unsent[end]
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.close()
