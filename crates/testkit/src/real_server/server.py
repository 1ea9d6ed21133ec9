"""An HTTPS server of Python's standard library that demands client certificates.

Arguments: certificate chain, key, CA of the clients. Says where it listens (TLS 1.2, TLS 1.3), then
names every request that it read whole.
"""

import http.server
import ssl
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        print("REQUEST", self.path, len(body), flush=True)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def listen(version, chain, key, clients):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(chain, key)
    context.load_verify_locations(clients)
    context.verify_mode = ssl.CERT_REQUIRED
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # The handshake is made by the connection's own thread, at its first read.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    threading.Thread(target=server.serve_forever).start()
    return server.server_address[1]


versions = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
print("READY", *[listen(version, *sys.argv[1:4]) for version in versions], flush=True)
