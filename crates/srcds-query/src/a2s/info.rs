//! The reply to the question for the server's name, map and counts.

use super::Error;
use super::bytes::Bytes;

/// The Ship alone has three more bytes in the middle.
const THE_SHIP: u16 = 2400;

/// What a server says of itself. Texts are the server's own words: not to be trusted, and not to be printed as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The version of the protocol: 17 in all of Source's later games.
    pub protocol: u8,
    /// The server's name, `hostname`.
    pub name: String,
    /// The map, without `.bsp`.
    pub map: String,
    /// The game's directory: `left4dead2`.
    pub folder: String,
    /// The game's full name.
    pub game: String,
    /// The game's Steam application, cut to 16 bits; see [`Info::game_id`].
    pub app_id: u16,
    /// How many play, bots included; as many as fit into a byte.
    pub players: u8,
    /// How many may play.
    pub max_players: u8,
    /// How many of the players are bots.
    pub bots: u8,
    /// What kind of server it is.
    pub server_type: ServerType,
    /// The operating system that it runs on.
    pub environment: Environment,
    /// Whether a password is asked for.
    pub password: bool,
    /// Whether VAC is on.
    pub secure: bool,
    /// The game's version.
    pub version: String,
    /// The game's port, where the server says it.
    pub port: Option<u16>,
    /// The server's Steam ID, where the server says it.
    pub steam_id: Option<u64>,
    /// The server for spectators, where there is one.
    pub tv: Option<Tv>,
    /// Tags, as `sv_tags` has them: separated by commas.
    pub keywords: Option<String>,
    /// The game's id, of which the lower 24 bits are the whole Steam application.
    pub game_id: Option<u64>,
}

/// Kinds of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerType {
    /// It does nothing but serve.
    Dedicated,
    /// A player's own.
    Listen,
    /// It relays to spectators.
    Proxy,
    /// Something else, with the byte for it.
    Other(u8),
}

/// Operating systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// macOS.
    Mac,
    /// Something else, with the byte for it.
    Other(u8),
}

/// SourceTV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tv {
    /// Its port.
    pub port: u16,
    /// Its name.
    pub name: String,
}

impl Info {
    /// Reads a whole reply, from its kind `I` on. What follows after the last known field is ignored.
    pub fn parse(reply: &[u8]) -> Result<Self, Error> {
        let mut bytes = Bytes::new(reply);
        if bytes.byte()? != b'I' {
            return Err(Error::Malformed("it is no reply to a question for info"));
        }
        let mut info = Self {
            protocol: bytes.byte()?,
            name: bytes.text()?,
            map: bytes.text()?,
            folder: bytes.text()?,
            game: bytes.text()?,
            app_id: bytes.u16()?,
            players: bytes.byte()?,
            max_players: bytes.byte()?,
            bots: bytes.byte()?,
            server_type: ServerType::of(bytes.byte()?),
            environment: Environment::of(bytes.byte()?),
            password: bytes.byte()? != 0,
            secure: bytes.byte()? != 0,
            version: String::new(),
            port: None,
            steam_id: None,
            tv: None,
            keywords: None,
            game_id: None,
        };
        if info.app_id == THE_SHIP {
            bytes.array::<3>()?;
        }
        info.version = bytes.text()?;
        // Flags say which of these follow. Older servers end here.
        let flags = if bytes.rest().is_empty() { 0 } else { bytes.byte()? };
        if flags & 0x80 != 0 {
            info.port = Some(bytes.u16()?);
        }
        if flags & 0x10 != 0 {
            info.steam_id = Some(bytes.u64()?);
        }
        if flags & 0x40 != 0 {
            info.tv = Some(Tv { port: bytes.u16()?, name: bytes.text()? });
        }
        if flags & 0x20 != 0 {
            info.keywords = Some(bytes.text()?);
        }
        if flags & 0x01 != 0 {
            info.game_id = Some(bytes.u64()?);
        }
        Ok(info)
    }

    /// How many people play: the players without the bots.
    pub fn humans(&self) -> u8 {
        self.players.saturating_sub(self.bots)
    }
}

impl ServerType {
    fn of(byte: u8) -> Self {
        match byte.to_ascii_lowercase() {
            b'd' => Self::Dedicated,
            b'l' => Self::Listen,
            b'p' => Self::Proxy,
            _ => Self::Other(byte),
        }
    }
}

impl Environment {
    fn of(byte: u8) -> Self {
        match byte.to_ascii_lowercase() {
            b'l' => Self::Linux,
            b'w' => Self::Windows,
            // Since a change of Steam's it is `o`.
            b'm' | b'o' => Self::Mac,
            _ => Self::Other(byte),
        }
    }
}
