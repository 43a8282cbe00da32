//! The port of a server.

use std::fmt;
use std::str::FromStr;

use crate::NameError;

/// A server's port, UDP for the game and TCP for RCON: 1024 to 65535, since the service user binds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(u16);

impl Port {
    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u64> for Port {
    type Error = NameError;
    fn try_from(number: u64) -> Result<Self, NameError> {
        match u16::try_from(number) {
            Ok(number) if number >= 1024 => Ok(Self(number)),
            _ => Err(NameError::new(format!("port {number} is not valid: 1024 to 65535"))),
        }
    }
}

impl FromStr for Port {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let number: u64 = text
            .parse()
            .map_err(|_| NameError::new(format!("port {} is not a number", crate::quoted(text.as_bytes()))))?;
        Self::try_from(number)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_inclusive() {
        for (number, ok) in [(0, false), (1023, false), (1024, true), (65535, true), (65536, false), (u64::MAX, false)]
        {
            assert_eq!(Port::try_from(number).is_ok(), ok, "{number}");
        }
        assert_eq!("27015".parse::<Port>().unwrap().get(), 27015);
        assert!("27015x".parse::<Port>().is_err());
    }
}
