#!/usr/bin/env python3
"""Reads a data directory as docs/formats.md describes it, with nothing but the standard library.
Segments that are packed also need zstd: Python 3.14, or the package zstandard.

usage: read_log.py DATA [--leaves]

Checks every checksum, commitment and signature, rebuilds the tree, and compares it with the
root that each batch records and with the checkpoint's, whose own signature is not checked.
Ends with 1 and the first finding, or prints the size and root; with --leaves also a line an
entry: index, id, leaf hash.
"""
import base64
import hashlib
import hmac
import json
import os
import struct
import sys

SEGMENT, BATCH, RECORD = 88, 72, 84
PACKED = b"ATPAK\r\n\0"


def make_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = make_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def sha256(data):
    return hashlib.sha256(data).digest()


class Tree:
    """RFC 6962: the roots of the perfect subtrees, the largest first."""

    def __init__(self):
        self.size, self.roots = 0, []

    def push(self, leaf):
        node, size = leaf, self.size
        while size & 1:
            node = sha256(b"\1" + self.roots.pop() + node)
            size >>= 1
        self.roots.append(node)
        self.size += 1

    def root(self):
        if not self.roots:
            return sha256(b"")
        node = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            node = sha256(b"\1" + left + node)
        return node


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unzstd(frame, length):
    try:
        from compression import zstd  # Python 3.14
        return zstd.decompress(frame)
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        sys.exit("the log has packed segments: to read them takes Python 3.14, or `pip install zstandard`")
    try:
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=length)
    except zstandard.ZstdError:
        return b""


def unpack(data, fail):
    """The bytes of a packed segment before it was packed. Nothing that is kept twice may differ."""
    header = data[:32]
    if len(data) < 64 or data[-32:] != header:
        fail(0, "the two headers of a packed segment differ")
    version, block, length, zero, checksum = struct.unpack_from("<IIQII", header, 8)
    if version != 1 or not block or zero or crc32c(header[:28]) != checksum:
        fail(0, "the header of a packed segment is wrong")
    size = 8 * -(-length // block) + 4
    end = len(data) - 32 - 2 * size
    tables = data[end:end + size], data[end + size:-32]
    rows = tables[0][:-4]
    if end < 32 or tables[0] != tables[1] or tables[0][-4:] != struct.pack("<I", crc32c(rows)):
        fail(end, "the table of a packed segment is wrong")
    out, at = [], 32
    for number, (stored, checksum) in enumerate(struct.iter_unpack("<II", rows)):
        bytes_of, expected = data[at:at + stored], min(block, length - number * block)
        if at + stored > end or crc32c(bytes_of) != checksum:
            fail(at, "the checksum of a packed block is wrong")
        raw = bytes_of if stored == expected else unzstd(bytes_of, expected)
        if len(raw) != expected:
            fail(at, "a packed block is not what it was")
        out.append(raw)
        at += stored
    if at != end:
        fail(at, "the blocks of a packed segment end elsewhere")
    return b"".join(out)


class Log:
    """A log that is read from its start; what was added since then by another call of read."""

    def __init__(self, path, seen=None):
        """seen is called with the index, the open part and the leaf hash of each entry."""
        self.path, self.seen, self.tree = path, seen, Tree()
        self.known = {0: self.tree.root()}
        self.ends = {}
        with open(os.path.join(path, "keys", "signing.key"), "rb") as key:
            self.key = key.read().rstrip(b"\r\n")

    def fail(self, name, offset, what):
        sys.exit("%s at offset %d, entry %d: %s"
                 % (name, self.ends.get(name, 0) + offset, self.tree.size, what))

    def read(self):
        """Reads on to the end, and compares with the checkpoint, whose size it gives."""
        with open(os.path.join(self.path, "checkpoint"), encoding="utf-8") as note:
            self.origin, size, root = note.read().split("\n")[:3]
        folder = os.path.join(self.path, "log")
        for name in sorted(os.listdir(folder)):
            if name.endswith(".seg"):
                with open(os.path.join(folder, name), "rb") as segment:
                    self.segment(name, self.unread(name, segment))
        if self.known.get(int(size)) != base64.b64decode(root):
            sys.exit("the checkpoint of size %s is not one of this log" % size)
        return int(size)

    def unread(self, name, segment):
        """What of a segment was not read yet; of one that was packed since, nothing is new."""
        known = self.ends.get(name, 0)
        packed = segment.read(8) == PACKED
        length = os.fstat(segment.fileno()).st_size
        segment.seek(0)
        if packed:
            if known:
                segment.seek(16)
                length = struct.unpack("<Q", segment.read(8))[0]
                if length == known:
                    return b""
            segment.seek(0)
            data = unpack(segment.read(), lambda at, what: self.fail(name, at - known, what))
            if len(data) >= known:
                return data[known:]
        elif length >= known:
            segment.seek(known)
            return segment.read()
        return self.fail(name, 0, "the segment was longer before")

    def segment(self, name, data):
        at = 0
        if name not in self.ends:
            self.header(name, data[:SEGMENT])
            at = SEGMENT
        while at < len(data):
            at = self.batch(name, data, at)
        self.ends[name] = self.ends.get(name, 0) + len(data)

    def header(self, name, header):
        version, checksum, first = struct.unpack_from("<IIQ", header, 8)
        sound = (header[:8] == b"ATSEG\r\n\0" and version == 1
                 and crc32c(header[:12] + header[16:]) == checksum
                 and first == self.tree.size and header[24:56] == self.tree.root()
                 and header[56:88] == sha256(self.origin.encode())
                 and name == "%020d.seg" % first)
        if not sound:
            self.fail(name, 0, "the segment's header is wrong")

    def batch(self, name, data, at):
        header = data[at:at + BATCH]
        if len(header) < BATCH or header[:4] != b"\x00\x42\xff\x31":
            self.fail(name, at, "no batch begins here")
        checksum, length, count, first, before, zero, size = struct.unpack_from("<IIIQIIQ", header, 4)
        head = struct.pack("<Q", self.tree.size) + self.tree.root()
        if crc32c(header[8:]) != checksum or zero or first != self.tree.size \
                or before != crc32c(head):
            self.fail(name, at, "the batch's header is wrong")
        end, at = at + BATCH + length, at + BATCH
        for _ in range(count):
            at = self.record(name, data, at)
        if at != end or size != self.tree.size or header[40:] != self.tree.root():
            self.fail(name, at, "the batch's root is not that of its entries")
        self.known[size] = header[40:]
        return end

    def record(self, name, data, at):
        lengths, checksums = struct.unpack_from("<II", data, at), struct.unpack_from("<II", data, at + 8)
        key_id, signature, salt = data[at + 16:at + 20], data[at + 20:at + 52], data[at + 52:at + 84]
        middle, end = at + RECORD + lengths[0], at + RECORD + sum(lengths)
        leaf, sealed = data[at + RECORD:middle], data[middle:end]
        index = struct.pack("<Q", self.tree.size)
        if crc32c(index + data[at:at + 8] + key_id + signature + leaf) != checksums[0]:
            self.fail(name, at, "the checksum of the open part is wrong")
        if crc32c(salt + sealed) != checksums[1]:
            self.fail(name, at, "the checksum of the sealed part is wrong")
        entry = json.loads(leaf)
        if leaf != json.dumps(entry, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode():
            self.fail(name, at, "the leaf is not canonical")
        if entry["sealed"] != base64url(hmac.digest(salt, sealed, "sha256")):
            self.fail(name, at, "the commitment is not that of the sealed part")
        if key_id != sha256(b"audittrail/key-id/v1" + self.key)[:4]:
            self.fail(name, at, "the signature's key is another")
        message = b"audittrail/signature/v1\n" + self.origin.encode() + b"\n" + leaf
        if signature != hmac.digest(self.key, message, "sha256"):
            self.fail(name, at, "the signature is wrong")
        leaf_hash = sha256(b"\0" + leaf)
        if self.seen:
            self.seen(self.tree.size, entry, base64.b64encode(leaf_hash).decode())
        self.tree.push(leaf_hash)
        return end


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--leaves"]):
        sys.exit(__doc__)
    show = (lambda index, entry, leaf_hash: print(index, entry["id"], leaf_hash)) \
        if len(sys.argv) == 3 else None
    log = Log(sys.argv[1], show)
    log.read()
    print("size %d root %s" % (log.tree.size, base64.b64encode(log.tree.root()).decode()))


if __name__ == "__main__":
    main()
