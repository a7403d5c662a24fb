"""Watches a herd and reports to it over WebSockets, with the library websockets. Prints the name of each part that holds.

Arguments: the URL of a server, the operator's token, and the token of couriers.
"""

import json
import sys

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

url, operator, courier = sys.argv[1:]
url = url.replace("http", "ws") + "/v1/ws"


def send(socket, message):
    socket.send(json.dumps(message))


def receive(socket):
    return json.loads(socket.recv(timeout=30))


def brief(socket):
    message = receive(socket)
    return (message["event"], message["data"].get("id"))


def report(client, **more):
    return {"report": {"id": client, "lat": 34.07, "lon": -118.44}, **more}


def closed(socket):
    try:
        while True:
            socket.recv(timeout=30)
    except ConnectionClosed as end:
        return end.rcvd.code


def a_stream_and_reports():
    with connect(url, additional_headers={"Authorization": f"Bearer {courier}"}) as socket:
        send(socket, report("courier-1", ref=1))
        assert receive(socket) == {"ref": 1, "result": "accepted"}
        send(socket, {"subscribe": {"ids": ["courier-*"], "near": [34.07, -118.44], "radius_m": 1000}})
        assert [brief(socket) for _ in range(3)] == [("reset", None), ("location", "courier-1"), ("synced", None)]
        send(socket, report("courier-2"))
        messages = [receive(socket), receive(socket)]
        assert {"result": "accepted"} in messages
        assert any(message.get("event") == "location" for message in messages)
        assert socket.ping().wait(30), "the server answers pings"


def a_token_as_a_message():
    with connect(url) as socket:
        send(socket, {"subscribe": {}, "ref": "early"})
        assert "error" in receive(socket)
        send(socket, {"token": courier, "ref": "token"})
        assert receive(socket) == {"ref": "token", "result": "accepted"}
        send(socket, report("van-1"))
        assert "error" in receive(socket)


def what_is_wrong():
    try:
        connect(url, additional_headers={"Authorization": "Bearer phd_x_y"})
        raise AssertionError("a wrong token is accepted")
    except InvalidStatus as refusal:
        assert refusal.response.status_code == 401
    with connect(url) as socket:
        send(socket, {"token": "phd_x_y"})
        assert closed(socket) == 1008
    with connect(url, additional_headers={"Authorization": f"Bearer {operator}"}) as socket:
        socket.send("{")
        assert "error" in receive(socket)
        socket.send(b"binary")
        assert "error" in receive(socket)
        socket.send("x" * (64 * 1024 + 1))
        assert closed(socket) == 1009


for part in (a_stream_and_reports, a_token_as_a_message, what_is_wrong):
    part()
    print(part.__name__)
