use std::time::Instant;
use obsync_core::*;
use obsync_local::*;
use obsidian_sync::*;
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) * 10.0 }
#[tokio::main]
async fn main() {
    let base = std::env::args().nth(1).unwrap();
    let dir = std::path::Path::new(&base);
    let _ = std::fs::remove_dir_all(dir);
    let about = About::new(&VaultId::new("0a1b"), "Vault", "/notes");
    let paths = StateDir::new(dir.join("state")).state(&about);
    let n = 100_000u64;
    let t = Instant::now();
    {
        let s = SqliteStateStore::open(&paths, &about).unwrap();
        for c in 0..n / 100 {
            let set = (0..100).map(|i| { let k = c * 100 + i; (VaultPath::parse(&format!("folder{}/sub/Some note number {k}.md", k % 300)).unwrap(), Entry::File(FileEntry { uid: Uid(k), hash: ContentHash::of(&k.to_le_bytes()), size: k, mtime: Millis(1_600_000_000_000), stamp: Stamp(format!("{k} 1600000000.000000000 1763814571.123456789 {k}")) })) }).collect();
            s.commit(Batch { set, header: Some(Header { cursor: VaultVersion(c), ..Default::default() }), ..Default::default() }).await.unwrap();
        }
    }
    println!("write 100k in 1000 commits: {:?}, db {} MiB", t.elapsed(), paths.db.metadata().unwrap().len() >> 20);
    let (t, c) = (Instant::now(), cpu());
    { let s = SqliteStateStore::open(&paths, &about).unwrap(); s.header().await.unwrap(); s.counts().await.unwrap(); s.unapplied().await.unwrap(); s.intents().await.unwrap(); }
    println!("idle: {:?} cpu {} ms", t.elapsed(), cpu() - c);
    let (t, c) = (Instant::now(), cpu());
    { let s = SqliteStateStore::open(&paths, &about).unwrap(); let l = s.load().await.unwrap(); println!("{}", l.entries.len()); println!("load: {:?}", t.elapsed()); }
    println!("load + drop: {:?} cpu {} ms", t.elapsed(), cpu() - c);
    let t = Instant::now();
    SqliteStateStore::open_read_only(&paths).header().await.unwrap();
    println!("read-only header: {:?}", t.elapsed());
    // folder
    for par in [1usize, 4, 16] {
        let store = std::sync::Arc::new(FolderStore::open(&dir.join(format!("notes{par}")), FolderOptions::default()).unwrap());
        let (t, c) = (Instant::now(), cpu());
        let files = 3000u64;
        let mut set = tokio::task::JoinSet::new();
        for p in 0..par as u64 {
            let store = store.clone();
            set.spawn(async move {
                for k in (p..files).step_by(par) {
                    let content = bytes::Bytes::from(vec![k as u8; 2048]);
                    let meta = FileMeta { uid: Uid(k), hash: ContentHash::of(&content), size: 2048, mtime: Millis(1_600_000_000_000), ctime: Millis(0) };
                    let path = VaultPath::parse(&format!("f{}/note {k}.md", k % 50)).unwrap();
                    let st = store.stage(&path, content, meta).await.unwrap();
                    store.publish(st, &Expect::Absent, Retire::Discard).await.unwrap();
                    if k % 50 == 0 { store.flush().await.unwrap(); }
                }
            });
        }
        while let Some(r) = set.join_next().await { r.unwrap(); }
        store.flush().await.unwrap();
        println!("par {par}: {:.0} files/s, cpu {:.0} us/file", files as f64 / t.elapsed().as_secs_f64(), (cpu() - c) * 1000.0 / files as f64);
        let (t, c) = (Instant::now(), cpu());
        println!("list {} in {:?} cpu {}", store.list(".obsidian").await.unwrap().len(), t.elapsed(), cpu() - c);
    }
    std::fs::remove_dir_all(dir).unwrap();
}
