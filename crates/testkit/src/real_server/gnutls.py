"""Runs gnutls-serv, which listens on every address of the machine, in a network of its own, and relays
connections from 127.0.0.1 to it.

Arguments: certificate chain, key, CA of the clients. Says where it listens (TLS 1.2, TLS 1.3).
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading
import time

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1


def listen():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def leave_the_network():
    """What was opened before stays outside, what is opened from now on is inside."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        why = os.strerror(ctypes.get_errno())
        print("no network of its own (" + why + "): it listens on all addresses", flush=True)
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def start(version, chain, key, clients):
    with listen() as free:
        port = free.getsockname()[1]
    demands = ["--require-client-cert", "--verify-client-cert", "--x509cafile", clients]
    own = ["--x509certfile", chain, "--x509keyfile", key]
    priority = ["--priority", "NORMAL:-VERS-ALL:+VERS-" + version]
    subprocess.Popen(["gnutls-serv", "--echo", "--port", str(port), *demands, *own, *priority])
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return port
        except ConnectionRefusedError:
            time.sleep(0.01)
    sys.exit("gnutls-serv does not listen")


def accept(listener, port):
    while True:
        outside, _ = listener.accept()
        inside = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=relay, args=(outside, inside)).start()


def relay(outside, inside):
    answering = threading.Thread(target=pump, args=(inside, outside))
    answering.start()
    pump(outside, inside)
    # What the server says last still goes out. If it left something unread, so do we, and the
    # connection is reset as it would be without us.
    answering.join()
    outside.close()
    inside.close()


def pump(source, sink):
    try:
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


listeners = [listen(), listen()]
leave_the_network()
for listener, version in zip(listeners, ["TLS1.2", "TLS1.3"]):
    arguments = (listener, start(version, *sys.argv[1:4]))
    threading.Thread(target=accept, args=arguments).start()
print("READY", *[listener.getsockname()[1] for listener in listeners], flush=True)
