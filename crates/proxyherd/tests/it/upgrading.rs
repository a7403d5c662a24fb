//! A herd that is upgraded server by server: whatever two neighbours know both, they speak.

use crate::harness::{Plan, WHERE_AND_WHEN};

#[test]
fn a_herd_in_which_some_servers_are_of_the_version_before_agrees() {
    let mut herd = Plan::classic().prepare();
    herd.start_with(&["Riley", "Bernard"], &["--set", "herd.link_version=1"]);
    herd.start_all(&["Jaquez", "Juzang", "Campbell"]);
    let all = ["Riley", "Jaquez", "Juzang", "Campbell", "Bernard"];
    herd.wait_for_links(&all);
    let at = herd.client("Campbell").ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&all, "kiwi"), at);
    let at = herd.client("Riley").ask(&format!("IAMAT emu {WHERE_AND_WHEN}"));
    assert_eq!(herd.agreed(&all, "emu"), at);
}
