"""gRPC's C core as an xDS client: each line on standard input makes one call, whose answer is printed."""

import sys

import grpc

channel = grpc.insecure_channel("xds:///echo.test")
say = channel.unary_unary("/echo.Echo/Say", lambda text: text.encode(), lambda data: data.decode())
for line in sys.stdin:
    try:
        print(say(line.strip(), timeout=10, wait_for_ready=True), flush=True)
    except grpc.RpcError as error:
        print(f"error {error.code()} {error.details()}", flush=True)
