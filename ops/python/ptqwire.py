#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ptqwire - the wire format of ptqflow in Python: an example, and a tool for notebooks. Needs msgpack, zstandard, numpy; pyzmq for
sockets. The format is described in common/wire/INTERFACES.md.

    ptqwire.py list FILE|-              one line for each message, then whether the stream is complete
    ptqwire.py copy [--zstd] IN OUT     read everything, write it again
    ptqwire.py recv ENDPOINT            connect to a sending process, e.g. tcp://127.0.0.1:5555, and list what comes

A filter between two stages is a function on messages: see run_filter.
"""
import json
import struct
import sys
import threading
import time
import uuid

import msgpack
import numpy as np
import zstandard

DTYPES = {"BOOL": "u1", "U8": "u1", "I8": "i1", "F8_E4M3": "u1", "F8_E8M0": "u1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "BF16": "<u2", "U32": "<u4",
          "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8"}   # BF16 stays as its bits: see bf16_to_f32
BEST = {"BF16": "bf16+zstd", "F16": "bf16+zstd", "F32": "f32+zstd"}
DATA = {"chunk", "acts", "partial", "weights", "problem", "solution", "commit"}
MASK = (1 << 64) - 1


class WireError(Exception):
    pass


# Checksums -----------------------------------------------------------------------------------------------------------------------

_table = np.arange(256, dtype=np.uint32)
for _ in range(8):
    _table = (_table >> 1) ^ np.where(_table & 1, np.uint32(0x82F63B78), np.uint32(0))


def _zeros_operator(count):
    """What `count` zero bytes do to a CRC register, as the images of its 32 bits."""
    images = np.uint32(1) << np.arange(32, dtype=np.uint32)
    step = (images >> 8) ^ _table[images & 255]
    result = images
    while count:
        if count & 1:
            result = _apply(step, result)
        step, count = _apply(step, step), count >> 1
    return result


def _apply(operator, values):
    out = np.zeros_like(values)
    for bit in range(32):
        out ^= np.where(values >> np.uint32(bit) & 1, operator[bit], np.uint32(0)).astype(np.uint32)
    return out


def crc32c(data):
    """CRC32C. Many stretches of the data side by side, then put together: a byte at a time would take Python minutes."""
    raw = np.frombuffer(data, np.uint8)
    lanes = 1 << max(0, min(13, (len(raw) // 64).bit_length() - 1))
    size = len(raw) // lanes
    state = np.zeros(lanes, np.uint32)
    state[0] = 0xFFFFFFFF
    for column in raw[:lanes * size].reshape(lanes, size).T if size else []:
        state = (state >> 8) ^ _table[(state ^ column) & 255]
    operator = _zeros_operator(size)
    while len(state) > 1:   # neighbours together; each stretch is then twice as long
        state, operator = _apply(operator, state[0::2]) ^ state[1::2], _apply(operator, operator)
    crc = int(state[0])
    for byte in raw[lanes * size:].tobytes():
        crc = (crc >> 8) ^ int(_table[(crc ^ byte) & 255])
    return crc ^ 0xFFFFFFFF


def xxh64(data):
    """XXH64 with seed 0 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md)."""
    p1, p2, p3, p4, p5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)

    def turn(x, k):
        return (x << k | x >> (64 - k)) & MASK

    def lane(acc, x):
        return turn((acc + x * p2) & MASK, 31) * p1 & MASK

    at, acc = 0, p5
    if len(data) >= 32:
        s = [(p1 + p2) & MASK, p2, 0, -p1 & MASK]
        while at + 32 <= len(data):
            s = [lane(v, x) for v, x in zip(s, struct.unpack_from("<4Q", data, at))]
            at += 32
        acc = sum(turn(v, k) for v, k in zip(s, (1, 7, 12, 18))) & MASK
        for v in s:
            acc = ((acc ^ lane(0, v)) * p1 + p4) & MASK
    acc = (acc + len(data)) & MASK
    while at + 8 <= len(data):
        acc = (turn(acc ^ lane(0, struct.unpack_from("<Q", data, at)[0]), 27) * p1 + p4) & MASK
        at += 8
    if at + 4 <= len(data):
        acc = (turn(acc ^ struct.unpack_from("<I", data, at)[0] * p1 & MASK, 23) * p2 + p3) & MASK
        at += 4
    for byte in data[at:]:
        acc = turn(acc ^ byte * p5 & MASK, 11) * p1 & MASK
    acc = (acc ^ acc >> 33) * p2 & MASK
    acc = (acc ^ acc >> 29) * p3 & MASK
    return acc ^ acc >> 32


# Messages ------------------------------------------------------------------------------------------------------------------------

class Message:
    """kind, id, stage, run, seq, meta (dict), tensors (dict: name -> (dtype name, numpy array))."""

    def __init__(self, kind, id="", stage="python", run="", seq=0, meta=None, tensors=None):
        self.kind, self.id, self.stage, self.run, self.seq = kind, id, stage, run, seq
        self.meta, self.tensors = meta or {}, tensors or {}

    def checksum(self):
        data = self.kind.encode() + b"\0" + self.id.encode() + b"\0"
        return xxh64(data + b"".join(struct.pack("<I", crc32c(a.tobytes())) for _, a in self.tensors.values()))

    def bytes(self):
        """What the message counts for in credit."""
        return 1024 + sum(a.nbytes + 128 for _, a in self.tensors.values())


def bf16_to_f32(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def unpack(codec, part, raw):
    """The raw bytes of a tensor."""
    if codec == "raw":
        return part
    zstd = zstandard.ZstdDecompressor()
    if codec == "zstd":
        return zstd.decompress(part, max_output_size=raw)
    width = {"bf16+zstd": 2, "f32+zstd": 4}[codec]
    (length,) = struct.unpack_from("<Q", part)
    high = zstd.decompress(part[8:8 + length], max_output_size=raw // 2)
    planes = np.frombuffer(high + bytes(part[8 + length:]), np.uint8).reshape(width, raw // width)
    return planes[::-1].T.tobytes()   # the highest byte comes first


def pack(codec, raw):
    zstd = zstandard.ZstdCompressor(level=1)
    if codec == "zstd":
        return zstd.compress(raw)
    width = {"bf16+zstd": 2, "f32+zstd": 4}[codec]
    planes = np.ascontiguousarray(np.frombuffer(raw, np.uint8).reshape(-1, width).T[::-1])
    high = zstd.compress(planes[:width // 2].tobytes())
    return struct.pack("<Q", len(high)) + high + planes[width // 2:].tobytes()


def encode(m, compress=False):
    """The parts of a message: a list of bytes."""
    parts, tensors = [], []
    for name, (dtype, array) in m.tensors.items():
        raw = np.ascontiguousarray(array, DTYPES[dtype]).tobytes()
        codec, part = "raw", raw
        if compress and len(raw) >= 256:
            packed = pack(BEST.get(dtype, "zstd"), raw)
            if len(packed) < len(raw):
                codec, part = BEST.get(dtype, "zstd"), packed
        tensors.append({"name": name, "dtype": dtype, "shape": list(array.shape), "codec": codec, "raw": len(raw),
                        "packed": len(part), "crc": crc32c(part)})
        parts.append(part)
    head = msgpack.packb({"v": 1, "kind": m.kind, "id": m.id, "stage": m.stage, "run": m.run, "seq": m.seq, "meta": m.meta,
                          "tensors": tensors})
    return [struct.pack("<I", crc32c(head)) + head] + parts


def decode(parts):
    crc, head = struct.unpack_from("<I", parts[0])[0], bytes(parts[0][4:])
    if crc32c(head) != crc:
        raise WireError("a message header is damaged")
    h = msgpack.unpackb(head)
    if h["v"] != 1:
        raise WireError(f"message version {h['v']}, this program speaks version 1")
    if len(h["tensors"]) != len(parts) - 1:
        raise WireError(f"{len(parts) - 1} tensors came, the header names {len(h['tensors'])}")
    m = Message(h["kind"], h["id"], h["stage"], h["run"], h["seq"], h["meta"])
    for t, part in zip(h["tensors"], parts[1:]):
        if len(part) != t["packed"] or crc32c(part) != t["crc"]:
            raise WireError(f"{m.kind} '{m.id}': tensor '{t['name']}' is damaged")
        array = np.frombuffer(unpack(t["codec"], part, t["raw"]), DTYPES[t["dtype"]]).reshape(t["shape"])
        m.tensors[t["name"]] = (t["dtype"], array)
    return m


# Streams -------------------------------------------------------------------------------------------------------------------------

class End:
    """Counts what passes, for the end mark: how many data messages, and the sum of their checksums."""

    def __init__(self):
        self.count = self.sum = 0

    def add(self, m):
        if m.kind in DATA:
            self.count, self.sum = self.count + 1, (self.sum + m.checksum()) & MASK

    def mark(self):
        return Message("end", meta={"count": self.count, "sum": f"{self.sum:016x}", "complete": True})

    def check(self, m):
        if not m.meta["complete"]:
            raise WireError("the stream is incomplete: " + m.meta.get("why", "its sender ended it early"))
        if (m.meta["count"], m.meta["sum"]) != (self.count, f"{self.sum:016x}"):
            raise WireError("the stream is incomplete or damaged: its end mark does not fit")


def take(f, n):
    data = f.read(n)
    if len(data) != n:
        raise WireError("the stream is truncated")
    return data


def read_stream(f):
    """Messages of a file object up to the end mark, which is checked."""
    end = End()
    while magic := f.read(4):
        if magic != b"PTQ1":
            raise WireError("this is not a stream of messages")
        (count,) = struct.unpack("<I", take(f, 4))
        lengths = struct.unpack(f"<{count}Q", take(f, 8 * count))
        m = decode([take(f, n) for n in lengths])
        if m.kind == "end":
            return end.check(m)
        end.add(m)
        yield m
    raise WireError("the stream is incomplete: it has no end mark")


def write_message(f, m, compress=False):
    parts = encode(m, compress)
    f.write(struct.pack(f"<4sI{len(parts)}Q", b"PTQ1", len(parts), *map(len, parts)))
    for part in parts:
        f.write(part)


def write_stream(f, messages, compress=False):
    end = End()
    for m in messages:
        write_message(f, m, compress)
        end.add(m)
    write_message(f, end.mark())


class Link:
    """One end of a socket: "@URL" binds, "URL" connects; a sender names the kinds it sends, a receiver those it takes. Its own thread
    speaks the protocol (hello, credit, pings, end marks), so a program may compute as long as it likes.

        for m in Link("ipc:///tmp/s", takes=["chunk"]): ...
        out = Link("@ipc:///tmp/t", sends=["chunk"]); out.send(m); out.end()
    """

    def __init__(self, endpoint, sends=(), takes=(), peers=1, name="python", run="", credit=4, credit_bytes=256 << 20, silence=30.0):
        import zmq
        self.endpoint, self.bound, self.receives = endpoint.lstrip("@"), endpoint.startswith("@"), bool(takes)
        self.hello = dict(version=2, name=name, dir="in" if takes else "out", sends=list(sends), takes=list(takes), run=run,
                          elastic=False, instance=uuid.uuid4().hex[:16])
        if takes:
            self.hello.update(credit_messages=credit, credit_bytes=credit_bytes)
        self.need, self.silence = peers, silence
        self.peers, self.inbox = {}, []     # by address: see Peer
        self.error, self.ending, self.closed = None, None, False
        self.change = threading.Condition()
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER if self.bound else zmq.DEALER)
        self.connection, self.monitor, self.up = 0, None, zmq.EVENT_HANDSHAKE_SUCCEEDED
        if self.bound:
            self.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
            self.socket.bind(self.endpoint)
        else:
            self.socket.setsockopt(zmq.ROUTING_ID, self.hello["instance"].encode())
            self.monitor = self.socket.get_monitor_socket(self.up)
            self.socket.connect(self.endpoint)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    class Peer:
        def __init__(self, hello):
            self.messages, self.bytes = hello.get("credit_messages", 0), hello.get("credit_bytes", 0)   # that it may have on the way
            self.used = 0       # bytes sent
            self.queue, self.end = [], End()
            self.sent = []      # messages that may not have arrived; `again`: how many of them have to be sent again
            self.again, self.received, self.back, self.back_bytes = 0, 0, 0, 0     # credit: in totals
            self.told = (0, 0)
            self.connection = hello.get("connection", 0)
            self.ended = self.marked = False
            self.heard = self.said = time.monotonic()

    # The thread of the link

    def _hello(self, who, kind, p=None):
        """Hello and welcome: who we are, and how far the stream is that we share. ZeroMQ connects again by itself; then hello is said
        again, with the number of the connection, and what was lost comes or goes again."""
        count = p.end.count if p else 0
        far = dict(received=count, ended=p.ended if p else False) if self.receives else dict(sent=count)
        self._say(who, kind, connection=self.connection if not self.bound else p.connection, **far, **self.hello)

    def _events(self):
        """Of a connector: connections that came."""
        while self.monitor and self.monitor.poll(0):
            event = int.from_bytes(self.monitor.recv_multipart()[0][:2], sys.byteorder)
            if event == self.up:
                self.connection += 1
                self._hello(b"", "hello", self.peers.get(b""))

    def _resume(self, p, meta):
        if self.receives:
            p.told = None       # say it again
        else:
            self._arrived(p, meta["received"])
            p.again, p.marked = len(p.sent), False
            p.ended = p.ended or meta["ended"]

    @staticmethod
    def _arrived(p, received):
        lost = len(p.sent) - (p.end.count - max(p.received, received))
        p.received = max(p.received, received)
        p.again = min(p.again, len(p.sent) - lost)
        del p.sent[:lost]

    def _say(self, who, kind, **meta):
        self.socket.send_multipart([who] * self.bound + encode(Message(kind, stage=self.hello["name"], meta=meta)))
        if who in self.peers:
            self.peers[who].said = time.monotonic()

    def _serve(self):
        while not self.closed or self.ending:
            came = self.socket.poll(10)
            with self.change:
                try:
                    self._events()
                    if came:
                        frames = self.socket.recv_multipart()
                        who = frames.pop(0) if self.bound else b""
                        self._take(who, decode(frames))
                    for who, p in list(self.peers.items()):
                        self._give(who, p)
                except (WireError, KeyError) as error:
                    for who in self.peers:
                        self._say(who, "fail", text=str(error))
                    self.error = error
                self.change.notify_all()
                if self.error:
                    break
        if self.monitor:
            self.socket.disable_monitor()
            self.monitor.close()
        self.socket.close()

    def _take(self, who, m):
        p = self.peers.get(who)
        if p:
            p.heard = time.monotonic()
        if m.kind in ("hello", "welcome"):
            sent, taken = (m.meta["sends"], self.hello["takes"]) if self.receives else (self.hello["sends"], m.meta["takes"])
            if m.meta["version"] != 2 or m.meta["dir"] == self.hello["dir"] or set(sent) - set(taken):
                return self._say(who, "fail", text=f"{', '.join(sent)} where {', '.join(taken)} is taken, or another version")
            connection, known = m.meta.get("connection", 0), p
            if m.kind == "welcome" and connection != self.connection:
                return      # the answer to a hello of an earlier connection
            p = self.peers.setdefault(who, Link.Peer(m.meta))
            if known and (m.kind == "welcome" or connection > p.connection):
                p.connection = connection
                self._resume(p, m.meta)
            if m.kind == "hello":
                self._hello(who, "welcome", p)
        elif m.kind == "fail":
            raise WireError(f"{self.endpoint}: {m.meta['text']}")
        elif p and m.kind == "credit":
            self._arrived(p, m.meta["received"])
            p.back, p.back_bytes = m.meta["messages"], m.meta["bytes"]
        elif p and m.kind == "ack":
            p.ended = True
        elif p and m.kind == "leave":
            raise WireError(f"{self.endpoint}: a receiver left before the end")
        elif p and m.kind == "end":
            p.end.check(m)
            p.ended = True
            self._say(who, "ack", count=p.end.count)
        elif p and m.kind in DATA and m.seq == p.end.count:     # others came before, or come again behind what is missing
            if m.kind not in self.hello["takes"]:
                raise WireError(f"'{m.id}' is of kind {m.kind}; {', '.join(self.hello['takes'])} is taken here")
            p.end.add(m)
            self.inbox.append((who, m))

    def _give(self, who, p):
        now = time.monotonic()
        if self.receives and not p.ended and p.told != (p.end.count, p.back):
            p.told = (p.end.count, p.back)
            self._say(who, "credit", received=p.end.count, messages=p.back, bytes=p.back_bytes)
        while p.again:
            self.socket.send_multipart([who] * self.bound + encode(p.sent[-p.again]))
            p.again, p.said = p.again - 1, now
        while p.queue and self._room(p, p.queue[0].bytes()):
            m = p.queue.pop(0)
            m.seq = p.end.count
            self.socket.send_multipart([who] * self.bound + encode(m))
            p.end.add(m)
            p.sent.append(m)
            p.used, p.said = p.used + m.bytes(), now
        if self.ending and not p.queue and not p.marked:
            mark = p.end.mark()
            mark.meta.update(self.ending)
            self._say(who, "end", **mark.meta)
            p.marked = True
        if now - p.said > 1:
            self._say(who, "ping")
        if not p.ended and now - p.heard > self.silence:
            raise WireError(f"nothing from {self.endpoint} for {self.silence:g} seconds")

    @staticmethod
    def _room(p, size):
        way = p.end.count - p.back
        return way == 0 or (way < p.messages and p.used - p.back_bytes + size <= p.bytes)

    # The program's side

    def _wait(self, ready):
        with self.change:
            while not ready():
                if self.error:
                    raise self.error
                self.change.wait(1)

    def __iter__(self):
        """Messages, until every sender has ended. Credit goes back when the program comes for the next."""
        while True:
            self._wait(lambda: self.inbox or len(self.peers) >= self.need and all(p.ended for p in self.peers.values()))
            if not self.inbox:
                return self.close()
            who, m = self.inbox.pop(0)
            yield m
            with self.change:
                self.peers[who].back += 1
                self.peers[who].back_bytes += m.bytes()

    def send(self, m, peer=None):
        """To receiver number `peer` in the order they came, else to the one with the shortest queue; waits for room."""
        self._wait(lambda: len(self.peers) >= self.need)
        there = list(self.peers.values())
        p = min(there, key=lambda p: len(p.queue)) if peer is None else there[peer % len(there)]
        self._wait(lambda: len(p.queue) < 4)
        with self.change:
            p.queue.append(m)

    def end(self, complete=True, why=""):
        """The end mark to every receiver; waits until each has acknowledged it."""
        if complete:
            self._wait(lambda: len(self.peers) >= self.need)
        self.ending = {"complete": True} if complete else {"complete": False, "why": why}
        try:
            self._wait(lambda: all(p.ended for p in self.peers.values()))
        finally:
            self.ending = None
            self.close()

    def close(self):
        self.closed = True
        self.thread.join()
        self.context.term()   # waits until the last words have left


def receive(endpoint, takes=tuple(sorted(DATA)), **options):
    """Messages of a process that sends; acknowledges its end mark."""
    return iter(Link(endpoint, takes=takes, **options))


def run_filter(source, target, change, kinds=("chunk",), peers=1):
    """Stands between two stages: hands on what change(m) returns of each message (or nothing, for None), the fields and tensors it does
    not know included. "-" is standard input or output, anything else an endpoint. Chunks of a lane go to one of `peers` receivers."""
    messages = read_stream(sys.stdin.buffer) if source == "-" else receive(source, kinds)
    if target == "-":
        return write_stream(sys.stdout.buffer, filter(None, map(change, messages)))
    out = Link(target, sends=kinds, peers=peers)
    try:
        for m in filter(None, map(change, messages)):
            out.send(m, m.meta.get("lane"))
    except BaseException as error:
        out.end(complete=False, why=str(error))
        raise
    out.end()


# The command line ----------------------------------------------------------------------------------------------------------------

def show(messages):
    count = 0
    for m in messages:
        tensors = " ".join(f"{name}:{dtype}{list(a.shape)}" for name, (dtype, a) in m.tensors.items())
        print(f"{m.kind} {m.id} {tensors} {json.dumps(m.meta)[:100]}")
        count += 1
    print(f"complete: {count} messages")


def main(args):
    compress = "--zstd" in args
    args = [a for a in args if a != "--zstd"]
    if len(args) == 2 and args[0] == "list":
        show(read_stream(sys.stdin.buffer if args[1] == "-" else open(args[1], "rb")))
    elif len(args) == 3 and args[0] == "copy":
        with open(args[1], "rb") as src, open(args[2], "wb") as dst:
            write_stream(dst, read_stream(src), compress)
    elif len(args) == 2 and args[0] == "recv":
        show(receive(args[1]))
    elif args == ["--help"]:
        print(__doc__)
    else:
        print(__doc__, file=sys.stderr)
        return 100
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (WireError, OSError) as error:
        print(f"ptqwire: fatal: {error}", file=sys.stderr)
        sys.exit(1)
