"""What the client `rcon` reads: `PORT COMMAND...` prints the replies; the password is a line of stdin."""

import contextlib
import json
import sys

from rcon.source import Client

password = sys.stdin.readline().rstrip("\n")


class OneFile:
    """Its socket, with one file to read from. The client makes a buffered one for each packet, and what came right behind
    the packet is lost with that: of two packets that come as one it waits for the second for ever."""

    def __init__(self, socket):
        self._socket, self._file = socket, None

    def __getattr__(self, name):
        return getattr(self._socket, name)

    def makefile(self, mode):
        if mode != "rb":
            return self._socket.makefile(mode)
        self._file = self._file or self._socket.makefile(mode)
        return contextlib.nullcontext(self._file)


def run(command):
    # A Source server splits earlier than the game that this client's default is made for.
    client = Client("127.0.0.1", int(sys.argv[1]), passwd=password, timeout=20, frag_threshold=4000)
    client._socket = OneFile(client._socket)
    with client:
        return client.run(command)


print(json.dumps([run(command) for command in sys.argv[2:]]))
