//! The commands in the documents that can't be run where the tests run, each with the reason, and what is done instead.
//!
//! What is not listed here is run as it stands. A line that is listed and no longer in its page fails the tests.

/// One command of one page.
#[derive(Debug)]
pub(super) struct StandIn {
    pub(super) page: &'static str,
    /// Its first line, whole.
    pub(super) line: &'static str,
    /// Why it can't be run as it stands.
    pub(super) why: &'static str,
    pub(super) what: What,
}

/// What is done with a command that can't be run as it stands; scripts are root's.
#[derive(Debug)]
pub(super) enum What {
    /// What it would leave is nothing of ours.
    Nothing,
    /// This leaves what the command would leave.
    Instead(&'static str),
    /// It can be run after this.
    After(&'static str),
}

use super::{MIGRATING, OPERATING, OVERLAYS, QUICKSTART, README};

const fn instead(page: &'static str, line: &'static str, why: &'static str, script: &'static str) -> StandIn {
    StandIn { page, line, why, what: What::Instead(script) }
}

const fn after(page: &'static str, line: &'static str, why: &'static str, script: &'static str) -> StandIn {
    StandIn { page, line, why, what: What::After(script) }
}

const fn nothing(page: &'static str, line: &'static str, why: &'static str) -> StandIn {
    StandIn { page, line, why, what: What::Nothing }
}

/// Below "What it looks like".
const DRAWN: &str = "it shows servers with players, after days";
const HELD_ELSEWHERE: &str = "the tests of the command line hold this to the letter (printed.rs)";

const NO_NETWORK: &str = "the machine has no network";

pub(super) const STAND_INS: &[StandIn] = &[
    instead(
        QUICKSTART,
        "cargo xtask deb",
        "it was built before",
        "install -o admin -g admin -m 644 -t /home/admin /opt/package/left4me_*_amd64.deb",
    ),
    nothing(QUICKSTART, "sudo apt update", NO_NETWORK),
    // As Debian's does it: a script that puts SteamCMD into the user's home, and the 32-bit libraries.
    instead(
        QUICKSTART,
        "sudo apt install steamcmd libgcc-s1:i386",
        NO_NETWORK,
        "mkdir -p /usr/games /usr/lib/i386-linux-gnu && touch /usr/lib/i386-linux-gnu/ld-linux.so.2 && \
         touch /usr/lib/i386-linux-gnu/libgcc_s.so.1 && cat >/usr/games/steamcmd <<'END' && chmod 755 /usr/games/steamcmd\n\
         #!/bin/sh\n\
         steam=$HOME/.local/share/Steam/steamcmd\n\
         mkdir -p $steam && cp -u /opt/left4me-build/steamcmd $steam/steamcmd\n\
         test ! -e /opt/build || export LEFT4ME_SIM_BUILD=$(cat /opt/build)\n\
         exec $steam/steamcmd \"$@\"\n\
         END",
    ),
    nothing(QUICKSTART, "sudo ufw allow 27015/udp", "the machine has no ufw, as a bare Debian has not"),
    nothing(
        QUICKSTART,
        "sudo nft add rule inet filter input udp dport 27015 accept",
        "the machine has no nftables, and no rules that one could be added to",
    ),
    nothing(QUICKSTART, "sudo apt install libc6:i386 libgcc-s1:i386", NO_NETWORK),
    instead(
        QUICKSTART,
        "wget -nv https://steamcdn-a.akamaihd.net/client/installer/steamcmd_linux.tar.gz",
        NO_NETWORK,
        "cd $(mktemp -d) && cp /opt/left4me-build/steamcmd . && printf '#!/bin/sh\\nexec \"${0%%/*}/steamcmd\" \"$@\"\\n' >steamcmd.sh && \
         chmod 755 steamcmd.sh && tar -czf /home/admin/steamcmd_linux.tar.gz steamcmd steamcmd.sh",
    ),
    after(
        OVERLAYS,
        "ls *-linux.tar.gz",
        NO_NETWORK,
        "cd $(mktemp -d) && mkdir -p addons/metamod/bin addons/sourcemod/configs addons/sourcemod/plugins cfg/sourcemod && \
         touch addons/metamod.vdf addons/metamod/bin/server.so && \
         tar -czf /home/admin/mmsource-1.12.0-git1219-linux.tar.gz addons && rm -r addons/metamod* && mkdir addons/metamod && \
         touch addons/metamod/sourcemod.vdf addons/sourcemod/plugins/admin.smx addons/sourcemod/configs/admins_simple.ini && \
         tar -czf /home/admin/sourcemod-1.12.0-git7195-linux.tar.gz addons cfg",
    ),
    nothing(OVERLAYS, "sudo l4d2ctl rcon friday -- sm plugins list", "the simulated game loads no plugins"),
    after(OVERLAYS, "ls *.vpk", "the map is copied from another machine", "echo map >/home/admin/mymap.vpk"),
    instead(
        OVERLAYS,
        "git clone --depth 1 https://github.com/SirPlease/L4D2-Competitive-Rework",
        NO_NETWORK,
        "cd /home/admin && mkdir -p L4D2-Competitive-Rework/.git L4D2-Competitive-Rework/cfg L4D2-Competitive-Rework/addons/sourcemod && \
         printf '// made up\\nhostname \"My Competitive Rework Server\"\\nsv_pure 2\\n' >L4D2-Competitive-Rework/cfg/server.cfg && \
         chown -R admin L4D2-Competitive-Rework",
    ),
    after(
        MIGRATING,
        "sudo ls /home/l4d2server/serverfiles/left4dead2/addons /home/l4d2server/serverfiles/left4dead2/cfg",
        "there is no LinuxGSM on the machine",
        "useradd --create-home l4d2server && cd /home/l4d2server && mkdir -p serverfiles/left4dead2 && cd serverfiles/left4dead2 && \
         mkdir -p addons/metamod addons/sourcemod/configs addons/sourcemod/data cfg/sourcemod && \
         touch addons/metamod.vdf addons/mymap.vpk addons/sourcemod/data/sourcemod-local.sq3 && \
         printf 'hostname \"The old server\"\\nrcon_password \"old\"\\nsv_region 3\\n' >cfg/l4d2server.cfg && \
         echo 'banid 0 STEAM_1:0:666' >cfg/banned_user.cfg && echo welcome >motd.txt && chown -R l4d2server /home/l4d2server",
    ),
    nothing(MIGRATING, "sudo -u l4d2server crontab -l", "the machine has no cron"),
    after(
        OPERATING,
        "sudo l4d2ctl install --check             # exit code 10: there is one",
        "there is an update only when Steam has one",
        "echo 9450002 >/opt/build",
    ),
    nothing(README, "l4d2ctl status", DRAWN),
    nothing(README, "l4d2ctl restart league --when-empty=30min --wait", DRAWN),
    nothing(README, "l4d2ctl initialize league -f league.yaml", HELD_ELSEWHERE),
    nothing(README, "l4d2ctl start firday", HELD_ELSEWHERE),
];

#[cfg(test)]
mod tests {
    use super::super::{PAGES, read, session};
    use super::*;

    #[test]
    fn each_is_a_command_of_its_page_and_has_a_reason() {
        for stand_in in STAND_INS {
            let StandIn { page, line, why, .. } = stand_in;
            let steps = read(page).unwrap();
            assert!(steps.iter().any(|step| step.first_line() == *line), "{page} has no command {line:?}");
            assert!(!why.is_empty(), "{page}: no reason for {line:?}");
            let same = STAND_INS.iter().filter(|other| (other.page, other.line) == (*page, *line));
            assert_eq!(same.count(), 1, "{page}: {line:?} is listed twice");
        }
    }

    /// A command that stands in a block of another kind would not be run.
    #[test]
    fn no_command_stands_outside_of_a_session() {
        for page in PAGES {
            let text = std::fs::read_to_string(crate::build::project().join(page)).unwrap();
            for (first, block) in session::blocks(&text) {
                let starts =
                    |line: &&str| ["sudo ", "l4d2ctl ", "apt ", "# "].iter().any(|start| line.starts_with(start));
                let found = block.iter().find(|line| !block[0].starts_with("$ ") && starts(line));
                assert_eq!(found, None, "{page}: in the block of line {first}");
            }
        }
    }
}
