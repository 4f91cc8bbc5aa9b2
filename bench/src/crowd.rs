//! A crowd: hundreds of connections that ask again as soon as they are answered, driven by one
//! thread. As many threads would keep the machine's scheduler busy, and the polite client beside
//! them would mostly wait for its own turn on a core, which is nothing the server can mend.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::Ordering::Relaxed,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

use crate::{
    http,
    load::Signals,
    work::{Material, Random, Work, bytes},
};

/// Keeps `size` connections busy until told to stop, each from an address of its own: clients are
/// told apart by them. Any failure or answer that is no success ends it with an error.
pub fn run(
    address: SocketAddr,
    work: Work,
    material: &Material,
    size: usize,
    signals: &Signals,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let mut members = JoinSet::new();
        for seed in 0..size as u64 {
            let (material, signals) = (material.clone(), signals.clone());
            members.spawn(async move {
                one(address, work, material, seed + 1, signals)
                    .await
                    .map_err(|e| format!("{}: {e}", work.name()))
            });
        }
        while let Some(ended) = members.join_next().await {
            ended.map_err(|e| e.to_string())??;
        }
        Ok(())
    })
}

async fn one(
    address: SocketAddr,
    work: Work,
    material: Material,
    seed: u64,
    signals: Signals,
) -> std::io::Result<()> {
    let [.., high, low] = seed.to_be_bytes();
    let from = Ipv4Addr::new(127, 1, high, low);
    let mut stream = http::connect_from(from, address).await?;
    let mut random = Random::new(seed);
    let mut buffer = Vec::with_capacity(4 * 1024);
    let mut first = true;
    while !signals.stop.load(Relaxed) {
        stream.write_all(&bytes(work, &material, &mut random)).await?;
        buffer.clear();
        let end = loop {
            if let Some(end) = http::end_of_answer(&buffer)? {
                break end;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        };
        if end < buffer.len() {
            return Err(std::io::Error::other("more than one answer"));
        }
        if std::mem::take(&mut first) {
            signals.ready.fetch_add(1, Relaxed);
        }
    }
    Ok(())
}
