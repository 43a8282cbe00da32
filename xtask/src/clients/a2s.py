"""What python-a2s reads: `PORT` prints all of one server, `bench COUNT FIRST-PORT` the time that a sweep takes."""

import asyncio
import json
import sys
import time

import a2s

TYPES = {"d": "dedicated", "l": "listen", "p": "proxy"}
SYSTEMS = {"l": "linux", "w": "windows", "m": "mac", "o": "mac"}


def text(number):
    return None if number is None else str(number)


def read(port):
    address = ("127.0.0.1", port)
    info = a2s.info(address, timeout=20)
    return {
        "info": {
            "protocol": info.protocol,
            "name": info.server_name,
            "map": info.map_name,
            "folder": info.folder,
            "game": info.game,
            "app_id": info.app_id,
            "players": info.player_count,
            "max_players": info.max_players,
            "bots": info.bot_count,
            "server_type": TYPES[info.server_type],
            "environment": SYSTEMS[info.platform],
            "password": info.password_protected,
            "secure": info.vac_enabled,
            "version": info.version,
            "port": info.port,
            "steam_id": text(info.steam_id),
            "keywords": info.keywords,
            "game_id": text(info.game_id),
        },
        "players": [
            {"name": player.name, "score": player.score, "seconds": player.duration}
            for player in a2s.players(address, timeout=20)
        ],
        "rules": a2s.rules(address, timeout=20),
    }


async def ask(port):
    address = ("127.0.0.1", port)
    await a2s.ainfo(address, timeout=60)
    return len(await a2s.aplayers(address, timeout=60)) > 0


async def bench(count, first):
    start = time.perf_counter()
    answers = await asyncio.gather(*(ask(first + n) for n in range(count)), return_exceptions=True)
    return {"seconds": time.perf_counter() - start, "whole": sum(answer is True for answer in answers)}


if sys.argv[1] == "bench":
    print(json.dumps(asyncio.run(bench(int(sys.argv[2]), int(sys.argv[3])))))
else:
    print(json.dumps(read(int(sys.argv[1]))))
