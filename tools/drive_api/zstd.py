"""zstd frames (RFC 8878) of blocks that are not compressed, or are one byte repeated."""
import struct

BLOCK = 1 << 17


def frame(data):
    """The data as it is, in one frame."""
    blocks = [data[at:at + BLOCK] for at in range(0, len(data), BLOCK)] or [b""]
    out = head()
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        out += struct.pack("<I", len(block) << 3 | last)[:3] + block
    return out


def repeated(byte, blocks, end=True):
    """So many blocks of 128 KiB of one byte, four bytes each; without `end` there is more to come."""
    block = struct.pack("<I", BLOCK << 3 | 2)[:3] + byte
    last = struct.pack("<I", BLOCK << 3 | 3)[:3] + byte
    return head() + block * (blocks - 1) + (last if end else block)


def head():
    # No checksum, no size, a window of 128 KiB: exponent 7, mantissa 0.
    return struct.pack("<IBB", 0xFD2FB528, 0, 7 << 3)


def unpacked(data):
    """Decompressed, or None where there is nothing to do it with."""
    try:
        from compression import zstd  # Python 3.14
        return zstd.decompress(data)
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        return None
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)
