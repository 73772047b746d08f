"""Event-driven sockets in one network namespace, driven by JSON lines: one command, one answer. Nothing here blocks in a
socket: every wait is a poll with a deadline, as in the programs that acceleration is for. Streams are made of a
seed, so that both ends know every byte."""

import errno
import fcntl
import hashlib
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import tempfile
import termios
import threading
import time

DEADLINE = 20
IPPROTO_MPTCP = 262
sockets = {}
threads = {}


def name_of(error):
    if isinstance(error, TimeoutError):
        return "ETIMEDOUT"
    return errno.errorcode.get(error.errno, str(error)) if getattr(error, "errno", None) else str(error)


def wait(made, events, seconds=DEADLINE):
    poll = select.poll()
    poll.register(made, events)
    ready = poll.poll(seconds * 1000)
    if not ready:
        raise TimeoutError
    return ready[0][1]


def stream(seed, size):
    """The bytes that `seed` stands for, in pieces of odd sizes. They repeat after a prime number of bytes, so that
    whatever is lost, doubled or out of order makes another stream."""
    source = random.Random(seed)
    block = source.randbytes(min(size, 1_000_003))
    at = 0
    while size > 0:
        piece = block[at : at + min(size, source.choice((1, 7, 100, 1460, 4096, 30000, 65536)))]
        at = (at + len(piece)) % len(block)
        size -= len(piece)
        yield piece


def digest_of(seed, size, start, end):
    """Of a part of a stream."""
    digest, at = hashlib.sha256(), 0
    for piece in stream(seed, size):
        if at >= end:
            break
        digest.update(piece[max(0, start - at) : end - at])
        at += len(piece)
    return digest.hexdigest()


def send_all(made, data, flags=0):
    view = memoryview(data)
    while view:
        try:
            view = view[made.send(view, flags) :]
        except BlockingIOError:
            wait(made, select.POLLOUT)


def pour(made, seed, size, end=True):
    """Sends a stream; gives how much, before the connection broke."""
    sent = 0
    try:
        for piece in stream(seed, size):
            send_all(made, piece)
            sent += len(piece)
        if end:
            made.shutdown(socket.SHUT_WR)
    except ConnectionError:
        pass
    return sent


def drain(made, pause=0.0, size=1 << 62):
    """Reads to the end (or `size` bytes): how many, and their digest. A connection that is reset has ended too."""
    digest, total = hashlib.sha256(), 0
    while total < size:
        try:
            data = made.recv(min(65536, size - total))
        except BlockingIOError:
            wait(made, select.POLLIN)
            continue
        except ConnectionError:
            break
        if not data:
            break
        digest.update(data)
        total += len(data)
        if pause:
            time.sleep(pause)
    return {"bytes": total, "digest": digest.hexdigest()}


def connect(host, port):
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    error = made.connect_ex((host, port))
    if error == errno.EINPROGRESS:
        wait(made, select.POLLOUT)
        error = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    return made


def accept(listener):
    wait(listener, select.POLLIN)
    made, _ = listener.accept()
    made.setblocking(False)
    return made


def serve_echoes(listener):
    """Answers each connection with as many bytes as came, the very same, from a thread of its own: echo as it comes,
    and an end after the client's end."""

    def echo(made):
        try:
            while True:
                try:
                    data = made.recv(65536)
                except BlockingIOError:
                    wait(made, select.POLLIN)
                    continue
                if not data:
                    break
                send_all(made, data)
            made.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            made.close()

    while True:
        try:
            made = accept(listener)
        except TimeoutError:
            continue
        except (OSError, ValueError):
            return
        threading.Thread(target=echo, args=(made,), daemon=True).start()


def many(host, port, count, parallel, largest, seed):
    """Short connections: each sends what its number stands for and half-closes, in one thread with epoll, and compares
    what comes back byte for byte."""
    source = random.Random(seed)
    epoll = select.epoll()
    living, done, wrong, total, number = {}, 0, [], 0, 0

    def start():
        nonlocal number
        size = int(largest ** source.random()) - 1 if source.random() < 0.9 else largest
        data = b"".join(stream(number, size))
        made = socket.socket()
        made.setblocking(False)
        made.connect_ex((host, port))
        living[made.fileno()] = [made, memoryview(data), bytearray(), data, number]
        epoll.register(made, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        number += 1

    def finish(fd, problem=None):
        nonlocal done
        made, _, _, _, index = living.pop(fd)
        epoll.unregister(fd)
        made.close()
        done += 1
        if problem:
            wrong.append(f"{index}: {problem}")

    while done < count:
        while len(living) < parallel and number < count:
            start()
        ready = epoll.poll(DEADLINE)
        if not ready:
            return {"done": done, "wrong": wrong + [f"{len(living)} connections hang"], "bytes": total}
        for fd, _ in ready:
            made, rest, back, data, _ = living[fd]
            try:
                while rest:
                    sent = made.send(rest)
                    rest = rest[sent:]
                    living[fd][1] = rest
                if rest is not None and not rest:
                    made.shutdown(socket.SHUT_WR)
                    living[fd][1] = None
            except BlockingIOError:
                pass
            except OSError as error:
                finish(fd, name_of(error))
                continue
            try:
                while True:
                    came = made.recv(65536)
                    if not came:
                        total += len(back)
                        finish(fd, None if back == data else f"{len(back)} bytes instead of {len(data)}, or others")
                        break
                    back += came
            except BlockingIOError:
                pass
            except OSError as error:
                finish(fd, name_of(error))
    return {"done": done, "wrong": wrong, "bytes": total}


def converse(made, seed, size):
    """Sends a stream in pieces of which each is echoed before the next is sent; gives where the first other byte came."""
    at = 0
    for piece in stream(seed, size):
        send_all(made, piece)
        back = bytearray()
        while len(back) < len(piece):
            try:
                came = made.recv(len(piece) - len(back))
            except BlockingIOError:
                wait(made, select.POLLIN)
                continue
            if not came:
                break
            back += came
        if back != piece:
            return at
        at += len(piece)
    return None


def busy(host, port, count, ready):
    """Echoes small messages on `count` connections as fast as it can, in one thread, until all are cut; gives of each when
    the last message was sent that got an answer (CLOCK_MONOTONIC, nanoseconds)."""
    epoll, living, last = select.epoll(), {}, []
    for _ in range(count):
        made = connect(host, port)
        living[made.fileno()] = made
        epoll.register(made, select.EPOLLIN)
    sent, answered = {}, dict.fromkeys(living, 0)
    for fd, made in living.items():
        sent[fd] = time.monotonic_ns()
        made.send(b"ping")
    while living:
        events = epoll.poll(DEADLINE)
        if not events:
            return {"living": len(living), "last": last}
        for fd, _ in events:
            made = living[fd]
            try:
                if not made.recv(4096):
                    raise ConnectionResetError
                answered[fd], sent[fd] = sent[fd], time.monotonic_ns()
                made.send(b"ping")
            except BlockingIOError:
                continue
            except OSError:
                epoll.unregister(fd)
                made.close()
                del living[fd]
                last.append(answered[fd])
        if not ready.is_set() and all(answered.values()):
            ready.set()
    return {"living": 0, "last": last}


def background(name, work):
    def run():
        try:
            threads[name].append({"ok": work()})
        except OSError as error:
            threads[name].append({"error": name_of(error)})

    thread = threading.Thread(target=run, daemon=True)
    threads[name] = [thread]
    thread.start()
    return True


def run(command):
    op, name = command["op"], command.get("name")
    made = sockets.get(command.get("on", name))
    flags = sum(getattr(socket, flag, 0) for flag in command.get("flags", []))
    if op == "listen":
        family = socket.AF_INET6 if ":" in command.get("host", "") else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if command.get("mptcp") else 0)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((command.get("host", "0.0.0.0"), command["port"]))
        made.listen(1024)
        made.setblocking(False)
        sockets[name] = made
        return made.getsockname()[1]
    if op == "echoes":
        threading.Thread(target=serve_echoes, args=(made,), daemon=True).start()
        return True
    if op == "connect":
        sockets[name] = connect(command["host"], command["port"])
        return sockets[name].getsockname()[1]
    if op == "connect_blocking":
        sockets[name] = socket.create_connection((command["host"], command["port"]))
        return sockets[name].getsockname()[1]
    if op == "accept":
        sockets[name] = accept(made)
        sockets[name].setblocking(command.get("blocking", False))
        return True
    if op == "name":
        return ":".join(map(str, made.getsockname()))
    if op == "block":
        made.setblocking(True)
        return True
    if op == "send":
        return made.send(command["text"].encode() * command.get("times", 1), flags)
    if op == "recv":
        wait(made, select.POLLIN)
        return made.recv(command.get("bytes", 65536), flags).decode()
    if op == "recv_blocking":
        # A signal comes in the middle of the wait, and is told.
        signal.signal(signal.SIGALRM, lambda *_: print(json.dumps({"signal": "SIGALRM"}), flush=True))
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        return made.recv(command.get("bytes", 65536), flags).decode()
    if op == "events":
        poll = select.poll()
        poll.register(made, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
        return poll.poll(0)[0][1]
    if op == "wait_events":
        return wait(made, command["events"])
    if op == "waiting_bytes":
        return struct.unpack("i", fcntl.ioctl(made, termios.FIONREAD, struct.pack("i", 0)))[0]
    if op == "set":
        made.setsockopt(*command["option"][:2], command["option"][2])
        return True
    if op == "ulp":
        made.setsockopt(socket.IPPROTO_TCP, 31, b"tls")
        return True
    if op == "fill":
        # As much as fits without waiting.
        sent = 0
        try:
            while True:
                sent += made.send(b"x" * 65536)
        except BlockingIOError:
            return sent
    if op == "pour":
        return background(command["as"], lambda: pour(made, command["seed"], command["bytes"], command.get("end", True)))
    if op == "drain":
        return background(command["as"], lambda: drain(made, command.get("pause", 0), command.get("bytes", 1 << 62)))
    if op == "splice_from":
        with tempfile.TemporaryFile() as file:
            file.write(b"".join(stream(command["seed"], command["bytes"])))
            file.flush()
            sent = 0
            while sent < command["bytes"]:
                try:
                    sent += os.sendfile(made.fileno(), file.fileno(), sent, command["bytes"] - sent)
                except BlockingIOError:
                    wait(made, select.POLLOUT)
        made.shutdown(socket.SHUT_WR)
        return sent
    if op == "splice_pipe":
        end, into = os.pipe()
        os.write(into, command["text"].encode())
        sent = os.splice(end, made.fileno(), 4096)
        os.close(end)
        os.close(into)
        return sent
    if op == "splice_out":
        wait(made, select.POLLIN)
        end, into = os.pipe()
        try:
            return os.splice(made.fileno(), into, 4096)
        finally:
            os.close(end)
            os.close(into)
    if op == "edge":
        # Reads as tokio does: after an edge, until a read comes short; then waits for the next edge.
        def read():
            epoll, total, digest = select.epoll(), 0, hashlib.sha256()
            epoll.register(made, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
            while total < command["bytes"]:
                if not epoll.poll(DEADLINE):
                    raise TimeoutError
                while True:
                    try:
                        data = made.recv(command.get("buffer", 8192))
                    except BlockingIOError:
                        break
                    if not data:
                        return {"bytes": total, "digest": digest.hexdigest()}
                    digest.update(data)
                    total += len(data)
                    time.sleep(command.get("pause", 0))
                    if len(data) < command.get("buffer", 8192):
                        break
            return {"bytes": total, "digest": digest.hexdigest()}

        return background(command["as"], read)
    if op == "busy":
        ready = threading.Event()
        background(command["as"], lambda: busy(command["host"], command["port"], command["count"], ready))
        if not ready.wait(DEADLINE):
            raise TimeoutError
        return True
    if op == "many":
        keys = ("host", "port", "count", "parallel", "largest", "seed")
        return many(*(command[key] for key in keys))
    if op == "join":
        thread = threads.pop(command["as"])
        thread[0].join(command.get("seconds", DEADLINE * 3))
        if len(thread) == 1:
            raise TimeoutError
        if "error" in thread[1]:
            raise OSError(getattr(errno, thread[1]["error"], 0), thread[1]["error"])
        return thread[1]["ok"]
    if op == "converse":
        return background(command["as"], lambda: converse(made, command["seed"], command["bytes"]))
    if op == "digest":
        return digest_of(command["seed"], command["bytes"], command.get("from", 0), command.get("to", command["bytes"]))
    if op == "shutdown":
        made.shutdown(getattr(socket, command["how"]))
        return True
    if op == "close":
        if command.get("reset"):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.close()
        return True
    raise ValueError(op)


for line in sys.stdin:
    try:
        reply = {"ok": run(json.loads(line))}
    except (OSError, KeyError, ValueError) as error:
        reply = {"error": name_of(error)}
    print(json.dumps(reply), flush=True)
