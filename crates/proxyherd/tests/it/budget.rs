//! Tests of the places budgets of real processes: the written accounts survive any end of a process.

use std::{fs, os::unix::fs::PermissionsExt as _};

use proxyherd_core::{
    limits::DATA_LEN_MAX,
    places::quota::{Period, QuotaAccount, Span, key},
    types::{Body, Kind, Origin, ServerName},
};
use serde_json::Value;

use crate::{
    forged::{Eve, now_ns},
    google::Google,
    harness::{Herd, NAMES, Plan, eventually, get, metric, status},
};

/// Two servers, each with twenty requests per month.
fn start() -> Herd {
    Plan::pair().places("per_month = 40").start()
}

fn month(herd: &Herd, name: &str) -> Option<Value> {
    status(herd.at(name).http)["places_budgets"].get(0).cloned()
}

/// Waits until the server has this number of requests left, and knows that the herd has spent this number of requests.
fn wait_for(herd: &Herd, name: &str, own_left: u64, spent: u64) {
    eventually(&format!("{name} has {own_left} left, and the herd has spent {spent}"), || {
        let month = month(herd, name).ok_or("its month has not begun")?;
        let is_so = month["own_left"] == own_left && month["spent"] == spent && month["left"] == 40 - spent;
        if is_so { Ok(()) } else { Err(month.to_string()) }
    });
}

fn file(herd: &Herd, name: &str) -> std::path::PathBuf {
    herd.dir().join("data").join(name).join("budget")
}

#[test]
fn a_server_that_is_killed_counts_what_it_had_at_hand_as_spent_and_one_that_ends_does_not() {
    let mut herd = start();
    wait_for(&herd, "Riley", 20, 0);
    wait_for(&herd, "Jaquez", 20, 0);
    let left = metric(herd.at("Riley").http, "proxyherd_places_budget_left{period=\"month\"}");
    assert_eq!(left, Some(40.0));
    assert_eq!(status(herd.at("Riley").http)["places_budgets"].as_array().unwrap().len(), 1);

    herd.kill_all(&["Riley", "Jaquez"]);
    herd.start_all(&["Riley", "Jaquez"]);
    wait_for(&herd, "Riley", 12, 16);
    wait_for(&herd, "Jaquez", 12, 16);

    herd.stop("Riley", "TERM");
    herd.start("Riley");
    wait_for(&herd, "Riley", 12, 16);
}

#[test]
fn a_server_whose_file_was_removed_spends_nothing_more_that_month() {
    let mut herd = start();
    wait_for(&herd, "Riley", 20, 0);
    eventually("Jaquez hears of Riley's month", || {
        match status(herd.at("Jaquez").http)["records"].as_u64() {
            Some(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    herd.kill_all(&["Riley"]);
    fs::remove_file(file(&herd, "Riley")).unwrap();
    herd.start("Riley");
    herd.wait_for_log("Riley", "this server spends nothing more of the places budget of 2");
    wait_for(&herd, "Riley", 0, 0);
}

#[test]
fn what_neighbors_know_counts_where_an_older_file_is_put_back_after_a_kill() {
    let mut herd = start();
    wait_for(&herd, "Riley", 20, 0);
    let older = fs::read(file(&herd, "Riley")).unwrap();
    // After each kill, all reserved requests count as spent, even if an older file is put back.
    eventually("Jaquez hears of Riley's month", || {
        let records = status(herd.at("Jaquez").http)["records"].as_u64();
        if records == Some(2) { Ok(()) } else { Err(format!("{records:?}")) }
    });
    for (own_left, spent) in [(12, 8), (4, 16), (0, 20), (0, 20)] {
        herd.kill_all(&["Riley"]);
        fs::write(file(&herd, "Riley"), &older).unwrap();
        herd.start("Riley");
        wait_for(&herd, "Riley", own_left, spent);
        wait_for(&herd, "Jaquez", 20, spent);
    }
    herd.wait_for_log("Riley", "perhaps because somebody put back an older file");
}

#[test]
fn accounts_that_a_member_makes_up_do_not_make_the_herd_forget_what_was_spent() {
    const INVENTED: u32 = 2500;
    // Each of the three servers has twenty requests per month.
    let plan = Plan::pair().with_server("Eve", &["Jaquez"]).places("per_month = 60");
    let mut herd = plan.prepare();
    herd.start_all(&["Riley", "Jaquez"]);
    let wait_for = |herd: &Herd, name: &str, own_left: u64, spent: u64| {
        eventually(&format!("{name} has {own_left} left, and the herd has spent {spent}"), || {
            let month = month(herd, name).ok_or("its month has not begun")?;
            let is_so = month["own_left"] == own_left && month["spent"] == spent;
            if is_so { Ok(()) } else { Err(month.to_string()) }
        });
    };
    wait_for(&herd, "Riley", 20, 0);
    let older = fs::read(file(&herd, "Riley")).unwrap();
    herd.kill_all(&["Riley"]);
    herd.start("Riley");
    wait_for(&herd, "Riley", 12, 8);
    wait_for(&herd, "Jaquez", 20, 8);
    herd.kill_all(&["Riley"]);

    // While Riley is away, Eve sends more accounts than there is room for. All these accounts are newer than Riley's
    // account.
    let mut eve = Eve::dial(&herd, "Jaquez");
    let [riley, of_eve] = ["Riley", "Eve"].map(|name| ServerName::new(name).unwrap());
    let month = key(Span::Month.at(now_ns()), &riley);
    let (keep_s, made_up) = (Span::Month.keep_s(), [7; DATA_LEN_MAX]);
    let mut said = 0;
    let mut say = |server: &ServerName, key: &str, bytes: &[u8]| {
        said += 1;
        let origin = Origin { server: server.clone(), incarnation: 1 };
        eve.say(&origin, said, Kind::QUOTA, key, Body::Data { keep_s, bytes });
        if said % 100 == 0 {
            eve.beat();
        }
    };
    for number in 0..INVENTED {
        let (span, nobody) =
            (Span::ALL[number as usize % 2], ServerName::new(&format!("nobody-{}", number % 200)));
        match number % 3 {
            0 => say(&of_eve, &format!("year/{number}"), &made_up),
            1 => say(&riley, &key(Period { span, number }, &riley), &made_up),
            _ => {
                let nobody = nobody.unwrap();
                say(&nobody, &key(Span::Month.at(now_ns()), &nobody), &made_up);
                say(&nobody, &key(Period { span, number }, &nobody), &made_up);
            }
        }
    }
    say(&of_eve, &month, &QuotaAccount { share: 20, ..QuotaAccount::default() }.to_bytes());
    eventually("Jaquez has heard all of it", || {
        eve.beat();
        let heard =
            metric(herd.at("Jaquez").http, "proxyherd_link_payloads_received_total{neighbor=\"Eve\"}");
        if heard >= Some(said as f64) { Ok(()) } else { Err(format!("{heard:?} of {said}")) }
    });
    let forged = "proxyherd_link_nonsense_total{neighbor=\"Eve\",what=\"account\"}";
    assert_eq!(metric(herd.at("Jaquez").http, forged), Some(1.0));

    fs::write(file(&herd, "Riley"), &older).unwrap();
    herd.start("Riley");
    wait_for(&herd, "Riley", 4, 16);
    wait_for(&herd, "Jaquez", 20, 16);
}

#[test]
fn a_server_that_no_neighbor_answers_goes_on_by_its_file() {
    let mut herd = start();
    wait_for(&herd, "Riley", 20, 0);
    herd.kill_all(&["Riley", "Jaquez"]);
    herd.start("Riley");
    herd.wait_for_log("Riley", "no neighbor answers, so the places budget counts only the requests in");
    wait_for(&herd, "Riley", 12, 8);
}

#[test]
fn a_damaged_file_is_no_start() {
    let mut herd = start();
    wait_for(&herd, "Riley", 20, 0);
    herd.kill_all(&["Riley"]);
    fs::write(file(&herd, "Riley"), "what is this").unwrap();
    let serve = ["serve", "--config", "herd.toml", "--name", "Riley"];
    let finished = crate::harness::Process::run(herd.dir(), &serve);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(
        finished.err.contains("it is damaged. Put back the file that this server wrote last"),
        "{}",
        finished.err
    );
    assert_eq!(finished.err.matches("damaged").count(), 1, "{}", finished.err);
}

/// Asks a new question at a server's HTTP door. Returns whether a provider has answered the question.
fn question(herd: &Herd, name: &str, number: &mut u32) -> bool {
    *number += 1;
    let latitude = 34.0 + f64::from(*number) / 1000.0;
    let path = format!("/maps/api/place/nearbysearch/json?location={latitude},-118.4&radius=1000");
    let (_, body) = get(herd.at(name).http, &path);
    let answer: Value = serde_json::from_str(&body).unwrap();
    ["OK", "ZERO_RESULTS"].contains(&answer["status"].as_str().unwrap())
}

#[test]
fn five_servers_of_which_one_is_killed_and_given_an_older_file_again_and_again_ask_no_more_than_they_may() {
    const WHOLE: usize = 300;
    let google = Google::start();
    let section = format!(
        "per_month = {WHOLE}\nprovider = \"google\"\n[places.google]\nkey_file = \"google.key\"\nbase_url = \"{}\"",
        google.url()
    );
    let plan = Plan::classic().places(&section);
    let mut herd = plan.prepare();
    let key = herd.dir().join("google.key");
    fs::write(&key, google.key()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    herd.start_all(&NAMES);
    herd.wait_for_links(&NAMES);
    eventually("Riley's month has begun", || month(&herd, "Riley").ok_or("it has not"));
    let older = fs::read(file(&herd, "Riley")).unwrap();
    let mut number = 0;
    for _ in 0..8 {
        let mut answered = 0;
        eventually("Riley asks", || {
            answered += usize::from(question(&herd, "Riley", &mut number));
            if answered == 12 { Ok(()) } else { Err(answered) }
        });
        // The server is killed in the middle of its work.
        herd.kill_all(&["Riley"]);
        fs::write(file(&herd, "Riley"), &older).unwrap();
        herd.start("Riley");
    }
    assert!(google.count() >= 8 * 12);
    herd.wait_for_links(&NAMES);
    eventually("all is spent", || {
        let answered = NAMES.iter().filter(|name| question(&herd, name, &mut number)).count();
        let own = NAMES.map(|name| month(&herd, name).and_then(|month| month["own_left"].as_u64()));
        if answered == 0 && own == [Some(0); NAMES.len()] { Ok(()) } else { Err(format!("{own:?}")) }
    });
    assert!(google.count() <= WHOLE, "{}", google.count());
}
