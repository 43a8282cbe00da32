// What gamedig reads: `PORT` prints one server as far as gamedig knows it, `bench COUNT FIRST-PORT` the time that a sweep
// takes.

import { GameDig } from 'gamedig'

const query = (port, more) =>
  GameDig.query({ type: 'l4d2', host: '127.0.0.1', port, givenPortOnly: true, socketTimeout: 20000, ...more })

async function read (port) {
  const state = await query(port, { requestRules: true, requestRulesRequired: true })
  return {
    info: {
      protocol: state.raw.protocol,
      name: state.name,
      map: state.map,
      folder: state.raw.folder,
      game: state.raw.game,
      app_id: state.raw.appId,
      players: state.numplayers,
      max_players: state.maxplayers,
      bots: state.raw.numbots,
      password: state.password,
      secure: state.raw.secure === 1,
      version: state.version,
      steam_id: state.raw.steamid,
      keywords: state.raw.tags.join(',')
    },
    players: state.raw.players.map(({ name, score, time }) => ({ name, score, seconds: time })),
    rules: state.raw.rules
  }
}

// All at once they overflow the one socket that it has, and are waited for until the timeout. So many do not.
const AT_ONCE = 100

async function bench (count, first) {
  let [next, whole] = [0, 0]
  const worker = async () => {
    while (next < count) {
      const state = await query(first + next++, {}).catch(() => null)
      if (state?.raw.players.length > 0) whole++
    }
  }
  const start = performance.now()
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return { seconds: (performance.now() - start) / 1000, whole }
}

const args = process.argv.slice(1)
const result = args[0] === 'bench' ? await bench(Number(args[1]), Number(args[2])) : await read(Number(args[0]))
console.log(JSON.stringify(result))
