//! What a live token costs on disk: a figure that is promised.

use std::collections::BTreeMap;
use std::sync::Arc;

use strongroom_base::Rng;
use strongroom_kernel::barrier::{Barrier, KeyRing};
use strongroom_kernel::plug::TokenParams;
use strongroom_kernel::record::{Scope, Store};
use strongroom_kernel::tokens::{NewToken, Tokens};
use strongroom_storage::{SqliteOptions, SqliteStorage, Storage};
use strongroom_testkit::{SimClock, SimRng};

/// Bytes of a live token with its due entry.
const TOKEN_BYTES_MAX: u64 = 300;
const TOKENS: u64 = 20_000;

/// The token of a login of AppRole, as its method asks for it.
fn of_approle(rng: &dyn Rng) -> NewToken {
    let role = || BTreeMap::from([("role_name".to_owned(), "deploy".to_owned())]);
    NewToken {
        display_name: "approle".to_owned(),
        policies: vec!["default".to_owned(), "deploy".to_owned()],
        metadata: role(),
        internal: role(),
        params: TokenParams { max_ttl: 14_400, ..TokenParams::default() },
        namespace: Scope::ROOT,
        mount: Scope(9),
        path: "auth/approle/login".to_owned(),
        entity_id: rng.uuid(),
        renewable: true,
        ttl: 3_600,
        ..NewToken::default()
    }
}

fn bytes_of(folder: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("the folder is there");
    files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum()
}

#[tokio::test]
async fn a_live_token_takes_no_more_than_300_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    let rng: Arc<dyn Rng> = SimRng::new(1);
    let clock = SimClock::new();
    let mut before = 0;
    for round in [0, TOKENS] {
        let storage = SqliteStorage::open(&path, SqliteOptions::default()).expect("opens");
        let now = strongroom_base::Clock::now(&*clock);
        let barrier = Barrier::new(KeyRing::generate(&*rng, now), rng.clone());
        let store = Store::new(storage.clone(), Arc::new(barrier), clock.clone(), rng.clone());
        let tokens = Tokens::new(store.clone());
        for _ in 0..round / 500 {
            let tx = store.begin();
            for _ in 0..500 {
                clock.advance(1);
                let now = strongroom_base::Clock::now(&*clock);
                tokens.create(&tx, of_approle(&*rng), "", now).expect("is made");
            }
            tx.commit().await.expect("commits");
        }
        storage.close().await;
        if round == 0 {
            before = bytes_of(&path);
        }
    }
    let each = (bytes_of(&path) - before) / TOKENS;
    assert!(each <= TOKEN_BYTES_MAX, "{each} bytes");
    assert!(each > 100, "{each} bytes are too few to be true");
}
