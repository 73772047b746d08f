"""Sockets in one network namespace, driven by JSON lines: what Node's own sockets cannot do (transparent listeners,
marks, source ports, raw frames). One command, one answer: {"ok": value} or {"error": errno name}."""

import errno
import json
import socket
import sys
import threading

IP_TRANSPARENT = 19
IPV6_TRANSPARENT = 75
SO_MARK = 36
ETH_P_IP = 0x0800
sockets = {}
# How the connections of servers ended, by the client that they greeted.
ends = {}
ended = threading.Condition()


def end_of(client, how):
    with ended:
        ends[f"{client[0]}:{client[1]}"] = how
        ended.notify_all()


def name_of(error):
    if isinstance(error, TimeoutError):
        return "ETIMEDOUT"
    return errno.errorcode.get(error.errno, str(error)) if getattr(error, "errno", None) else str(error)


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def tcp(mark=0, transparent=False, host="0.0.0.0"):
    family = family_of(host)
    made = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if mark:
        made.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
    if transparent and family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    elif transparent:
        made.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
    return made


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno == errno.ECONNRESET:
            # What a real proxy does: a reset on one leg is a reset on the other.
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
                end.close()
            except OSError:
                pass


def proxy(accepted, client, mark, leg_port):
    """The other leg, with the client's address and to where the client wanted to go."""
    upstream = tcp(mark, True, client[0])
    try:
        upstream.bind((client[0], leg_port))
        upstream.settimeout(5)
        upstream.connect(accepted.getsockname())
        upstream.settimeout(None)
    except OSError:
        accepted.close()
        return
    threading.Thread(target=pump, args=(upstream, accepted), daemon=True).start()
    pump(accepted, upstream)


def echo(accepted, client):
    """Says who came, then says everything back; "bye" is answered by an end."""
    try:
        accepted.sendall(f"{client[0]}:{client[1]}\n".encode())
        while data := accepted.recv(65536):
            accepted.sendall(data)
            if data.endswith(b"bye"):
                break
        end_of(client, "END")
    except OSError as error:
        end_of(client, name_of(error))
    finally:
        accepted.close()


def serve(listener, command):
    while True:
        try:
            accepted, client = listener.accept()
        except OSError:
            return
        arguments = (accepted, client)
        if command.get("proxy"):
            arguments += (command["mark"], command.get("leg_port", 0))
        threading.Thread(target=proxy if command.get("proxy") else echo, args=arguments, daemon=True).start()


def run(command):
    op, name = command["op"], command.get("name")
    if op == "listen":
        host = command.get("host", "0.0.0.0")
        listener = tcp(command.get("mark", 0), command.get("transparent", False), host)
        listener.bind((host, command["port"]))
        listener.listen(64)
        sockets[name] = listener
        threading.Thread(target=serve, args=(listener, command), daemon=True).start()
        return listener.getsockname()[1]
    if op == "connect":
        made = tcp(command.get("mark", 0), host=command["host"])
        made.settimeout(command.get("timeout", 2))
        if command.get("source_port"):
            made.bind(("::" if ":" in command["host"] else "0.0.0.0", command["source_port"]))
        made.connect((command["host"], command["port"]))
        sockets[name] = made
        return made.getsockname()[1]
    if op == "send":
        return sockets[name].send(command["data"].encode())
    if op == "receive":
        sockets[name].settimeout(command.get("timeout", 2))
        return sockets[name].recv(65536).decode()
    if op == "echo":
        # Writes so many bytes and reads them back; tells how many came back as they were.
        sent = bytes(range(256)) * (command["bytes"] // 256)
        sockets[name].settimeout(10)
        threading.Thread(target=sockets[name].sendall, args=(sent,), daemon=True).start()
        received = bytearray()
        while len(received) < len(sent):
            received += sockets[name].recv(1 << 20)
        return sum(a == b for a, b in zip(sent, received))
    if op == "ended":
        with ended:
            ended.wait_for(lambda: command["client"] in ends, command.get("timeout", 2))
            return ends.get(command["client"], "it goes on")
    if op == "close":
        sockets[name].close()
        return True
    if op == "shutdown":
        sockets[name].shutdown(socket.SHUT_RDWR)
        sockets[name].close()
        return True
    if op == "udp":
        host = command.get("host", "0.0.0.0")
        made = socket.socket(family_of(host), socket.SOCK_DGRAM)
        if ":" in host:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, command.get("port", 0)))
        sockets[name] = made
        return made.getsockname()[1]
    if op == "connect_udp":
        sockets[name].connect((command["host"], command["port"]))
        return True
    if op == "send_to":
        return sockets[name].sendto(b"x" * command.get("bytes", 1), (command["host"], command["port"]))
    if op == "flood":
        for _ in range(command["count"]):
            sockets[name].sendto(b"x", (command["host"], command["port"]))
        return True
    if op == "receive_from":
        sockets[name].settimeout(command.get("timeout", 2))
        data, sender = sockets[name].recvfrom(65536)
        return [len(data), sender[0], sender[1]]
    if op == "frame":
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP if command.get("reset") else 0))
        made.bind((command["interface"], 0 if not command.get("reset") else ETH_P_IP))
        made.send(bytes.fromhex(command["hex"]))
        made.settimeout(command.get("timeout", 2))
        # A reset that comes back: its TCP flags follow 14 bytes of Ethernet, 20 of IP and 13 of TCP.
        while command.get("reset") and not made.recv(2048)[47] & 4:
            pass
        made.close()
        return True
    if op == "frames":
        # UDP over IPv4: the destination port stands behind 14 bytes of Ethernet, 20 of IP and 2.
        frame = bytearray.fromhex(command["hex"])
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.bind((command["interface"], 0))
        sent = 0
        while sent < command["count"]:
            if command.get("ports"):
                frame[36:38] = (sent & 0xFFFF).to_bytes(2, "big")
            try:
                made.send(frame)
                sent += 1
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
        made.close()
        return sent
    if op == "mac":
        with open("/proc/net/arp") as table:
            return next(line.split()[3] for line in table if line.startswith(command["host"] + " "))
    if op == "ping":
        six = ":" in command["host"]
        protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
        made = socket.socket(family_of(command["host"]), socket.SOCK_RAW, protocol)
        made.settimeout(command.get("timeout", 2))
        made.connect((command["host"], 0))
        # The kernel fills in the checksum of ICMPv6, which has no IP header before it here either.
        made.send(bytes.fromhex("8000000000010001" if six else "0800f7fd00010001"))
        while True:
            answer = made.recv(2048)
            kind = answer[0 if six else 20]
            if kind != (128 if six else 8) and not 133 <= kind <= 137:
                made.close()
                return kind
    raise ValueError(op)


for line in sys.stdin:
    try:
        reply = {"ok": run(json.loads(line))}
    except (OSError, KeyError, ValueError) as error:
        reply = {"error": name_of(error)}
    print(json.dumps(reply), flush=True)
