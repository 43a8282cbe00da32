//! What `demo --keep` leaves: servers that run on, and an `l4d2ctl` that knows where they are.

use serde_json::json;

use super::{DIR, Demo, STEAMCMD, own_program, quoted};
use crate::problem::Problem;

/// A script instead of variables to export: HOME is one of them, as the servers find Steam's library there, and nobody
/// wants another HOME in his shell.
const L4D2CTL: &str = "bin/l4d2ctl";

pub(super) fn how_to_go_on(demo: &Demo) -> Result<(), Problem> {
    let (root, steamcmd) = (quoted(&demo.dir), quoted(&demo.dir.join(STEAMCMD)));
    let script = format!(
        "#!/bin/sh\n# l4d2ctl for the demo in this directory, whose game and SteamCMD are SIMULATED\n\
         export LEFT4ME_ROOT={root} HOME={root}\n\
         export LEFT4ME_SUPERVISOR=embedded LEFT4ME_STEAMCMD={steamcmd}\n\
         exec {} \"$@\"\n",
        own_program()?
    );
    demo.put(L4D2CTL, &script, 0o755)?;
    let text = format!(
        "\nBoth servers run on. To go on, in this directory:\n  \
         PATH=\"$PWD/{DIR}/bin:$PATH\"   # an l4d2ctl that knows {DIR}\n  \
         l4d2ctl status\n  l4d2ctl logs friday\n  l4d2ctl stop friday\n\
         When you are done:\n  l4d2ctl delete friday\n  l4d2ctl delete league\n  rm -r {DIR}"
    );
    demo.show(&json!({ "event": "kept", "root": demo.dir, "l4d2ctl": demo.dir.join(L4D2CTL) }), &text)
}
